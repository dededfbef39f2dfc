"""Media for players: complete FLV tags become RTMP messages, chunked once for all who play (RTMP 1.0, 5.3).

Every message begins with a type 0 chunk, so one may begin to play at any of them; and all go to the same
message stream, the first that a connection creates.
"""

from __future__ import annotations

from typing import Final

from media import flv
from workers.ingest.rtmp.connection import PLAY_CHUNK_SIZE
from workers.ingest.rtmp.messages import EXTENDED, encode

STREAM_ID: Final = 1
"""The message stream the shared bytes are for."""

_CHUNK_STREAMS: Final = {flv.TagType.AUDIO: 4, flv.TagType.VIDEO: 6, flv.TagType.SCRIPT: 7}


def encode_tags(tags: bytes | memoryview) -> bytes:
    """A run of complete FLV tags as chunks for `STREAM_ID`; raises `FlvError`."""
    return b"".join(
        encode(
            tag.type,
            tag.payload,
            chunk_stream=_CHUNK_STREAMS[tag.type],
            stream_id=STREAM_ID,
            chunk_size=PLAY_CHUNK_SIZE,
            timestamp=tag.timestamp_ms,
        )
        for tag in flv.demux(tags)
    )


def readdress(chunks: bytes, stream_id: int) -> bytes:
    """What `encode_tags` gave, for another message stream: of players that create several."""
    if stream_id == STREAM_ID:
        return chunks
    moved = bytearray(chunks)
    at, end = 0, len(moved)
    address = stream_id.to_bytes(4, "little")
    while at < end:
        size = int.from_bytes(moved[at + 4 : at + 7], "big")
        extended = 4 * (int.from_bytes(moved[at + 1 : at + 4], "big") == EXTENDED)
        moved[at + 8 : at + 12] = address
        repeats = max(0, (size - 1) // PLAY_CHUNK_SIZE)
        at += 12 + extended + size + repeats * (1 + extended)
    return bytes(moved)
