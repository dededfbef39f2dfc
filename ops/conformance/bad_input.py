"""What is no frame, too much, or too large (DESIGN.md §8)."""

from __future__ import annotations

import json
from typing import Final

from bus_schemas.limits import SOCKET_FRAME_MAX
from bus_schemas.socket_examples import ROOM, Example, examples
from bus_schemas.socket_frames import Error
from ops.conformance.case import Case, cases
from ops.conformance.peer import Frame, Peer
from ops.conformance.shapes import fault_in
from ops.conformance.verdict import Failed, Skipped, expect
from ops.conformance.world import World

FLOOD: Final = 400


async def _error_to(peer: Peer, example: Example) -> Frame:
    """The error that answers a frame that is none."""
    await peer.ws.send_str(example.text)
    error = await peer.of("error")
    fault = fault_in(Error, json.dumps(error))
    expect(not fault, "an error frame", f"{fault}; {error}")
    return error


async def what_is_no_frame_is_invalid(world: World) -> None:
    """Each golden frame that is none gets an error `invalid`, with its id where it has one; the socket goes on."""
    guest = await world.guest()
    async with guest.socket() as peer:
        for example in examples():
            if example.valid:
                continue
            error = await _error_to(peer, example)
            where = f"{example.name} ({example.fault})"
            expect(error["code"] == "invalid", f"{where} to be invalid", error)
            if '"id": "x"' in example.text:
                expect(error.get("id") == "x", f"{where} to be answered by its id", error)
        await peer.settle()


async def what_is_a_frame_is_taken(world: World) -> None:
    """No golden frame that is one is `invalid`, those with unknown fields included."""
    owner = await world.owner()
    room = await owner.room()
    async with owner.socket() as peer:
        for example in examples():
            if not example.valid or example.sender != "client":
                continue
            frame = json.loads(example.text.replace(f'"{ROOM}"', f'"{room}"'))
            frame["id"] = example.name
            await peer.ws.send_json(frame)
            answer = await peer.answer(example.name)
            expect(answer.get("code") != "invalid", f"{example.name} to be taken", answer)


async def unknown_types_are_invalid(world: World) -> None:
    """A type that is not known is `invalid`, never silence."""
    guest = await world.guest()
    async with guest.socket() as peer:
        await peer.refused("invalid", "abracadabra")


async def nested_json_is_refused(world: World) -> None:
    """JSON nested thousands deep is refused like any other, and costs nobody the socket."""
    guest = await world.guest()
    async with guest.socket() as peer:
        for text in ("[" * 30_000, '{"type":"ping","x":' + "[" * 20_000 + "]" * 20_000 + "}"):
            await peer.ws.send_str(text)
            await peer.settle()


async def frames_of_64_kib_are_read(world: World) -> None:
    """A frame of 64 KiB is read."""
    guest = await world.guest()
    async with guest.socket() as peer:
        head = '{"type":"ping","id":"large","x":"'
        await peer.ws.send_str(head + "x" * (SOCKET_FRAME_MAX - len(head) - 2) + '"}')
        answer = await peer.answer("large")
        expect(answer["type"] == "pong", "a pong", answer)


async def larger_frames_close_with_1009(world: World) -> None:
    """A frame over 64 KiB closes with 1009."""
    guest = await world.guest()
    async with guest.socket() as peer:
        await peer.ws.send_str('{"type":"ping","x":"' + "x" * SOCKET_FRAME_MAX + '"}')
        code = await peer.closed()
        expect(code == 1009, "close code 1009", code)


async def binary_frames_close_with_1003(world: World) -> None:
    """A binary frame closes with 1003."""
    guest = await world.guest()
    async with guest.socket() as peer:
        await peer.ws.send_bytes(b'{"type":"ping"}')
        code = await peer.closed()
        expect(code == 1003, "close code 1003", code)


async def hostile_ids_are_refused(world: World) -> None:
    """Ids that are no ids (dots, wildcards, paths) are `invalid` or `not_found`, wherever they stand."""
    guest = await world.guest()
    async with guest.socket() as peer:
        for room in ("*", ">", "a.b", "../x", "a b", "x" * 65, "é"):
            answer = await peer.ask("join", room=room)
            if answer["type"] != "error" or answer["code"] not in ("invalid", "not_found"):
                raise Failed(f"joining {room!r} to be invalid or not_found", answer)


async def floods_are_limited(world: World) -> None:
    """Frames over the rate are `rate_limited` with `retry_after`; all others are answered, and the socket goes on."""
    guest = await world.guest()
    async with guest.socket() as peer:
        for number in range(FLOOD):
            await peer.ws.send_json({"type": "ping", "id": number})
        answers = [await peer.answer(number) for number in range(FLOOD)]
        limited = [answer for answer in answers if answer["type"] == "error"]
        codes = {answer["code"] for answer in limited}
        expect(codes <= {"rate_limited"}, "pong or rate_limited", codes)
        if not limited:
            raise Skipped(f"{FLOOD} frames at once were answered: the server's limits are off, or higher")
        waits = [answer.get("retry_after") for answer in limited]
        expect(all(wait and wait > 0 for wait in waits), "retry_after in seconds", waits[:3])


async def chat_is_limited(world: World) -> None:
    """Too much chat is `rate_limited` with `retry_after`; what was acked came to the room, the rest did not."""
    owner = await world.owner()
    room = await owner.room()
    count = 60
    async with owner.socket() as peer:
        await peer.join(room)
        for number in range(count):
            await peer.ws.send_json(
                {"type": "chat", "id": number, "room": room, "client_id": f"c{number}", "text": f"m{number}"}
            )
        answers = [await peer.answer(number) for number in range(count)]
        limited = [answer for answer in answers if answer["type"] == "error"]
        codes = {answer["code"] for answer in limited}
        expect(codes <= {"rate_limited"}, "ack or rate_limited", codes)
        acked = [answer["message"]["text"] for answer in answers if answer["type"] == "ack"]
        await peer.heard(room, acked)
        expect(set(peer.texts(room)) == set(acked), f"events of what was acked, {acked}", peer.texts(room))
        if not limited:
            raise Skipped(f"{count} messages at once were acked: the server's limits are off, or higher")
        waits = [answer.get("retry_after") for answer in limited]
        expect(all(wait and wait > 0 for wait in waits), "retry_after in seconds", waits[:3])


CASES: Final[tuple[Case, ...]] = cases(
    what_is_no_frame_is_invalid,
    what_is_a_frame_is_taken,
    unknown_types_are_invalid,
    nested_json_is_refused,
    frames_of_64_kib_are_read,
    larger_frames_close_with_1009,
    binary_frames_close_with_1003,
    hostile_ids_are_refused,
    floods_are_limited,
    chat_is_limited,
)
