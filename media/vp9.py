"""VP9 codec records: VPCodecConfigurationRecord (VP Codec ISO Media File Format Binding, 3.3) and the
uncompressed header of a key frame (VP9 bitstream specification, 6.2), which alone says the size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from media.bits import BitReader, BitsError
from media.codec import CodecError

_SIZE: Final = 8
_FULL_BOX: Final = b"\x01\0\0\0"
_FRAME_MARKER: Final = 2
_SYNC_CODE: Final = 0x498342
_SRGB: Final = 7
_FULL_CHROMA: Final = 3
_DEFAULT_COLOUR: Final = (1, 1, 1)
_UNSPECIFIED: Final = (2, 2, 2)
# Level, and the greatest luma picture size and longest side it allows (VP9 levels, Annex A).
_LEVELS: Final = (
    (10, 36_864, 512), (11, 73_728, 768), (20, 122_880, 960), (21, 245_760, 1_344), (30, 552_960, 2_048),
    (31, 983_040, 2_752), (40, 2_228_224, 4_160), (50, 8_912_896, 8_384), (60, 35_651_584, 16_832),
)  # fmt: skip


class Vp9Error(CodecError):
    """Bytes that are not a VP9 codec record or key frame."""


@dataclass(frozen=True, slots=True)
class Vp9Config:
    """A parsed VPCodecConfigurationRecord."""

    profile: int
    level: int
    """Ten times the level."""
    depth: int
    """Bits of a sample."""
    subsampling: int
    """0 and 1: 4:2:0, by where chroma sits; 2: 4:2:2; 3: 4:4:4."""
    full_range: bool
    colour: tuple[int, int, int]
    """Colour primaries, transfer characteristics, matrix coefficients."""

    @property
    def codec(self) -> str:
        """VP binding, 5: the short form, the long one where colour or sampling are not the usual ones."""
        text = f"vp09.{self.profile:02}.{self.level:02}.{self.depth:02}"
        usual = self.subsampling in (0, 1) and not self.full_range
        if usual and self.colour in (_DEFAULT_COLOUR, _UNSPECIFIED):
            return text
        primaries, transfer, matrix = self.colour
        return f"{text}.{self.subsampling:02}.{primaries:02}.{transfer:02}.{matrix:02}.{self.full_range:02d}"

    def record(self) -> bytes:
        """The record without its box's version and flags."""
        packed = self.depth << 4 | self.subsampling << 1 | self.full_range
        return bytes((self.profile, self.level, packed, *self.colour, 0, 0))


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """What the uncompressed header of a key frame says."""

    profile: int
    depth: int
    subsampling: int
    """As `Vp9Config.subsampling`."""
    full_range: bool
    matrix: int
    """Matrix coefficients by ISO/IEC 23001-8, from the frame's color_space."""
    width: int
    height: int

    def config(self) -> Vp9Config:
        """The record that fits, with the smallest level its size allows."""
        area, side = self.width * self.height, max(self.width, self.height)
        level = next((level for level, most, longest in _LEVELS if area <= most and side <= longest), 62)
        return Vp9Config(
            self.profile, level, self.depth, self.subsampling, self.full_range, (2, 2, self.matrix)
        )


def parse_config(record: bytes) -> Vp9Config:
    """Read a VPCodecConfigurationRecord, with or without its box's version and flags; raises `Vp9Error`."""
    if len(record) >= _SIZE + len(_FULL_BOX) and record.startswith(_FULL_BOX):
        record = record[len(_FULL_BOX) :]
    if len(record) < _SIZE:
        raise Vp9Error(f"a VP9 record of {len(record)} bytes")
    profile, level, packed = record[:3]
    if profile > 3:
        raise Vp9Error(f"VP9 profile {profile}")
    depth, subsampling = packed >> 4, packed >> 1 & 7
    if depth not in (8, 10, 12) or subsampling > 3:
        raise Vp9Error(f"samples of {depth} bits, subsampling {subsampling}")
    matrix = record[5]
    if not matrix and subsampling != _FULL_CHROMA:
        # RGB needs all its chroma; some muxers write it where they do not know, and players refuse that.
        matrix = _UNSPECIFIED[2]
    return Vp9Config(profile, level, depth, subsampling, bool(packed & 1), (record[3], record[4], matrix))


def parse_key_frame(frame: bytes | memoryview) -> KeyFrame:
    """Read the uncompressed header of a key frame; raises `Vp9Error`, also for any other frame."""
    try:
        return _read_key_frame(BitReader(bytes(frame[:20])))
    except BitsError as exc:
        raise Vp9Error(f"a frame header that ends early: {exc}") from exc


def _read_key_frame(bits: BitReader) -> KeyFrame:
    if bits.read(2) != _FRAME_MARKER:
        raise Vp9Error("not a VP9 frame")
    profile = bits.read(1) | bits.read(1) << 1
    if profile == 3:
        bits.flag()  # reserved
    if bits.flag():
        raise Vp9Error("a frame that only shows one before it")
    if bits.flag():
        raise Vp9Error("not a key frame")
    bits.read(2)  # show_frame, error_resilient_mode
    if bits.read(24) != _SYNC_CODE:
        raise Vp9Error("a key frame without its sync code")
    depth = (12 if bits.flag() else 10) if profile >= 2 else 8
    space = bits.read(3)
    if space == _SRGB:
        subsampling, full = 3, True
        if profile in (1, 3):
            bits.flag()
    else:
        full, subsampling = bits.flag(), 1
        if profile in (1, 3):
            across, down = bits.flag(), bits.flag()
            bits.flag()
            subsampling = 1 if across and down else 2 if across else 3
    matrix = (2, 6, 1, 6, 7, 9, 2, 0)[space]
    return KeyFrame(profile, depth, subsampling, full, matrix, bits.read(16) + 1, bits.read(16) + 1)
