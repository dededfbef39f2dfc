"""FLV tags become RTMP messages for players, chunked once."""

import pytest

from media import flv
from workers.ingest.rtmp.chunks import ChunkReader
from workers.ingest.rtmp.connection import PLAY_CHUNK_SIZE
from workers.ingest.rtmp.messages import Message
from workers.ingest.rtmp.playing import encode_tags, readdress

SIZES = [0, 1, PLAY_CHUNK_SIZE - 1, PLAY_CHUNK_SIZE, PLAY_CHUNK_SIZE + 1, 3 * PLAY_CHUNK_SIZE]
STAMPS = [0, 0xFFFFFE, 0xFFFFFF, 0x1000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


def read(chunks: bytes, step: int = 1 << 24) -> list[Message]:
    """As a player whose chunk size was set reads it."""
    reader = ChunkReader()
    reader.feed(b"\x02" + bytes(3) + b"\0\0\x04\x01" + bytes(4) + PLAY_CHUNK_SIZE.to_bytes(4, "big"))
    messages = [m for at in range(0, len(chunks), step) for m in reader.feed(chunks[at : at + step])]
    assert reader.fault is None
    return messages


@pytest.mark.parametrize("stream_id", [1, 2, 15])
@pytest.mark.parametrize("stamp", STAMPS)
def test_a_player_reads_what_was_in_the_tags(stamp: int, stream_id: int) -> None:
    """Type, time and payload of every tag, for sizes around the chunk size and times around the extended field."""
    kinds = [flv.TagType.SCRIPT, flv.TagType.VIDEO, flv.TagType.AUDIO]
    tags = [(kinds[n % 3], bytes((n,)) * size) for n, size in enumerate(SIZES)]
    body = b"".join(flv.mux(kind, stamp, payload) for kind, payload in tags)

    messages = read(readdress(encode_tags(body), stream_id))

    assert messages == [Message(kind, stream_id, stamp, payload) for kind, payload in tags]


def test_the_first_message_stream_gets_the_shared_bytes() -> None:
    """No copy for the players there are."""
    chunks = encode_tags(flv.mux(flv.TagType.VIDEO, 40, b"\x17\x01abc"))

    assert readdress(chunks, 1) is chunks


def test_bytes_that_are_no_tags_are_refused() -> None:
    """What the bus gave is not trusted to be whole."""
    with pytest.raises(flv.FlvError):
        encode_tags(b"\x09\x00\x00\x05abc")
