"""Messages: commands, aggregates, and what we send."""

import pytest

from workers.ingest.rtmp import amf0, messages
from workers.ingest.rtmp.chunks import ChunkReader
from workers.ingest.rtmp.errors import RemoteProtocolError
from workers.ingest.rtmp.messages import Command, Message


def sub_message(kind: int, timestamp: int, payload: bytes) -> bytes:
    body = bytes((kind,)) + len(payload).to_bytes(3, "big") + (timestamp & 0xFFFFFF).to_bytes(3, "big")
    return body + bytes((timestamp >> 24, 0, 0, 1)) + payload + (len(payload) + 11).to_bytes(4, "big")


def test_an_aggregate_is_split_on_absolute_time() -> None:
    """The first sub-message has the aggregate's time, the others keep their distance (7.1.6)."""
    payload = sub_message(8, 500, b"a") + sub_message(9, 520, b"vv") + sub_message(8, 540, b"")

    parts = list(messages.split_aggregate(Message(22, 1, 10_000, payload)))

    assert parts == [Message(8, 1, 10_000, b"a"), Message(9, 1, 10_020, b"vv"), Message(8, 1, 10_040, b"")]


@pytest.mark.parametrize("cut", [1, 10, 12, 15])
def test_a_cut_aggregate_is_the_peers_fault(cut: int) -> None:
    """Whatever is missing at its end."""
    payload = sub_message(8, 0, b"abc")[:-cut]
    with pytest.raises(RemoteProtocolError, match="cut off"):
        list(messages.split_aggregate(Message(22, 1, 0, payload)))


@pytest.mark.parametrize("kind", [17, 20])
def test_commands_come_in_two_types(kind: int) -> None:
    """The AMF3 form has one byte more in front."""
    payload = amf0.encode("connect", 1, {"app": "live"})
    payload = b"\0" + payload if kind == 17 else payload

    assert messages.decode_command(Message(kind, 0, 0, payload)) == Command("connect", 1.0, [{"app": "live"}])


@pytest.mark.parametrize("values", [(), ("publish",), (1, 2), ("publish", "x")])
def test_a_command_needs_a_name_and_a_transaction(values: tuple[object, ...]) -> None:
    """Anything else is no command."""
    with pytest.raises(RemoteProtocolError, match="name"):
        messages.decode_command(Message(20, 0, 0, amf0.encode(*values)))


@pytest.mark.parametrize("size", [0, 1, 128, 129, 1_000])
def test_what_we_send_reads_back(size: int) -> None:
    """Our own chunks join to the same message."""
    sent = messages.encode(20, b"x" * size, chunk_stream=5, stream_id=1, chunk_size=128)

    assert ChunkReader().feed(sent) == [Message(20, 1, 0, b"x" * size)]
