"""FLV tags (Adobe FLV 10.1, Annex E): the envelope, and the first bytes of audio and video.

Sans-I/O. Timestamps are milliseconds; a tag carries 32 bits of them (24 and an extension byte),
read as unsigned.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

TAG_HEADER_SIZE: Final = 11
PREVIOUS_TAG_SIZE: Final = 4
_HEADER: Final = struct.Struct("!BBHIxxx")
"""Type; 24 bits of size; 24 bits of time and, last, its high byte; stream id 0 (E.4.1)."""
_TRAILER: Final = struct.Struct("!I")


class TagType(IntEnum):
    """FLV E.4.1, TagType."""

    AUDIO = 8
    VIDEO = 9
    SCRIPT = 18


class FlvError(ValueError):
    """Bytes that are not FLV."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One FLV tag: `payload` is the AUDIODATA, VIDEODATA or SCRIPTDATA of E.4.2 to E.4.4."""

    type: TagType
    timestamp_ms: int
    payload: bytes


def file_header(*, audio: bool, video: bool) -> bytes:
    """The FLV file header and PreviousTagSize0 (E.2), 13 bytes."""
    return b"FLV\x01" + bytes((audio << 2 | video,)) + b"\x00\x00\x00\x09\x00\x00\x00\x00"


def envelope(tag_type: int, timestamp_ms: int, size: int) -> tuple[bytes, bytes]:
    """What stands in front of and behind a tag's payload of so many bytes; the timestamp modulo 2**32."""
    if size > 0xFFFFFF:
        raise FlvError(f"a tag payload of {size} bytes does not fit its 24-bit size")
    time = (timestamp_ms & 0xFFFFFF) << 8 | timestamp_ms >> 24 & 0xFF
    return _HEADER.pack(tag_type, size >> 16, size & 0xFFFF, time), _TRAILER.pack(size + TAG_HEADER_SIZE)


def mux(tag_type: int, timestamp_ms: int, payload: bytes) -> bytes:
    """One complete tag with its PreviousTagSize; the timestamp is taken modulo 2**32."""
    before, behind = envelope(tag_type, timestamp_ms, len(payload))
    return b"".join((before, payload, behind))


def demux(data: bytes | memoryview) -> Iterator[Tag]:
    """The tags of a run of complete tags (no file header); raises `FlvError` on anything else."""
    view = memoryview(data)
    at, end = 0, len(view)
    while at < end:
        if end - at < TAG_HEADER_SIZE + PREVIOUS_TAG_SIZE:
            raise FlvError(f"{end - at} bytes are too short for a tag")
        try:
            tag_type = TagType(view[at] & 0x1F)
        except ValueError:
            raise FlvError(f"tag type {view[at]} is not audio, video or script") from None
        size = int.from_bytes(view[at + 1 : at + 4], "big")
        timestamp = int.from_bytes(view[at + 4 : at + 7], "big") | view[at + 7] << 24
        body = at + TAG_HEADER_SIZE
        after = body + size + PREVIOUS_TAG_SIZE
        if after > end:
            raise FlvError(f"a tag of {size} bytes is cut off at {end - body}")
        if int.from_bytes(view[body + size : after], "big") != size + TAG_HEADER_SIZE:
            raise FlvError("PreviousTagSize does not match the tag before it")
        yield Tag(tag_type, timestamp, bytes(view[body : body + size]))
        at = after
