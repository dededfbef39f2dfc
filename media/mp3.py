"""MPEG audio, layer III (ISO/IEC 11172-3, 2.4.1.3; ISO/IEC 13818-3): the header in front of every frame.

There is no codec record: those of the header's 32 bits that never change within a stream serve as one here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from media.codec import CodecError

HEADER_SIZE: Final = 4

_SYNC: Final = 0xFFE0_0000
_LAYER_III: Final = 1
_VERSION_1: Final = 3
_VERSION_2: Final = 2
_RATES: Final = (44_100, 48_000, 32_000)
_MONO: Final = 3
_CONSTANT: Final = 0xFFFE_0CC0
"""Sync, version, layer, sampling frequency and mode; not protection, bit rate, padding and the like."""


class Mp3Error(CodecError):
    """Bytes that are not a frame of layer III."""


@dataclass(frozen=True, slots=True)
class Mp3Config:
    """What a frame header says of the sound."""

    record: bytes
    """Its bits that stay the same, the others 0."""
    sample_rate: int
    channels: int
    frame_samples: int
    """1,152, or 576 at the lower rates of MPEG-2."""

    @property
    def object_type(self) -> int:
        """objectTypeIndication of an `esds` (ISO/IEC 14496-1, table 5)."""
        return 0x6B if self.frame_samples == 1152 else 0x69

    @property
    def codec(self) -> str:
        """RFC 6381, 3.3."""
        return f"mp4a.{self.object_type:02X}"


def parse_header(frame: bytes | memoryview) -> Mp3Config:
    """Read the header of a frame, or a record; raises `Mp3Error`."""
    if len(frame) < HEADER_SIZE:
        raise Mp3Error(f"an MP3 frame of {len(frame)} bytes")
    word = int.from_bytes(frame[:HEADER_SIZE], "big")
    version, layer, rate = word >> 19 & 3, word >> 17 & 3, word >> 10 & 3
    if word & _SYNC != _SYNC or version == 1 or layer != _LAYER_III or rate == 3:
        raise Mp3Error(f"not the header of an MP3 frame: {word:08x}")
    mode = word >> 6 & 3
    # Stereo and joint stereo may take turns from frame to frame.
    record = word & _CONSTANT if mode == _MONO else word & _CONSTANT & ~0xC0
    return Mp3Config(
        record.to_bytes(HEADER_SIZE, "big"),
        _RATES[rate] >> (0 if version == _VERSION_1 else 1 if version == _VERSION_2 else 2),
        1 if mode == _MONO else 2,
        1152 if version == _VERSION_1 else 576,
    )
