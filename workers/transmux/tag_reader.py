"""The FLV tags of a bus message, as slices: nothing is copied on the way to a part."""

from __future__ import annotations

import struct
from typing import Final

from bus_schemas.tags import HEADER_SIZE
from media.flv import PREVIOUS_TAG_SIZE, TAG_HEADER_SIZE, FlvError

_TAG: Final = struct.Struct("!BBHIxxx")  # type, size 8 + 16 bits, time 24 bits and its high byte, stream id


def read_tags(message: bytes) -> list[tuple[int, int, memoryview]]:
    """Type, timestamp (ms, 32 bits) and payload of each tag behind the header; raises `FlvError`."""
    tags: list[tuple[int, int, memoryview]] = []
    view = memoryview(message)
    at, end = HEADER_SIZE, len(message)
    while at < end:
        if end - at < TAG_HEADER_SIZE:
            raise FlvError(f"{end - at} bytes are too short for a tag")
        kind, high, low, time = _TAG.unpack_from(message, at)
        body = at + TAG_HEADER_SIZE
        at = body + (high << 16 | low) + PREVIOUS_TAG_SIZE
        if at > end:
            raise FlvError("a tag is cut off")
        tags.append((kind & 0x1F, time >> 8 | (time & 0xFF) << 24, view[body : at - PREVIOUS_TAG_SIZE]))
    return tags
