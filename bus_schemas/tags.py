"""Media on the bus: the fixed header in front of complete FLV tags (DESIGN.md §4).

One message is one video access unit with the audio that came before it, as complete FLV tags
(11-byte tag header, payload, 4-byte PreviousTagSize), behind a header of `HEADER_SIZE` bytes. A
key frame always starts a message. A message flagged `HEADER` begins with the codec headers
(metadata, AAC, AVC …) of a new `generation`, in line, so a reader that copies bytes needs
nothing else; the same bytes stand in the `LIVE_HEADERS` stream for those who join later.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

VERSION: Final = 1

_HEADER: Final = struct.Struct("!BBHIQqQ")
_FIELDS: Final = struct.Struct("!xBHIQqQ")
HEADER_SIZE: Final = _HEADER.size


class TagFlags:
    """What a reader may do at this message without looking into its tags.

    Plain ints: at every tag of every stream an `IntFlag` would cost more than reading the header.
    """

    NONE: Final = 0
    KEY: Final = 1
    """The first media tag is a video key frame (or, without video, any audio): decoding may start here."""
    HEADER: Final = 2
    """The body begins with the codec headers of `generation`."""
    DISCONTINUITY: Final = 4
    """The timeline does not continue the one before."""
    END: Final = 8
    """The publisher ended the stream on purpose; the body is empty; nothing of this epoch follows."""


class TagFormatError(ValueError):
    """Bytes that are not a tag message of a version this code reads."""


def pack_header(
    flags: int, generation: int, sequence: int, epoch: int, dts_ms: int, arrival_us: int
) -> bytes:
    """The fields of a `TagHeader` as `HEADER_SIZE` bytes, big-endian."""
    return _HEADER.pack(VERSION, flags, generation, sequence, epoch, dts_ms, arrival_us)


class TagHeader(NamedTuple):
    """The fixed header of one media message."""

    flags: int
    """`TagFlags`, 8 bits."""
    generation: int
    """Codec generation within the epoch, 0 to 65535; grows when a sequence header really changes."""
    sequence: int
    """Message number within the epoch, from 0, 32 bits."""
    epoch: int
    """The publish session: epoch ms of its start, made larger than any earlier one of the stream."""
    dts_ms: int
    """DTS of the message's first media tag, ms, monotonic over the epoch."""
    arrival_us: int
    """Wall clock of ingest when the last byte of the access unit arrived, µs since 1970."""

    def pack(self) -> bytes:
        """The header as `HEADER_SIZE` bytes, big-endian."""
        return pack_header(*self)

    @classmethod
    def unpack(cls, message: bytes | memoryview) -> TagHeader:
        """Read the header in front of a message; raises `TagFormatError`."""
        if len(message) < HEADER_SIZE:
            raise TagFormatError(f"{len(message)} bytes are too short for a tag header of {HEADER_SIZE}")
        if message[0] != VERSION:
            raise TagFormatError(f"tag message version {message[0]}, this code reads {VERSION}")
        return cls._make(_FIELDS.unpack_from(message))
