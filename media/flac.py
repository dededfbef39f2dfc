"""FLAC codec records: STREAMINFO (RFC 9639, 8.2), bare as in enhanced RTMP, behind the stream marker or as
a metadata block; and how long a frame lasts (9.1.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from media.codec import CodecError

_MARKER: Final = b"fLaC"
_STREAMINFO_SIZE: Final = 34
_LAST_BLOCK: Final = 0x80
_MIN_FRAME: Final = 6
_SYNC: Final = 0xFFF8


class FlacError(CodecError):
    """Bytes that are not a STREAMINFO."""


@dataclass(frozen=True, slots=True)
class FlacConfig:
    """A STREAMINFO."""

    stream_info: bytes
    """Its 34 bytes."""
    block_samples: int
    """Samples in the longest frame."""
    sample_rate: int
    channels: int
    depth: int
    """Bits of a sample."""

    codec = "fLaC"

    def box(self) -> bytes:
        """The body of `dfLa` behind version and flags: one metadata block, the last."""
        return bytes((_LAST_BLOCK, 0, 0, _STREAMINFO_SIZE)) + self.stream_info


def parse_config(record: bytes) -> FlacConfig:
    """Read a STREAMINFO in any of its wrappings; raises `FlacError`."""
    record = record.removeprefix(_MARKER)
    if len(record) >= 4 + _STREAMINFO_SIZE and record[:4] in (b"\0\0\0\x22", b"\x80\0\0\x22"):
        record = record[4:]
    if len(record) < _STREAMINFO_SIZE:
        raise FlacError(f"a STREAMINFO of {len(record)} bytes")
    info = record[:_STREAMINFO_SIZE]
    block = int.from_bytes(info[2:4], "big")
    packed = int.from_bytes(info[10:14], "big")
    rate, channels, depth = packed >> 12, (packed >> 9 & 7) + 1, (packed >> 4 & 0x1F) + 1
    if block < 16 or not rate:
        raise FlacError(f"blocks of {block} samples at {rate} Hz")
    return FlacConfig(info, block, rate, channels, depth)


def frame_samples(frame: bytes | memoryview) -> int:
    """How many samples a frame holds; 0 where its header does not say."""
    if len(frame) < _MIN_FRAME or (frame[0] << 8 | frame[1]) & 0xFFFE != _SYNC:
        return 0
    code = frame[2] >> 4
    if code == 1:
        return 192
    if 2 <= code <= 5:
        return 144 << code
    if code >= 8:
        return 1 << code
    # 6 and 7: the size less one stands in 8 or 16 bits behind the coded number, a UTF-8 of up to 7 bytes.
    at = 4 + _number_size(frame[4])
    size = code - 5
    if code < 6 or at == 4 or at + size > len(frame):
        return 0
    return int.from_bytes(frame[at : at + size], "big") + 1


def _number_size(first: int) -> int:
    if first < 0x80:
        return 1
    leading = 8 - (first ^ 0xFF).bit_length()
    return leading if 2 <= leading <= 7 else 0
