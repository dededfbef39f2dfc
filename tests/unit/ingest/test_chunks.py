"""The chunk stream: every header form in every legal order, cut anywhere."""

import pytest

from tests.unit.ingest.rtmp_client import chunk
from workers.ingest.rtmp.chunks import MAX_CHUNK_STREAMS, ChunkReader
from workers.ingest.rtmp.errors import RemoteProtocolError
from workers.ingest.rtmp.messages import MAX_MESSAGE_SIZE, Message


def header(fmt: int, chunk_stream: int, *fields: bytes) -> bytes:
    """A one-byte basic header and what follows it."""
    return bytes((fmt << 6 | chunk_stream,)) + b"".join(fields)


def u24(value: int) -> bytes:
    return value.to_bytes(3, "big")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


FULL = header(0, 4, u24(1_000), u24(3), b"\x09", b"\x01\0\0\0")
EXTENDED = header(0, 4, u24(0xFFFFFF), u24(200), b"\x09", b"\x01\0\0\0", u32(0x01000000))

TABLE: list[tuple[str, bytes, list[Message]]] = [
    ("type 0", FULL + b"abc", [Message(9, 1, 1_000, b"abc")]),
    (
        "type 1 after 0",
        FULL + b"abc" + header(1, 4, u24(40), u24(2), b"\x08") + b"de",
        [Message(9, 1, 1_000, b"abc"), Message(8, 1, 1_040, b"de")],
    ),
    (
        "type 2 after 1",
        FULL + b"abc" + header(1, 4, u24(40), u24(2), b"\x08") + b"de" + header(2, 4, u24(20)) + b"fg",
        [Message(9, 1, 1_000, b"abc"), Message(8, 1, 1_040, b"de"), Message(8, 1, 1_060, b"fg")],
    ),
    (
        "type 3 begins a message: the same delta",
        FULL + b"abc" + header(2, 4, u24(40)) + b"def" + header(3, 4) + b"ghi" + header(3, 4) + b"jkl",
        [
            Message(9, 1, 1_000, b"abc"),
            Message(9, 1, 1_040, b"def"),
            Message(9, 1, 1_080, b"ghi"),
            Message(9, 1, 1_120, b"jkl"),
        ],
    ),
    (
        "type 3 after type 0: its timestamp is the delta",
        header(0, 4, u24(23), u24(1), b"\x08", b"\x01\0\0\0") + b"a" + header(3, 4) + b"b",
        [Message(8, 1, 23, b"a"), Message(8, 1, 46, b"b")],
    ),
    ("a fresh chunk stream with type 1", header(1, 2, u24(7), u24(1), b"\x09") + b"a", [Message(9, 0, 7, b"a")]),
    (
        "an empty message",
        header(0, 4, u24(5), u24(0), b"\x09", b"\x01\0\0\0") + FULL + b"abc",
        [Message(9, 1, 5, b""), Message(9, 1, 1_000, b"abc")],
    ),
    ("two-byte chunk stream id", chunk(9, b"a" * 300, chunk_stream=64), [Message(9, 0, 0, b"a" * 300)]),
    ("two-byte chunk stream id, greatest", chunk(9, b"abc", chunk_stream=319), [Message(9, 0, 0, b"abc")]),
    ("three-byte chunk stream id", chunk(9, b"a" * 300, chunk_stream=65_599), [Message(9, 0, 0, b"a" * 300)]),
    (
        "interleaved chunk streams",
        header(0, 4, u24(0), u24(200), b"\x09", b"\x01\0\0\0") + b"v" * 128
        + header(0, 5, u24(3), u24(2), b"\x08", b"\x01\0\0\0") + b"aa" + header(3, 4) + b"v" * 72,
        [Message(8, 1, 3, b"aa"), Message(9, 1, 0, b"v" * 200)],
    ),
    (
        "extended timestamp, repeated in type 3",
        EXTENDED + b"v" * 128 + header(3, 4, u32(0x01000000)) + b"v" * 72,
        [Message(9, 1, 0x01000000, b"v" * 200)],
    ),
    (
        "extended timestamp, left out in type 3",
        EXTENDED + b"v" * 128 + header(3, 4) + b"v" * 72 + FULL + b"abc",
        [Message(9, 1, 0x01000000, b"v" * 200), Message(9, 1, 1_000, b"abc")],
    ),
    (
        "extended timestamp delta",
        FULL + b"abc" + header(2, 4, u24(0xFFFFFF), u32(0x01000000)) + b"def",
        [Message(9, 1, 1_000, b"abc"), Message(9, 1, 0x01000000 + 1_000, b"def")],
    ),
    (
        "32 bits wrap",
        header(0, 4, u24(0xFFFFFF), u24(1), b"\x08", b"\x01\0\0\0", u32(0xFFFFFFFF)) + b"a"
        + header(2, 4, u24(2)) + b"b",
        [Message(8, 1, 0xFFFFFFFF, b"a"), Message(8, 1, 1, b"b")],
    ),
    (
        "set chunk size counts at once",
        chunk(1, u32(4_096), chunk_stream=2) + chunk(9, b"v" * 4_000, size=4_096),
        [Message(9, 0, 0, b"v" * 4_000)],
    ),
    (
        "a chunk size above 16 MB means the greatest message",
        chunk(1, u32(0x7FFFFFFF), chunk_stream=2) + chunk(9, b"v" * 70_000, size=0xFFFFFF),
        [Message(9, 0, 0, b"v" * 70_000)],
    ),
    (
        "abort drops a half message",
        header(0, 4, u24(0), u24(200), b"\x09", b"\x01\0\0\0") + b"v" * 128 + chunk(2, u32(4), chunk_stream=2)
        + FULL + b"abc",
        [Message(9, 1, 1_000, b"abc")],
    ),
    ("abort of nothing", chunk(2, u32(9), chunk_stream=2) + FULL + b"abc", [Message(9, 1, 1_000, b"abc")]),
]  # fmt: skip


