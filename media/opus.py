"""Opus codec records: the identification header of Ogg (RFC 7845, 5.1), which enhanced RTMP sends, and
`dOps` (Encapsulation of Opus in ISO Base Media File Format, 4.3.2); a packet's duration (RFC 6716, 3.1).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from media.codec import CodecError

SAMPLE_RATE: Final = 48_000
"""Opus always counts in it, whatever its source was."""

SHORTEST_SAMPLES: Final = 120
"""2.5 ms, the shortest packet."""

_MAGIC: Final = b"OpusHead"
_HEAD: Final = struct.Struct("<BBHIhB")  # version, channels, pre-skip, input rate, gain, mapping family
_BOX: Final = struct.Struct("!BBHIhB")
_MAX_SAMPLES: Final = 5_760  # 120 ms, RFC 6716, 3.2.5
_FRAME_SAMPLES: Final = (
    *(480, 960, 1920, 2880) * 3,  # SILK
    *(480, 960) * 2,  # hybrid
    *(120, 240, 480, 960) * 4,  # CELT
)


class OpusError(CodecError):
    """Bytes that are not an Opus header."""


@dataclass(frozen=True, slots=True)
class OpusConfig:
    """An identification header."""

    channels: int
    pre_skip: int
    """Samples of 48 kHz to leave out at the very beginning."""
    input_rate: int
    """Samples per second before encoding; 0 where it is not said."""
    gain: int
    """Output gain, 1/256 dB."""
    mapping_family: int
    mapping: bytes
    """Stream count, coupled count and a byte a channel; empty for family 0."""

    codec = "Opus"

    def box(self) -> bytes:
        """The body of `dOps`."""
        fields = (0, self.channels, self.pre_skip, self.input_rate, self.gain, self.mapping_family)
        return _BOX.pack(*fields) + self.mapping

    def head(self) -> bytes:
        """The identification header."""
        fields = (1, self.channels, self.pre_skip, self.input_rate, self.gain, self.mapping_family)
        return _MAGIC + _HEAD.pack(*fields) + self.mapping


def is_comment(record: bytes) -> bool:
    """The comment header, which may follow the identification header and says nothing to a decoder."""
    return record.startswith(b"OpusTags")


def parse_head(record: bytes) -> OpusConfig:
    """Read an identification header; raises `OpusError`."""
    if not record.startswith(_MAGIC) or len(record) < len(_MAGIC) + _HEAD.size:
        raise OpusError(f"an Opus header of {len(record)} bytes that does not begin with OpusHead")
    version, *fields = _HEAD.unpack_from(record, len(_MAGIC))
    if version & 0xF0:
        raise OpusError(f"Opus header version {version}")
    return _checked(fields, record[len(_MAGIC) + _HEAD.size :])


def parse_box(body: bytes) -> OpusConfig:
    """Read the body of `dOps`; raises `OpusError`."""
    if len(body) < _BOX.size:
        raise OpusError(f"a dOps of {len(body)} bytes")
    version, *fields = _BOX.unpack_from(body)
    if version:
        raise OpusError(f"dOps version {version}")
    return _checked(fields, body[_BOX.size :])


def packet_samples(packet: bytes | memoryview) -> int:
    """How long a packet lasts, in samples of 48 kHz; 960 where its bytes do not say."""
    if not len(packet):
        return 960
    toc = packet[0]
    count = (1, 2, 2, 0)[toc & 3]
    if not count:
        count = packet[1] & 0x3F if len(packet) > 1 else 0
    samples = _FRAME_SAMPLES[toc >> 3] * count
    return samples if 0 < samples <= _MAX_SAMPLES else 960


def _checked(fields: list[int], rest: bytes) -> OpusConfig:
    channels, pre_skip, rate, gain, family = fields
    if not channels or (family == 0 and channels > 2):
        raise OpusError(f"{channels} channels of mapping family {family}")
    size = 2 + channels if family else 0
    if len(rest) < size:
        raise OpusError("a channel mapping that is cut off")
    return OpusConfig(channels, pre_skip, rate, gain, family, rest[:size])
