"""Answers to frames: ids, acks and errors, chat, danmaku, commands, clocks (DESIGN.md §8)."""

from __future__ import annotations

from typing import Any, Final

from ops.conformance.case import Case, cases
from ops.conformance.verdict import expect
from ops.conformance.world import World

LEAD_MIN_MS: Final = 300
LEAD_MAX_MS: Final = 1_500
SLACK_MS: Final = 1_000
"""Between the server's stamp and the answer to a sample of its clock, at most."""


async def every_id_is_answered_once(world: World) -> None:
    """Each frame with an id is answered by exactly one frame with that id, of the right type, as it came."""
    guest = await world.guest()
    owner = await world.owner()
    room = await owner.room()
    async with guest.socket() as peer:
        await peer.join(room)
        asked: dict[str | int, tuple[dict[str, Any], str]] = {
            "text": ({"type": "ping"}, "pong"),
            7: ({"type": "ping"}, "pong"),
            "7": ({"type": "time", "t0": 1}, "time"),
            "chat": ({"type": "chat", "room": room, "client_id": "c", "text": "hello"}, "ack"),
            "danmaku": ({"type": "danmaku", "room": room, "client_id": "d", "text": "wow"}, "ack"),
            "report": ({"type": "report", "room": room, "playing": False}, "ack"),
            "play": ({"type": "playback", "room": room, "action": "play"}, "error"),
            "join": ({"type": "join", "room": room}, "joined"),
            "leave": ({"type": "leave", "room": room}, "ack"),
        }
        for frame_id, (frame, _) in asked.items():
            await peer.ws.send_json({**frame, "id": frame_id})
        for frame_id, (frame, kind) in asked.items():
            answer = await peer.answer(frame_id)
            expect(answer["type"] == kind, f"{frame['type']} to be answered by {kind}", answer)
        await peer.settle()
        for frame_id in asked:
            answers = [
                one for one in peer.frames if one.get("id") == frame_id and type(one["id"]) is type(frame_id)
            ]
            expect(len(answers) == 1, f"one answer to {frame_id!r}", answers)


async def frames_without_id_get_only_errors(world: World) -> None:
    """A frame without an id is done and gets no ack; where it is refused it gets an error, without an id."""
    owner = await world.owner()
    room = await owner.room()
    async with owner.socket() as peer:
        await peer.join(room)
        await peer.ws.send_json({"type": "chat", "room": room, "client_id": "c", "text": "no id"})
        await peer.heard(room, ["no id"])
        await peer.ws.send_json(
            {"type": "playback", "room": room, "action": "select", "item": "no-such-item"}
        )
        error = await peer.of("error")
        expect("id" not in error, "an error without an id", error)
        await peer.settle()
        acks = [frame for frame in peer.frames if frame["type"] == "ack"]
        expect(not acks, "no ack", acks)


async def errors_say_what_to_do(world: World) -> None:
    """An error has a code, a sentence and the room it is about, and the socket goes on."""
    guest = await world.guest()
    async with guest.socket() as peer:
        error = await peer.refused("not_found", "join", room="no-such-room")
        expect(error["detail"] and error.get("room") == "no-such-room", "detail and room", error)
        await peer.settle()


async def resent_chat_is_the_same_message(world: World) -> None:
    """The same `client_id` again, also from another socket, is acked with the same message and posted once."""
    owner = await world.owner()
    room = await owner.room()
    async with owner.socket() as a, owner.socket() as b:
        await a.join(room)
        await b.join(room)
        first = await a.say(room, "once", "same")
        again = await b.say(room, "once", "same")
        await a.say(room, "end", "last")
        await a.heard(room, ["end"])
        same = first["message"]["id"] == again["message"]["id"]
        expect(same, "the same message id", [first["message"], again["message"]])
        expect(a.texts(room) == ["once", "end"], "one event of it", a.texts(room))


