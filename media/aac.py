"""AAC's codec record: AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from media.bits import BitReader, Bits, BitsError
from media.codec import CodecError

_RATES: Final = (
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
)  # fmt: skip
_RATE_ESCAPE: Final = 15
_CHANNELS: Final = (0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 0, 8)  # Table 1.19, by channelConfiguration
_SBR: Final = 5
_PS: Final = 29
_WITH_GENERAL_CONFIG: Final = frozenset({1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23})
_ID_PROGRAM: Final = 5
_SYNC_EXTENSION: Final = 0x2B7
_PS_EXTENSION: Final = 0x548


class AacError(CodecError):
    """Bytes that are not an AudioSpecificConfig."""


@dataclass(frozen=True, slots=True)
class AacConfig:
    """What a packager and a playlist need of an AudioSpecificConfig."""

    object_type: int
    """The core's audio object type: 2 for AAC-LC, under SBR and PS too."""
    sample_rate: int
    """Samples per second of the core: the clock that a frame's samples count in."""
    channels: int
    """Channels of the core; 0 where neither the configuration nor a program config element says it."""
    frame_samples: int
    """Samples of the core in one frame: 1024 or 960."""
    output_rate: int
    """Samples per second after explicit SBR; else `sample_rate`."""
    sbr: bool
    """Spectral band replication is signalled explicitly (HE-AAC)."""
    ps: bool
    """Parametric stereo is signalled explicitly (HE-AACv2)."""
    program: bytes = b""
    """The program config element as it stands at the beginning of a raw data block, its id in front, whole
    bytes; empty where the channel configuration says all."""

    @property
    def codec(self) -> str:
        """RFC 6381, 3.3: `mp4a.40.` and the object type a player must know to play all of it."""
        return f"mp4a.40.{_PS if self.ps else _SBR if self.sbr else self.object_type}"


def parse_config(record: bytes) -> AacConfig:
    """Read an AudioSpecificConfig; raises `AacError`."""
    bits = BitReader(record)
    try:
        return _read(bits)
    except BitsError as exc:
        raise AacError(f"an AudioSpecificConfig that ends early: {exc}") from exc


def _read(bits: BitReader) -> AacConfig:
    object_type = _read_object_type(bits)
    sample_rate = _read_rate(bits)
    channel_config = bits.read(4)
    if channel_config >= len(_CHANNELS):
        raise AacError(f"channel configuration {channel_config}")
    sbr = object_type in (_SBR, _PS)
    ps = object_type == _PS
    output_rate = sample_rate
    if sbr:
        output_rate = _read_rate(bits)
        object_type = _read_object_type(bits)
    if object_type not in _WITH_GENERAL_CONFIG:
        raise AacError(f"audio object type {object_type} is not AAC")
    frame_samples = 960 if bits.flag() else 1024  # GASpecificConfig, 4.4.1
    if bits.left >= 2:
        if bits.flag():
            bits.read(14)  # coreCoderDelay
        bits.flag()  # extensionFlag, which has nothing behind it in these object types
    channels, program = _CHANNELS[channel_config], b""
    if not channel_config:
        channels, program = _read_program(bits)
    if not sbr:
        sbr, ps, output_rate = _read_sync_extension(bits, sample_rate)
    return AacConfig(object_type, sample_rate, channels, frame_samples, output_rate, sbr, ps, program)


def _read_program(bits: BitReader) -> tuple[int, bytes]:
    """program_config_element() (4.4.1.1): how many channels, and the element for a raw data block; none, and
    empty, where the record ends before it."""
    copy = Bits()
    copy.put(_ID_PROGRAM, 3)
    try:
        for size in (4, 2, 4):  # element_instance_tag, object_type, sampling_frequency_index
            copy.take(bits, size)
        sides = [copy.take(bits, 4) for _ in range(3)]  # front, side, back
        low, data, coupled = copy.take(bits, 2), copy.take(bits, 3), copy.take(bits, 4)
        for size in (4, 4, 3):  # mixdowns
            if copy.take(bits, 1):
                copy.take(bits, size)
        channels = low
        for _ in range(sum(sides)):
            channels += 1 + copy.take(bits, 1)  # a channel pair element has two
            copy.take(bits, 4)
        copy.take(bits, 4 * (low + data) + 5 * coupled)
        bits.read(bits.left % 8)  # byte_alignment, from the beginning of the record
        copy.align()
        comment = copy.take(bits, 8)
        copy.take(bits, 8 * comment)
    except BitsError:
        return 0, b""
    return channels, copy.to_bytes()


def _read_object_type(bits: BitReader) -> int:
    object_type = bits.read(5)
    return 32 + bits.read(6) if object_type == 31 else object_type


def _read_rate(bits: BitReader) -> int:
    index = bits.read(4)
    if index == _RATE_ESCAPE:
        rate = bits.read(24)
        if not 1_000 <= rate <= 192_000:
            raise AacError(f"a sample rate of {rate}")
        return rate
    if index >= len(_RATES):
        raise AacError(f"sampling frequency index {index}")
    return _RATES[index]


def _read_sync_extension(bits: BitReader, sample_rate: int) -> tuple[bool, bool, int]:
    """Backward compatible signalling of SBR and PS behind an AAC-LC config (1.6.5.2)."""
    try:
        if bits.read(11) != _SYNC_EXTENSION or _read_object_type(bits) != _SBR or not bits.flag():
            return False, False, sample_rate
        output_rate = _read_rate(bits)
    except BitsError:
        return False, False, sample_rate
    ps = bits.left >= 12 and bits.read(11) == _PS_EXTENSION and bits.flag()
    return True, ps, output_rate
