"""AC-3 and E-AC-3 (ETSI TS 102 366): the syncframe, and the codec records `dac3` and `dec3` (Annex F).

Enhanced RTMP sends no record for them: what a decoder needs stands in every frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from media.bits import BitReader, BitsError
from media.codec import CodecError

_SYNC: Final = 0x0B77
_RATES: Final = (48_000, 44_100, 32_000)
_CHANNELS: Final = (2, 1, 2, 3, 3, 4, 4, 5)
_BIT_RATES: Final = (
    32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640,
)  # fmt: skip
"""kbit/s by half the frame size code, Table F.4.1."""
_BLOCKS: Final = (1, 2, 3, 6)
BLOCK_SAMPLES: Final = 256
FRAME_SAMPLES: Final = 6 * BLOCK_SAMPLES
_DEC3_RATE_MAX: Final = 0x1FFF


class Ac3Error(CodecError):
    """Bytes that are not a syncframe, or not a record."""


@dataclass(frozen=True, slots=True)
class Ac3Config:
    """What one syncframe, or one record, says about the sound."""

    enhanced: bool
    rate_code: int
    """fscod: 0 to 2."""
    stream_id: int
    """bsid."""
    mode: int
    """bsmod."""
    channel_mode: int
    """acmod."""
    low_frequency: bool
    """lfeon."""
    bit_rate: int
    """AC-3: bit_rate_code; E-AC-3: kbit/s."""
    blocks: int = 6
    """Blocks of 256 samples in a frame."""

    @property
    def codec(self) -> str:
        """RFC 6381 string: the sample entry's name."""
        return "ec-3" if self.enhanced else "ac-3"

    @property
    def sample_rate(self) -> int:
        """Samples per second."""
        return _RATES[self.rate_code]

    @property
    def channels(self) -> int:
        """Channels, the low-frequency one included."""
        return _CHANNELS[self.channel_mode] + self.low_frequency

    def sounds_as(self, other: Ac3Config) -> bool:
        """The same decoder serves both: all alike but the bit rate."""
        return self._sound() == other._sound()

    def _sound(self) -> tuple[int, ...]:
        return (
            self.enhanced, self.rate_code, self.stream_id, self.mode, self.channel_mode, self.low_frequency,
        )  # fmt: skip

    def record(self) -> bytes:
        """The body of `dac3` or `dec3`, with one independent substream."""
        if not self.enhanced:
            packed = self.rate_code << 22 | self.stream_id << 17 | self.mode << 14
            packed |= self.channel_mode << 11 | self.low_frequency << 10 | self.bit_rate << 5
            return packed.to_bytes(3, "big")
        # data_rate 13, num_ind_sub 3 | fscod 2, bsid 5, reserved 1, asvc 1, bsmod 3, acmod 3, lfeon 1,
        # reserved 3, num_dep_sub 4, reserved 1
        sound = self.rate_code << 22 | self.stream_id << 17 | self.mode << 12
        sound |= self.channel_mode << 9 | self.low_frequency << 8
        return (min(self.bit_rate, _DEC3_RATE_MAX) << 3).to_bytes(2, "big") + sound.to_bytes(3, "big")


def parse_frame(frame: bytes | memoryview) -> Ac3Config:
    """Read the header of a syncframe of either kind; raises `Ac3Error`."""
    if len(frame) < 8 or frame[0] << 8 | frame[1] != _SYNC:
        raise Ac3Error("not an AC-3 syncframe")
    stream_id = frame[5] >> 3
    bits = BitReader(bytes(frame[2:12]))
    try:
        return _read_enhanced(bits) if 10 < stream_id <= 16 else _read_plain(bits, stream_id)
    except BitsError as exc:
        raise Ac3Error(f"a syncframe that ends early: {exc}") from exc