async def an_ack_of_chat_means_stored(world: World) -> None:
    """The ack of a chat message carries it as stored: history has it, as typed, without control characters."""
    owner = await world.owner()
    room = await owner.room()
    async with owner.socket() as peer:
        await peer.join(room)
        message = (await peer.say(room, "<b>as\u0007 typed</b>", "c1"))["message"]
        expect(message["text"] == "<b>as typed</b>", "the text as typed", message)
        expect(message["user"]["id"] == owner.id, "who said it", message)
        reply = (await peer.acked("chat", room=room, client_id="c2", text="yes", reply_to=message["id"]))[
            "message"
        ]
        expect(reply.get("reply_to") == message["id"], "reply_to", reply)
    history = await owner.get(f"rooms/{room}/messages")
    found = [one["id"] for one in history.json["items"]]
    expect(found == [message["id"], reply["id"]], "both in the history", history.shown)


async def deleted_chat_is_told(world: World) -> None:
    """A message that is taken away is told by `chat_deleted`, and gone from the history."""
    owner = await world.owner()
    room = await owner.room()
    async with owner.socket() as peer:
        await peer.join(room)
        message = (await peer.say(room, "oops"))["message"]["id"]
        answer = await owner.send("DELETE", f"rooms/{room}/messages/{message}")
        expect(answer.status in (200, 204), "DELETE to give 204", answer.shown)
        event = await peer.of("chat_deleted")
        expect(event["message_id"] == message, message, event)
    history = await owner.get(f"rooms/{room}/messages")
    expect(history.json["items"] == [], "an empty history", history.shown)


async def danmaku_carry_no_seq(world: World) -> None:
    """A danmaku goes to all members with text, color, mode, size and time, and carries no seq."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room()
    async with owner.socket() as a, guest.socket() as b:
        await a.join(room)
        await b.join(room)
        await a.acked(
            "danmaku", room=room, client_id="d1", text="wow", color="#FF0000", mode="top", size="large"
        )
        for peer in (a, b):
            shown = await peer.of("danmaku")
            expect("seq" not in shown, "no seq", shown)
            found = (shown["text"], shown["color"].lower(), shown["mode"], shown["size"], shown["user"]["id"])
            expect(found == ("wow", "#ff0000", "top", "large", owner.id), "what was sent", shown)


async def commands_are_agreed(world: World) -> None:
    """An ack of `playback` carries the state; the event the same state, and who did it; revisions rise by one."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room()
    item = await owner.item(room, duration=600)
    async with owner.socket() as a, guest.socket() as b:
        await a.join(room)
        revision = (await b.join(room))["state"]["revision"]
        for fields in (
            {"action": "select", "item": item},
            {"action": "rate", "rate": 1.25},
            {"action": "seek", "position": 60.0},
            {"action": "mode", "mode": "repeat_all"},
        ):
            state = (await a.acked("playback", room=room, **fields))["state"]
            revision += 1
            expect(state["revision"] == revision, f"revision {revision} after {fields['action']}", state)
            for peer in (a, b):
                event = await peer.of("playback")
                expect(event["state"] == state, f"the state of the ack, {state}", event)
                expect((event["by"] or {}).get("id") == owner.id, "who did it", event["by"])
        expect(
            (state["item"], state["rate"], state["position"], state["mode"])
            == (item, 1.25, 60.0, "repeat_all"),
            "what was asked",
            state,
        )


async def play_is_scheduled_and_pause_agreed(world: World) -> None:
    """Play takes effect 300 ms to 1.5 s ahead; pause at once, with the position all stop at; select stops at 0."""
    owner = await world.owner()
    room = await owner.room()
    item = await owner.item(room, duration=600)
    async with owner.socket() as peer:
        await peer.join(room)
        selected = (await peer.acked("playback", room=room, action="select", item=item))["state"]
        expect((selected["playing"], selected["position"]) == (False, 0), "stopped at 0", selected)
        before = (await peer.ask("time", t0=0))["t1"]
        played = (await peer.acked("playback", room=room, action="play"))["state"]
        after = (await peer.ask("time", t0=0))["t2"]
        ahead = f"at {LEAD_MIN_MS} to {LEAD_MAX_MS} ms ahead of the server's clock ({before} to {after})"
        in_time = before + LEAD_MIN_MS <= played["at"] <= after + LEAD_MAX_MS
        expect(played["playing"] and in_time, ahead, played)
        sought = (await peer.acked("playback", room=room, action="seek", position=120))["state"]
        expect(sought["playing"] and sought["position"] == 120, "playing on at 120", sought)
        paused = (await peer.acked("playback", room=room, action="pause"))["state"]
        expect(
            not paused["playing"] and 120 <= paused["position"] < 125, "stopped at 120 or a bit later", paused
        )


