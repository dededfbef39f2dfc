"""Coming into rooms, what all members see, and being put out (DESIGN.md §8)."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Final

from bus_schemas.permissions import Permission
from ops.conformance.case import Case, cases
from ops.conformance.essentials import NEAR_S
from ops.conformance.peer import Peer
from ops.conformance.verdict import expect
from ops.conformance.world import ROOM_PASSWORD, World


async def join_gives_the_whole_room(world: World) -> None:
    """`joined` has you, state, playlist, members, messages, danmaku, streams, viewers, seq, epoch and now."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room()
    item = await owner.item(room)
    async with owner.socket() as a, guest.socket() as b:
        await a.join(room)
        await a.say(room, "hello")
        await a.acked("playback", room=room, action="select", item=item)
        await a.acked("danmaku", room=room, client_id="d1", text="wow")
        joined = await b.join(room)
        expect(joined["type"] == "joined", "joined", joined)
        expect(joined["you"]["user"]["id"] == guest.id, "who one is in `you`", joined["you"])
        expect(joined["state"]["item"] == item, "the room's state", joined["state"])
        expect(
            [one["id"] for one in joined["playlist"]["items"]] == [item], "the playlist", joined["playlist"]
        )
        online = {one["user"]["id"] for one in joined["members"] if one["online"]}
        expect(online == {owner.id, guest.id}, "both members, online", joined["members"])
        expect([one["text"] for one in joined["messages"]] == ["hello"], "the messages", joined["messages"])
        expect([one["text"] for one in joined["danmaku"]] == ["wow"], "the danmaku", joined["danmaku"])
        expect(joined["viewers"] == 2, "two viewers", joined["viewers"])
        near = abs(joined["now"] - time.time() * 1000) < NEAR_S * 1000  # noqa: TID251 - the operator's clock
        expect(near, "now as epoch milliseconds", joined["now"])


async def join_makes_one_a_member(world: World) -> None:
    """`join` makes one a member, as POST join does."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room()
    async with guest.socket() as peer:
        await peer.join(room)
    members = await owner.get(f"rooms/{room}/members")
    found = [member["user"]["id"] for member in members.json["items"]]
    expect(guest.id in found, "the guest among the members", found)


async def join_asks_for_the_password(world: World) -> None:
    """A room with a password is `forbidden` without it, and open with it; a member needs it no more."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room(password=ROOM_PASSWORD)
    async with guest.socket() as peer:
        await peer.refused("forbidden", "join", room=room)
        await peer.refused("forbidden", "join", room=room, password=ROOM_PASSWORD[::-1])
        await peer.join(room, password=ROOM_PASSWORD)
        await peer.join(room)


async def approval_is_waited_for(world: World) -> None:
    """Where a room wants approval `join` is `forbidden` until somebody lets one in, which is told by `you`."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room(settings={"approval": True})
    async with guest.socket() as peer:
        await peer.refused("forbidden", "join", room=room)
        waiting = await peer.of("you", room=room)
        expect(waiting["state"] == "pending", "you, pending", waiting)
        answer = await owner.send("PATCH", f"rooms/{room}/members/{guest.id}", {"state": "active"})
        expect(answer.status == 200, "PATCH to give 200", answer.shown)
        await peer.of("you", room=room, state="active")
        joined = await peer.join(room)
        expect(joined["you"]["state"] == "active", "joined, active", joined["you"])


async def unknown_rooms_are_not_found(world: World) -> None:
    """A room that does not exist is `not_found`, for `join` and for whatever is asked of it."""
    guest = await world.guest()
    async with guest.socket() as peer:
        await peer.refused("not_found", "join", room="no-such-room")
        await peer.refused("not_found", "chat", room="no-such-room", client_id="c", text="hello?")


async def left_rooms_are_silent(world: World) -> None:
    """After `leave` nothing of the room comes, other rooms go on, and the membership stays."""
    owner, guest = await world.owner(), await world.guest()
    room, other = await owner.room(), await owner.room()
    async with owner.socket() as a, guest.socket() as b:
        for one in (room, other):
            await a.join(one)
            await b.join(one)
        await b.acked("leave", room=room)
        await a.say(room, "while away")
        await a.say(other, "still here")
        await b.heard(other, ["still here"])
        expect(b.texts(room) == [], "no events of the room that was left", b.events(room))
        mine = await guest.get("rooms/mine?limit=100")
        expect(room in [one["id"] for one in mine.json["items"]], "the room among rooms/mine", mine.shown)


async def two_rooms_on_one_socket(world: World) -> None:
    """One socket may be in many rooms; each event names its own."""
    owner = await world.owner()
    rooms = [await owner.room() for _ in range(2)]
    async with owner.socket() as peer:
        for room in rooms:
            await peer.join(room)
        for number in range(4):
            await peer.say(rooms[number % 2], f"m{number}")
        await peer.heard(rooms[0], ["m0", "m2"])
        await peer.heard(rooms[1], ["m1", "m3"])
        expect(peer.texts(rooms[0]) == ["m0", "m2"], "the first room's own events", peer.texts(rooms[0]))
        expect(peer.texts(rooms[1]) == ["m1", "m3"], "the second room's own events", peer.texts(rooms[1]))


async def events_go_to_everybody(world: World) -> None:
    """An event goes to every member, the sender included, with the same content."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room()
    async with owner.socket() as a, guest.socket() as b:
        await a.join(room)
        await b.join(room)
        ack = await a.say(room, "to everybody")
        for peer in (a, b):
            event = await peer.of("chat")
            expect(event["message"] == ack["message"], f"the message of the ack, {ack['message']}", event)


