"""Coming back: exactly what was missed, or the whole room (DESIGN.md §8)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Final

from ops.conformance.case import Case, cases
from ops.conformance.peer import Frame, Peer
from ops.conformance.verdict import expect
from ops.conformance.world import World

MISSED: Final = 12
BACK: Final = 6


def _same(found: list[Frame], wanted: list[Frame], what: str) -> None:
    expect(
        found == wanted,
        f"{what}: {[(e['seq'], e['type']) for e in wanted]}",
        [(e["seq"], e["type"]) for e in found],
    )


async def _things_happen(peer: Peer, room: str) -> None:
    """Chat and playback in turn; danmaku between them, which are no events."""
    for number in range(MISSED):
        if number % 3 == 2:
            await peer.acked("playback", room=room, action="rate", rate=1 + number / 10)
        else:
            await peer.say(room, f"missed {number}")
    await peer.ask("danmaku", room=room, client_id="d", text="not an event")
    await peer.heard(room, ["missed 0"])


async def resuming_gives_exactly_what_was_missed(world: World) -> None:
    """`join` with after and epoch gives `resumed`, then exactly the events above `after`, in order, nothing twice."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room()
    async with owner.socket() as a, guest.socket() as b:
        joined = await b.join(room)
        await a.join(room)
        await a.say(room, "seen")
        await b.heard(room, ["seen"])
        after = b.events(room)[-1]["seq"]
        await b.acked("leave", room=room)
        await _things_happen(a, room)
        async with guest.socket() as back:
            resumed = await back.join(room, after=after, epoch=joined["epoch"])
            expect(resumed["type"] == "resumed", "resumed", resumed)
            expect(
                (resumed["after"], resumed["epoch"]) == (after, joined["epoch"]), "after and epoch", resumed
            )
            await a.say(room, "end")
            for peer in (a, back):
                await peer.heard(room, ["end"])
            missed = [event for event in a.events(room) if event["seq"] > after and event["type"] != "member"]
            got = [event for event in back.events(room) if event["type"] != "member"]
            _same(got, missed, "the events that were missed, each once, in order")
            numbers = [event["seq"] for event in back.events(room)]
            expect(numbers == sorted(set(numbers)) and numbers[0] > after, "seq rising, above after", numbers)
            newest = max(
                event["seq"]
                for event in missed
                if event["type"] != "chat" or event["message"]["text"] != "end"
            )
            expect(resumed["seq"] >= newest, f"seq of resumed at least {newest}, the newest missed", resumed)


async def resuming_where_nothing_was_missed(world: World) -> None:
    """With `after` at the newest event `resumed` is followed by what comes next, and nothing else."""
    owner = await world.owner()
    room = await owner.room()
    async with owner.socket() as a:
        joined = await a.join(room)
        await a.say(room, "seen")
        await a.heard(room, ["seen"])
        await a.drained(0.8)
        after = a.events(room)[-1]["seq"]
        async with owner.socket() as back:
            resumed = await back.join(room, after=after, epoch=joined["epoch"])
            expect(resumed["type"] == "resumed", "resumed", resumed)
            await a.say(room, "next")
            await back.heard(room, ["next"])
            expect(back.texts(room) == ["next"], "only what came next", back.texts(room))


async def resuming_while_the_room_talks(world: World) -> None:
    """However many events pass while somebody resumes, he gets each of them once."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room()
    said = [f"t{number}" for number in range(24)]
    async with owner.socket() as a, AsyncExitStack() as stack:
        joined = await a.join(room)

        async def talk() -> None:
            for text in said:
                await a.say(room, text)

        async def come_back() -> list[Peer]:
            backs = []
            for _ in range(BACK):
                peer = await stack.enter_async_context(guest.socket())
                answer = await peer.join(room, after=joined["seq"], epoch=joined["epoch"])
                expect(answer["type"] == "resumed", "resumed", answer)
                backs.append(peer)
            return backs

        _, backs = await asyncio.gather(talk(), come_back())
        for peer in backs:
            await peer.heard(room, said)
            expect(peer.texts(room) == said, "each message once, in order", peer.texts(room))


async def another_epoch_is_answered_by_joined(world: World) -> None:
    """What cannot be proved is answered by `joined`: another `epoch`."""
    owner = await world.owner()
    room = await owner.room()
    async with owner.socket() as peer:
        joined = await peer.join(room)
        answer = await peer.join(room, after=joined["seq"], epoch="of-another-server")
        expect(answer["type"] == "joined", "joined", answer)


async def a_future_after_is_answered_by_joined(world: World) -> None:
    """What cannot be proved is answered by `joined`: an `after` ahead of the stream."""
    owner = await world.owner()
    room = await owner.room()
    async with owner.socket() as peer:
        joined = await peer.join(room)
        answer = await peer.join(room, after=joined["seq"] + 1_000_000_000, epoch=joined["epoch"])
        expect(answer["type"] == "joined", "joined", answer)
        expect(answer["seq"] < joined["seq"] + 1_000_000_000, "the stream's own seq", answer["seq"])


async def joined_shows_what_resuming_would_tell(world: World) -> None:
    """A newcomer's `joined` and what follows tell nothing twice: messages in it come in no event again."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room()
    async with owner.socket() as a, guest.socket() as b:
        await a.join(room)
        for number in range(6):
            await a.say(room, f"m{number}")
            if number == 3:
                joined = await b.join(room)
        await b.heard(room, ["m5"])
        shown = [message["text"] for message in joined["messages"]]
        everything = shown + b.texts(room)
        expect(
            everything == [f"m{number}" for number in range(6)],
            "six messages, each once, in order",
            everything,
        )


CASES: Final[tuple[Case, ...]] = cases(
    resuming_gives_exactly_what_was_missed,
    resuming_where_nothing_was_missed,
    resuming_while_the_room_talks,
    another_epoch_is_answered_by_joined,
    a_future_after_is_answered_by_joined,
    joined_shows_what_resuming_would_tell,
)
