"""ISO base media file format boxes (ISO/IEC 14496-12, 4.2): size, type; in full boxes version and flags."""

from __future__ import annotations

import struct
from typing import Final

_BOX: Final = struct.Struct("!I4s")
_FULL_BOX: Final = struct.Struct("!I4sI")
BOX_HEADER_SIZE: Final = _BOX.size
IDENTITY_MATRIX: Final = struct.pack("!9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def box(kind: bytes, *payload: bytes) -> bytes:
    """One box of a four-letter `kind`; payloads are joined. Larger than 4 GB raises struct.error."""
    body = b"".join(payload)
    return _BOX.pack(_BOX.size + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *payload: bytes) -> bytes:
    """A box that begins with an 8-bit version and 24 bits of flags."""
    body = b"".join(payload)
    return _FULL_BOX.pack(_FULL_BOX.size + len(body), kind, version << 24 | flags) + body


def descriptor(tag: int, *payload: bytes) -> bytes:
    """An MPEG-4 descriptor (ISO/IEC 14496-1, 8.3.3) of up to 2**28 - 1 bytes."""
    body = b"".join(payload)
    size = len(body)
    return (
        bytes((tag, size >> 21 & 0x7F | 0x80, size >> 14 & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size & 0x7F))
        + body
    )