async def stale_commands_conflict(world: World) -> None:
    """A command based on another revision is a `conflict`, which carries the current state; nothing happens."""
    owner = await world.owner()
    room = await owner.room()
    async with owner.socket() as peer:
        await peer.join(room)
        first = (await peer.acked("playback", room=room, action="rate", rate=1.5))["state"]
        second = (await peer.acked("playback", room=room, action="rate", rate=2, revision=first["revision"]))[
            "state"
        ]
        error = await peer.refused(
            "conflict", "playback", room=room, action="rate", rate=3, revision=first["revision"]
        )
        expect(error.get("state") == second, f"the current state, {second}", error)
    read = await owner.get(f"rooms/{room}/playback")
    expect(read.json["state"] == second, f"the state as it was, {second}", read.shown)


async def far_seeks_end_at_the_end(world: World) -> None:
    """A position past the end is clamped to it."""
    owner = await world.owner()
    room = await owner.room()
    item = await owner.item(room, duration=600)
    async with owner.socket() as peer:
        await peer.join(room)
        await peer.acked("playback", room=room, action="select", item=item)
        state = (await peer.acked("playback", room=room, action="seek", position=1e6))["state"]
        expect(state["position"] <= 600, "a position of at most 600", state)


async def items_of_other_rooms_are_not_found(world: World) -> None:
    """Another room's item cannot be selected: `not_found`."""
    owner = await world.owner()
    room, other = await owner.room(), await owner.room()
    item = await owner.item(other)
    async with owner.socket() as peer:
        await peer.join(room)
        await peer.refused("not_found", "playback", room=room, action="select", item=item)


async def those_who_may_not_are_forbidden(world: World) -> None:
    """Commands without the right are `forbidden`, one as the other, and nothing happens."""
    owner, guest = await world.owner(), await world.guest()
    room = await owner.room(preset="host_only")
    item = await owner.item(room)
    async with guest.socket() as peer:
        before = (await peer.join(room))["state"]
        for fields in (
            {"action": "play"},
            {"action": "pause"},
            {"action": "seek", "position": 1},
            {"action": "rate", "rate": 2},
            {"action": "select", "item": item},
            {"action": "next"},
            {"action": "undo"},
        ):
            await peer.refused("forbidden", "playback", room=room, **fields)
    read = await owner.get(f"rooms/{room}/playback")
    expect(read.json["state"] == before, f"the state as it was, {before}", read.shown)


async def undo_takes_back(world: World) -> None:
    """`undo` takes the last change back."""
    owner = await world.owner()
    room = await owner.room()
    item = await owner.item(room)
    async with owner.socket() as peer:
        await peer.join(room)
        await peer.acked("playback", room=room, action="select", item=item)
        await peer.acked("playback", room=room, action="rate", rate=2)
        state = (await peer.acked("playback", room=room, action="undo"))["state"]
        expect((state["item"], state["rate"]) == (item, 1), "the rate as it was before", state)


async def clocks_are_sampled(world: World) -> None:
    """`time {t0}` is answered with t0 as it came, t1 received and t2 sent, t1 not after t2."""
    guest = await world.guest()
    async with guest.socket() as peer:
        last = 0
        for t0 in (0, 1_790_000_000_000, 12.5):
            sample = await peer.ask("time", t0=t0)
            expect(sample["type"] == "time", "time", sample)
            expect(sample["t0"] == t0, f"t0 {t0}", sample)
            expect(last <= sample["t1"] <= sample["t2"], "stamps that do not go back", sample)
            last = sample["t2"]


CASES: Final[tuple[Case, ...]] = cases(
    every_id_is_answered_once,
    frames_without_id_get_only_errors,
    errors_say_what_to_do,
    resent_chat_is_the_same_message,
    an_ack_of_chat_means_stored,
    deleted_chat_is_told,
    danmaku_carry_no_seq,
    commands_are_agreed,
    play_is_scheduled_and_pause_agreed,
    stale_commands_conflict,
    far_seeks_end_at_the_end,
    items_of_other_rooms_are_not_found,
    those_who_may_not_are_forbidden,
    undo_takes_back,
    clocks_are_sampled,
)
