"""Bad input on the socket: each gets a clear, documented answer and costs nobody else anything."""

import asyncio
import base64
import contextlib
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.ws.session import ABUSE_MAX
from tests.integration.gateway_process import GatewayProcess, Person, visiting
from tests.integration.room_stack import RoomStack
from tests.integration.sockets import connected

pytestmark = pytest.mark.connected

MB = 1 << 20


@pytest.fixture(scope="module")
def rooms(
    tmp_path_factory: pytest.TempPathFactory,
    nats_url: str,
    module_postgres_dsn: str,
    module_redis_url: str,
) -> Iterator[RoomStack]:
    """Workers, and gateways as they are asked for."""
    stack = RoomStack(
        tmp_path_factory.mktemp("bad-input"),
        nats=nats_url,
        postgres=module_postgres_dsn,
        redis=module_redis_url,
    )
    try:
        stack.workers.start("sync")
        stack.workers.start("chat")
        yield stack
    finally:
        stack.close()


@pytest.fixture(scope="module")
def gateway(rooms: RoomStack) -> GatewayProcess:
    """A gateway without limits."""
    return rooms.gateway()


@pytest.fixture(scope="module")
def strict(rooms: RoomStack) -> GatewayProcess:
    """A gateway with limits."""
    return rooms.gateway(
        LIMITS__ENABLED="true",
        LIMITS__CHAT_PER_SECOND="2",
        LIMITS__FRAMES_PER_SECOND="50",
        LIMITS__SOCKETS_PER_ADDRESS="3",
        LIMITS__SIGN_INS_PER_MINUTE="1000",
    )


@pytest.fixture
async def ann(gateway: GatewayProcess) -> AsyncIterator[Person]:
    """A guest."""
    async with visiting(gateway.http) as person:
        yield await person.register(f"ann-{os.urandom(4).hex()}")


async def still_well(person: Person, room: str) -> None:
    """Somebody else's room works as if nothing had happened."""
    async with connected(person) as other:
        await other.join(room)
        assert (await other.ask("chat", room=room, client_id=os.urandom(4).hex(), text="fine"))[
            "type"
        ] == "ack"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "nonsense",
        "[]",
        "null",
        '"text"',
        "[" * 10_000,
        '{"type":"chat","text":"\\ud800"}',
        '{"type":"join"}',
        '{"type":"join","room":"a.b"}',
        '{"type":"join","room":"*"}',
        '{"type":"join","room":">"}',
        '{"type":"join","room":{"$ne":1}}',
        '{"type":"leave","room":"../../etc"}',
        '{"type":"nope"}',
        '{"type":["join"]}',
        '{"type":"auth","token":5}',
        '{"type":"time","t0":"yesterday"}',
        '{"type":"report","room":"r","buffering":"yes"}',
        '{"type":"playback","room":"r","action":"seek","position":"NaN"}',
        '{"type":"playback","room":"r","action":"seek","position":-1}',
        '{"type":"playback","room":"r","action":"rate","rate":1000}',
        '{"type":"danmaku","room":"r","client_id":"c","text":"' + "x" * 101 + '"}',
        '{"type":"chat","room":"r","client_id":"c","text":"' + "x" * 2_001 + '"}',
    ],
)
async def test_what_is_no_frame_gets_an_error_and_the_socket_lives(ann: Person, text: str) -> None:
    """Malformed, unknown or ill-typed: `invalid`, and the next frame is served."""
    async with connected(ann) as sock:
        await sock.ws.send_str(text)
        error = await sock.of("error")

        assert (error["code"], "id" in error) == ("invalid", False)
        assert error["detail"]
        assert (await sock.ask("ping"))["type"] == "pong"


async def test_a_bad_frame_with_an_id_is_answered_by_it(ann: Person) -> None:
    """The error names the frame it is about, the type of the id included."""
    async with connected(ann) as sock:
        await sock.ws.send_str('{"type":"nope","id":41}')
        await sock.ws.send_str('{"type":"playback","id":"s","room":"r","action":"seek"}')

        assert (await sock.answer(41))["code"] == "invalid"
        assert "position" in (await sock.answer("s"))["detail"]


@pytest.mark.parametrize("size", [(64 << 10) + 1, MB])
async def test_an_oversized_frame_closes_with_1009(ann: Person, size: int) -> None:
    """More than 64 KiB: closed as too big, and nobody else notices."""
    room = await ann.make_room()
    async with connected(ann) as sock:
        frame = {"type": "chat", "room": room, "client_id": "c", "text": "x" * size}
        await sock.ws.send_str(json.dumps(frame))

        assert await sock.closed() == 1009
    await still_well(ann, room)


async def test_a_frame_beyond_all_bounds_is_cut_off(ann: Person) -> None:
    """What is not even read to its end closes too, be it that the sender is too busy sending to hear why."""
    room = await ann.make_room()
    async with connected(ann) as sock:
        with contextlib.suppress(ConnectionError):
            await sock.ws.send_str("x" * (16 * MB))
            assert await sock.closed() in {1009, 1006}
    await still_well(ann, room)