@pytest.mark.parametrize("step", [1, 2, 7, 129, 1 << 20])
@pytest.mark.parametrize(("name", "data", "messages"), TABLE, ids=[name for name, _, _ in TABLE])
def test_chunks_become_messages_however_they_are_cut(
    name: str, data: bytes, messages: list[Message], step: int
) -> None:
    """Whole, byte by byte, in odd steps: the same messages."""
    reader = ChunkReader()

    found = [message for at in range(0, len(data), step) for message in reader.feed(data[at : at + step])]

    assert found == messages


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (header(2, 4, u24(1)), "begins with a type 2"),
        (header(3, 4), "begins with a type 3"),
        (header(0, 4, u24(0), u24(200), b"\x09", bytes(4)) + b"v" * 128 + FULL, "before the last"),
        (header(0, 4, u24(0), u24(MAX_MESSAGE_SIZE + 1), b"\x09", bytes(4)), "at most 8388608"),
        (chunk(1, u32(1), chunk_stream=2), "chunk size 1, at least 128"),
        (chunk(1, u32(127), chunk_stream=2), "chunk size 127"),
        (chunk(1, u32(0x80000000), chunk_stream=2), "chunk size 2147483648"),
        (chunk(1, b"\0", chunk_stream=2), "expected 4"),
        (b"".join(chunk(9, b"a", chunk_stream=3 + n) for n in range(MAX_CHUNK_STREAMS + 1)), "chunk streams"),
    ],
)
def test_illegal_chunks_are_the_peers_fault(data: bytes, words: str) -> None:
    """Each breach of 5.3, and of our named limits, is a RemoteProtocolError that says which."""
    reader = ChunkReader()

    reader.feed(data)

    assert isinstance(reader.fault, RemoteProtocolError)
    assert words in str(reader.fault)


def test_what_came_before_a_breach_is_given() -> None:
    """So the same events come out however the network cut the bytes."""
    reader = ChunkReader()

    messages = reader.feed(FULL + b"abc" + header(3, 9))

    assert messages == [Message(9, 1, 1_000, b"abc")]
    assert reader.fault is not None


def test_many_half_messages_are_bounded_in_bytes() -> None:
    """Three messages of 8 MB begun side by side exceed what is held for a peer."""
    reader = ChunkReader()
    reader.feed(chunk(1, u32(0xFFFFFF), chunk_stream=2))
    reader.feed(chunk(1, u32(6_000_000), chunk_stream=2))
    begun = [header(0, n, u24(0), u24(8 << 20), b"\x09", bytes(4)) + bytes(6_000_000) for n in (4, 5, 6)]

    reader.feed(begun[0])
    reader.feed(begun[1])
    before = reader.fault
    reader.feed(begun[2])

    assert before is None
    assert "unfinished" in str(reader.fault)