def parse_record(record: bytes, *, enhanced: bool) -> Ac3Config:
    """Read the body of a `dac3`, or with `enhanced` of a `dec3`; raises `Ac3Error`."""
    bits = BitReader(record[:5])
    try:
        if not enhanced:
            rate, stream_id, mode, channels = bits.read(2), bits.read(5), bits.read(3), bits.read(3)
            return _checked(Ac3Config(False, rate, stream_id, mode, channels, bits.flag(), bits.read(5)))
        bit_rate = bits.read(13)
        bits.read(3)  # num_ind_sub
        rate, stream_id = bits.read(2), bits.read(5)
        bits.read(2)  # reserved, asvc
        mode, channels = bits.read(3), bits.read(3)
        return _checked(Ac3Config(True, rate, stream_id, mode, channels, bits.flag(), bit_rate))
    except BitsError as exc:
        raise Ac3Error(f"a record that ends early: {exc}") from exc


def unit_blocks(unit: bytes | memoryview) -> int:
    """How many blocks of 256 samples an access unit of E-AC-3 holds; 0 where it is none.

    The frames of dependent and of further substreams are for the time of those in front of them.
    """
    at = blocks = 0
    while at + 6 <= len(unit):
        if unit[at] << 8 | unit[at + 1] != _SYNC or not 10 < unit[at + 5] >> 3 <= 16:
            return 0
        head = unit[at + 2] << 8 | unit[at + 3]
        if head >> 14 != 1 and not head >> 11 & 7:
            reduced = unit[at + 4] >> 6 == 3
            blocks += 6 if reduced else _BLOCKS[unit[at + 4] >> 4 & 3]
        at += ((head & 0x7FF) + 1) * 2
    return blocks if at == len(unit) else 0


def unit_samples(unit: bytes | memoryview) -> int:
    """How many samples an access unit of E-AC-3 holds; 1,536 where it does not say."""
    return unit_blocks(unit) * BLOCK_SAMPLES or FRAME_SAMPLES


def sample_rate(unit: bytes | memoryview) -> int:
    """Samples per second of an access unit of E-AC-3 (E.1.3.1.4), from its first syncframe."""
    code = unit[4] >> 6
    return _RATES[code] if code < 3 else _RATES[(unit[4] >> 4 & 3) % 3] // 2


def _checked(config: Ac3Config) -> Ac3Config:
    if config.rate_code > 2:
        raise Ac3Error(f"sample rate code {config.rate_code}")
    return config


def _read_plain(bits: BitReader, stream_id: int) -> Ac3Config:
    if stream_id > 10:
        raise Ac3Error(f"AC-3 bitstream version {stream_id}")
    bits.read(16)  # crc1
    rate, size = bits.read(2), bits.read(6)
    if size // 2 >= len(_BIT_RATES):
        raise Ac3Error(f"frame size code {size}")
    bits.read(5)  # bsid
    mode, channels = bits.read(3), bits.read(3)
    if channels & 1 and channels != 1:
        bits.read(2)  # cmixlev
    if channels & 4:
        bits.read(2)  # surmixlev
    if channels == 2:
        bits.read(2)  # dsurmod
    return _checked(Ac3Config(False, rate, stream_id, mode, channels, bits.flag(), size // 2))


def _read_enhanced(bits: BitReader) -> Ac3Config:
    if bits.read(2) == 1:
        raise Ac3Error("a dependent substream without its independent one")
    bits.read(3)  # substreamid
    size = (bits.read(11) + 1) * 2
    rate = bits.read(2)
    if rate == 3:
        raise Ac3Error("E-AC-3 at a reduced sample rate")
    blocks = _BLOCKS[bits.read(2)]
    channels, low_frequency = bits.read(3), bits.flag()
    stream_id = bits.read(5)
    # The bit stream mode stands far behind, and nearly always says 0: complete main.
    kilobits = size * 8 * _RATES[rate] // (blocks * BLOCK_SAMPLES) // 1000
    return Ac3Config(True, rate, stream_id, 0, channels, low_frequency, kilobits, blocks)