async def test_a_frame_of_the_full_size_is_read(ann: Person) -> None:
    """64 KiB is allowed, whatever is in it."""
    async with connected(ann) as sock:
        frame = '{"type":"ping","id":"big","padding":"%s"}'
        await sock.ws.send_str(frame % ("x" * ((64 << 10) - len(frame) + 2)))

        assert (await sock.answer("big"))["type"] == "pong"


async def test_a_binary_frame_closes_with_1003(ann: Person) -> None:
    """Frames are text."""
    async with connected(ann) as sock:
        await sock.ws.send_bytes(b"\x00\x01")

        assert await sock.closed() == 1003


class RawSocket:
    """A WebSocket client that can do wrong."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, person: Person) -> AsyncIterator["RawSocket"]:
        host, _, port = person.http.removeprefix("http://").partition(":")
        sock = socket.create_connection((host, int(port)))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        reader, writer = await asyncio.open_connection(sock=sock)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /ws?token={person.token} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in head.split(b"\r\n")[0], head
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    def send(self, first: int, payload: bytes) -> None:
        self.writer.write(bytes((first, 0x80 | len(payload))) + bytes(4) + payload)

    async def close_code(self) -> int:
        """The code of the close frame, whatever comes before it."""
        async with asyncio.timeout(20):
            while True:
                first, length = await self.reader.readexactly(2)
                if length == 126:
                    (length,) = struct.unpack("!H", await self.reader.readexactly(2))
                elif length == 127:
                    (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
                payload = await self.reader.readexactly(length)
                if first & 0xF == 0x8:
                    return int(struct.unpack("!H", payload[:2])[0])


@pytest.mark.parametrize(
    ("first", "payload", "code"),
    [
        (0x81, b'{"type":"\xff\xfe"}', 1007),
        (0x83, b"x", 1002),
        (0xC1, b"x", 1002),
        (0x80, b"x", 1002),
        (0x09, b"x", 1002),
    ],
    ids=["no UTF-8", "unknown opcode", "reserved bit", "continuation of nothing", "fragmented ping"],
)
async def test_broken_websocket_closes_with_its_code(
    ann: Person, first: int, payload: bytes, code: int
) -> None:
    """Faults of the protocol itself close with the standard codes."""
    async with RawSocket.open(ann) as raw:
        raw.send(first, payload)

        assert await raw.close_code() == code


async def test_half_a_handshake_costs_nothing(ann: Person) -> None:
    """Garbage instead of a handshake, and half of one, leave the gateway well."""
    host, _, port = ann.http.removeprefix("http://").partition(":")
    for data in (b"\x00\xff" * 500, b"GET /ws HTTP/1.1\r\nUpgrade: webso"):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(data)
        await writer.drain()
        writer.close()
        del reader
    plain = await ann.send("GET", "/ws")

    assert (plain.status, plain.code) == (400, "invalid")
    await still_well(ann, await ann.make_room())


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("'; DROP TABLE messages; --", "'; DROP TABLE messages; --"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("a\x00b\x07c\x1b[31md", "abc[31md"),
        ("{{7*7}} ${x} %s %n", "{{7*7}} ${x} %s %n"),
        ("👩‍👩‍👧 العربية \u202eevil", "👩‍👩‍👧 العربية evil"),
    ],
)
async def test_any_text_is_only_text(ann: Person, text: str, stored: str) -> None:
    """What is typed is stored and shown as typed, without control characters."""
    room = await ann.make_room()
    async with connected(ann) as sock:
        await sock.join(room)
        said = await sock.ask("chat", room=room, client_id="c", text=text)
        history = await ann.get(f"rooms/{room}/messages")

        assert said["message"]["text"] == stored
        assert [message["text"] for message in history.json["items"]] == [stored]


@pytest.mark.parametrize("text", ["\x00", "\n \t", "\u200b\u200b"])
async def test_a_message_without_anything_to_read_is_invalid(ann: Person, text: str) -> None:
    """Control characters and blanks alone are no message."""
    room = await ann.make_room()
    async with connected(ann) as sock:
        await sock.join(room)

        assert await sock.refused("chat", room=room, client_id="c", text=text) == "invalid"


async def test_rooms_that_do_not_exist_or_are_hidden_are_not_found(ann: Person) -> None:
    """A stranger learns nothing of a hidden room by commanding it; an unknown one is not found."""
    stranger = await ann.somebody_else().register(f"s-{os.urandom(4).hex()}")
    hidden = await ann.make_room(hidden=True)
    open_room = await ann.make_room()
    async with connected(stranger) as sock:
        for room in ("nosuchroom", hidden):
            assert await sock.refused("playback", room=room, action="play") == "not_found"
            assert await sock.refused("chat", room=room, client_id="c", text="t") == "not_found"
        assert await sock.refused("join", room="nosuchroom") == "not_found"
        assert await sock.refused("playback", room=open_room, action="play") == "forbidden"
        assert await sock.refused("report", room=open_room, position=1) == "forbidden"


async def test_ids_in_paths_are_never_subjects(ann: Person) -> None:
    """Dots and wildcards where an id belongs are not found, on every route of a room."""
    for room in ("a.b", "%2A", "%3E", "a%00b", "..%2Fx"):
        for method, path in (
            ("GET", "playback"),
            ("POST", "playback"),
            ("GET", "messages"),
            ("DELETE", "messages/x"),
        ):
            body = {"action": "play"} if method == "POST" else None
            assert (await ann.send(method, f"rooms/{room}/{path}", body)).code == "not_found"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "explode"},
        {"action": "seek"},
        {"action": "seek", "position": "12"},
        {"action": "seek", "position": -1},
        {"action": "seek", "position": True},
        {"action": "rate", "rate": 9},
        {"action": "select", "item": "a.b"},
        {"action": "mode", "mode": "backwards"},
        {"action": "play", "revision": "new"},
    ],
)
async def test_bad_commands_over_http_are_invalid(ann: Person, body: dict[str, object]) -> None:
    """The rules of the socket's frames are those of the body."""
    room = await ann.make_room()
    answer = await ann.post(f"rooms/{room}/playback", body)

    assert (answer.status, answer.code) == (422, "invalid")
    assert answer.json["errors"]