async def seq_rises_in_one_order(world: World) -> None:
    """Events carry `seq`, which rises above that of `joined`, and come to all members in one order, each once."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room()
    async with owner.socket() as a, guest.socket() as b:
        starts = {id(peer): (await peer.join(room))["seq"] for peer in (a, b)}
        for number in range(6):
            await (a, b)[number % 2].say(room, f"m{number}")
            await a.acked("playback", room=room, action="rate", rate=1 + number / 10)
        await owner.item(room)
        orders = []
        for peer in (a, b):
            await peer.of("playlist")
            await peer.heard(room, [f"m{number}" for number in range(6)])
            numbers = [event["seq"] for event in peer.events(room)]
            expect(numbers == sorted(set(numbers)), "seq to rise from event to event", numbers)
            expect(numbers[0] > starts[id(peer)], f"events above the {starts[id(peer)]} of joined", numbers)
            orders.append([(e["seq"], e["type"]) for e in peer.events(room) if e["type"] != "member"])
        expect(orders[0] == orders[1], "both members to get the same events with the same seq", orders)


async def members_come_and_go(world: World) -> None:
    """`member` says who came (first connection) and went (last one), once; `viewers` counts them without a seq."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room()
    async with owner.socket() as a:
        await a.join(room)
        async with guest.socket() as b, guest.socket() as again:
            await b.join(room)
            came = await a.until(
                lambda f: f["type"] == "member" and f["member"]["user"]["id"] == guest.id, "member joined"
            )
            await again.join(room)
            await again.acked("leave", room=room)
            await a.drained(1.0)
        went = await a.until(
            lambda f: (
                f["type"] == "member" and f["member"]["user"]["id"] == guest.id and f["change"] != "updated"
            ),
            "member left",
            within=15,
        )
        await a.drained(0.7)
        expect((came["change"], came["member"]["online"]) == ("joined", True), "joined, online", came)
        expect((went["change"], went["member"]["online"]) == ("left", False), "left, not online", went)
        counts = [frame["count"] for frame in a.frames if frame["type"] == "viewers"]
        expect(counts and counts[-1] == 1, "viewers to end at 1", counts)


async def settings_are_told(world: World) -> None:
    """A room that is set otherwise tells its members: `settings`."""
    owner = await world.owner()
    room = await owner.room()
    async with owner.socket() as peer:
        await peer.join(room)
        answer = await owner.send("PATCH", f"rooms/{room}", {"name": "Another name"})
        expect(answer.status == 200, "PATCH to give 200", answer.shown)
        event = await peer.of("settings")
        expect(event["settings"]["name"] == "Another name", "the new name", event)


async def playlist_changes_are_told(world: World) -> None:
    """A change of the playlist is an event with `change`, the item and a `version` that rises."""
    owner = await world.owner()
    room = await owner.room()
    async with owner.socket() as peer:
        version = (await peer.join(room))["playlist"]["version"]
        item = await owner.item(room)
        added = await peer.of("playlist", change="added")
        await owner.send("DELETE", f"rooms/{room}/playlist/{item}")
        removed = await peer.of("playlist", change="removed")
        shown = added["item"] or (added["items"] or [{}])[0]
        expect(shown.get("id") == item, "the new item", added)
        expect(
            version < added["version"] < removed["version"], "a version that rises", [version, added, removed]
        )


async def new_rights_are_told(world: World) -> None:
    """Rights that are taken away are told to their owner by `you`, and hold for his next frame."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room()
    async with guest.socket() as peer:
        await peer.join(room)
        await peer.say(room, "I may")
        mask = str(int(Permission.SEND_CHAT))
        answer = await owner.send("PATCH", f"rooms/{room}/members/{guest.id}", {"removed": mask})
        expect(answer.status == 200, "PATCH to give 200", answer.shown)
        you = await peer.of("you", room=room)
        expect(not int(you["permissions"]) & Permission.SEND_CHAT, "permissions without SEND_CHAT", you)
        await peer.refused("forbidden", "chat", room=room, client_id="c", text="may I?")


async def the_kicked_are_told(world: World) -> None:
    """Kicked is a frame, not a close: other rooms go on, of this one nothing more comes."""
    owner, guest = await world.owner(), await world.guest()
    room, other = await owner.room(), await owner.room()
    async with owner.socket() as a, guest.socket() as b:
        for one in (room, other):
            await a.join(one)
            await b.join(one)
        answer = await owner.send("DELETE", f"rooms/{room}/members/{guest.id}")
        expect(answer.status in (200, 204), "DELETE to give 204", answer.shown)
        kicked = await b.of("kicked", room=room)
        expect("seq" not in kicked and kicked["reason"], "kicked with a reason, without seq", kicked)
        await a.say(room, "among us")
        await a.say(other, "still here?")
        await b.heard(other, ["still here?"])
        expect(b.texts(room) == [], "nothing more of the room", b.texts(room))
        await b.refused("forbidden", "chat", room=room, client_id="c", text="hello?")


async def the_banned_stay_out(world: World) -> None:
    """A ban puts out at once, by a frame, and joining again is `forbidden`."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room()
    async with guest.socket() as peer:
        await peer.join(room)
        answer = await owner.send("PATCH", f"rooms/{room}/members/{guest.id}", {"state": "banned"})
        expect(answer.status == 200, "PATCH to give 200", answer.shown)
        await peer.of("kicked", room=room)
        await peer.refused("forbidden", "join", room=room)


async def a_deleted_room_says_so(world: World) -> None:
    """Members of a room that is deleted get `room_deleted`; the socket goes on, the room is `not_found`."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room()
    async with guest.socket() as peer:
        await peer.join(room)
        answer = await owner.send("DELETE", f"rooms/{room}")
        expect(answer.status in (200, 204), "DELETE to give 204", answer.shown)
        await peer.of("room_deleted", room=room)
        await peer.refused("not_found", "join", room=room)


async def private_streams_come_with_play_tokens(world: World) -> None:
    """Members of a private room get a `play_token` for each of its streams; `joined` lists them."""
    owner = await world.owner()
    room = await owner.room(password=ROOM_PASSWORD)
    made = await owner.post(f"rooms/{room}/streams", {"title": "camera"})
    expect(made.status == 201, "POST streams to give 201", made.shown)
    async with owner.socket() as peer:
        joined = await peer.join(room)
        listed = [(one["stream"], one["status"]) for one in joined["streams"]]
        expect(listed == [(made.json["stream"], "offline")], "the stream, offline", listed)
        given = await peer.of("play_token", stream=made.json["stream"])
        expect(given["expires_at"] > joined["now"] and given["token"], "a token with a future", given)


async def buffering_is_shown(world: World) -> None:
    """Who reports buffering is shown so to the others: `member updated` with `sync`, and again when it is over."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room()
    item = await owner.item(room)
    async with owner.socket() as a, guest.socket() as b:
        await a.join(room)
        await b.join(room)
        for buffering in (True, False):
            await b.acked("report", **_report(room, item, buffering=buffering))
            await _shown(a, guest.id, buffering=buffering)


def _report(room: str, item: str, *, buffering: bool) -> dict[str, object]:
    return {
        "room": room, "item": item, "position": 1.0, "playing": not buffering, "buffering": buffering, "rate": 1.0,
        "rtt": 20.0,
    }  # fmt: skip


async def _shown(peer: Peer, user: str, *, buffering: bool) -> None:
    await peer.until(
        lambda f: (
            f["type"] == "member"
            and f["member"]["user"]["id"] == user
            and f["change"] == "updated"
            and f["member"]["sync"]["buffering"] is buffering
        ),
        f"member updated with buffering {buffering}",
    )


async def many_speak_at_once(world: World) -> None:
    """What many say at once comes to all of them, each thing once, in one order, each speaker's in his own."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room()
    async with owner.socket() as a, guest.socket() as b:
        for peer in (a, b):
            await peer.join(room)
        said = {name: [f"{name}{number}" for number in range(8)] for name in "ab"}

        async def speak(peer: Peer, texts: list[str]) -> None:
            for text in texts:
                await peer.say(room, text)

        await asyncio.gather(speak(a, said["a"]), speak(b, said["b"]))
        for peer in (a, b):
            await peer.heard(room, said["a"] + said["b"])
        heard = a.texts(room)
        expect(heard == b.texts(room), "one order for both", [heard, b.texts(room)])
        twice = [text for text, times in Counter(heard).items() if times > 1]
        expect(not twice, "each message once", twice)
        for texts in said.values():
            expect([text for text in heard if text in texts] == texts, f"the speaker's order {texts}", heard)


CASES: Final[tuple[Case, ...]] = cases(
    join_gives_the_whole_room,
    join_makes_one_a_member,
    join_asks_for_the_password,
    approval_is_waited_for,
    unknown_rooms_are_not_found,
    left_rooms_are_silent,
    two_rooms_on_one_socket,
    events_go_to_everybody,
    seq_rises_in_one_order,
    many_speak_at_once,
    members_come_and_go,
    settings_are_told,
    playlist_changes_are_told,
    new_rights_are_told,
    the_kicked_are_told,
    the_banned_stay_out,
    a_deleted_room_says_so,
    private_streams_come_with_play_tokens,
    buffering_is_shown,
)