async def test_too_much_chat_is_limited_with_a_time(strict: GatewayProcess) -> None:
    """Over the rate: `rate_limited` with `retry_after`, per user and room."""
    async with visiting(strict.http) as person:
        await person.register(f"fast-{os.urandom(4).hex()}")
        room = await person.make_room()
        async with connected(person) as sock:
            await sock.join(room)
            ids = [await sock.send("chat", room=room, client_id=f"c{n}", text="spam") for n in range(6)]
            answers = [await sock.answer(frame_id) for frame_id in ids]

    limited = [answer for answer in answers if answer["type"] == "error"]
    assert answers[0]["type"] == "ack"
    assert len(limited) >= 3
    assert all(answer["code"] == "rate_limited" and answer["retry_after"] > 0 for answer in limited)


async def test_a_flood_is_limited_then_closed(strict: GatewayProcess) -> None:
    """Frames over the rate are refused; who goes on and on is closed with 1008."""
    async with visiting(strict.http) as person:
        await person.register(f"flood-{os.urandom(4).hex()}")
        async with connected(person) as sock:
            for _ in range(ABUSE_MAX * 2):
                await sock.ws.send_str('{"type":"ping"}')

            assert await sock.closed() == 1008
            assert any(frame.get("code") == "rate_limited" for frame in sock.frames)


async def test_sockets_of_an_address_are_bounded(strict: GatewayProcess) -> None:
    """One too many is refused before the handshake; a closed one makes room."""
    async with visiting(strict.http) as person:
        await person.come_as_guest()
        async with connected(person), connected(person), connected(person):
            refused = await person.session.get(
                f"{strict.http}/ws?token={person.token}",
                headers={
                    "Upgrade": "websocket",
                    "Connection": "Upgrade",
                    "Sec-WebSocket-Version": "13",
                    "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
                },
            )
            assert refused.status == 429
            assert "Retry-After" in refused.headers
        async with connected(person) as sock:
            assert (await sock.ask("ping"))["type"] == "pong"


async def test_a_reader_that_does_not_read_is_closed_as_too_slow(ann: Person) -> None:
    """He is cut off with 4008 while everybody else goes on, and can resume."""
    room = await ann.make_room()
    async with connected(ann) as talker, RawSocket.open(ann) as slow:
        await talker.join(room)
        slow.send(0x81, json.dumps({"type": "join", "room": room}).encode())
        slow.reader._transport.pause_reading()  # type: ignore[attr-defined]
        for number in range(400):
            await talker.ask("chat", room=room, client_id=f"c{number}", text="🐢" * 2_000)
        slow.reader._transport.resume_reading()  # type: ignore[attr-defined]

        assert await slow.close_code() == 4008


async def test_everything_bad_is_counted(ann: Person, gateway: GatewayProcess) -> None:
    """Refused frames and closed sockets are in the metrics, by code."""
    async with connected(ann) as sock:
        await sock.ws.send_str("nonsense")
        await sock.of("error")
        await sock.ws.send_bytes(b"x")
        await sock.closed()
    line = next(line for line in gateway.log.read_text().splitlines() if '"event": "ready"' in line)
    async with ann.session.get(f"http://{json.loads(line)['metrics']}/metrics") as response:
        metrics = await response.text()

    assert 'matinee_socket_frames_total{outcome="invalid",type="none"}' in metrics
    assert 'matinee_socket_closed_total{code="1003"}' in metrics


async def test_lanes_are_bounded(ann: Person) -> None:
    """Far more commands than can be under way are refused one by one; the others are answered in order."""
    room = await ann.make_room()
    async with connected(ann) as sock:
        await sock.join(room)
        ids = [await sock.send("playback", room=room, action="mode", mode="shuffle") for _ in range(200)]
        kinds = [(await sock.answer(frame_id))["type"] for frame_id in ids]

    assert set(kinds) <= {"ack", "error"}
    assert kinds.count("ack") >= 64
