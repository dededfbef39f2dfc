"""AV1 codec records: AV1CodecConfigurationRecord (AV1 in ISOBMFF, 2.3) and the sequence header OBU
(AV1 bitstream specification, 5.5), as far as a packager and a playlist need them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from media.bits import BitReader, BitsError
from media.codec import CodecError

OBU_SEQUENCE_HEADER: Final = 1
_MARKER_AND_VERSION: Final = 0x81
_RECORD_SIZE: Final = 4
_UNSPECIFIED: Final = 2
_SELECT: Final = 2  # SELECT_SCREEN_CONTENT_TOOLS, SELECT_INTEGER_MV
_BT709: Final = 1
_SRGB: Final = 13
_IDENTITY: Final = 0
_DEFAULT_COLOUR: Final = (1, 1, 1, False)


class Av1Error(CodecError):
    """Bytes that are not an AV1 codec record."""


@dataclass(frozen=True, slots=True)
class SequenceHeader:
    """What one sequence header OBU says about the picture."""

    profile: int
    level: int
    """seq_level_idx of the first operating point."""
    high_tier: bool
    depth: int
    """Bits of a sample: 8, 10 or 12."""
    monochrome: bool
    subsampling: tuple[bool, bool]
    """Chroma halved across, and down."""
    chroma_position: int
    colour: tuple[int, int, int, bool]
    """Colour primaries, transfer characteristics, matrix coefficients, full range."""
    width: int
    """The greatest of the sequence, pixels."""
    height: int
    frame_rate: float
    """Frames per second; 0.0 where the header has no timing."""

    @property
    def codec(self) -> str:
        """AV1 in ISOBMFF, 5: the short form, the long one where colour or sampling are not the usual ones."""
        tier = "H" if self.high_tier else "M"
        text = f"av01.{self.profile}.{self.level:02}{tier}.{self.depth:02}"
        across, down = self.subsampling
        position = self.chroma_position if across and down else 0
        usual = across and down and not self.monochrome and not position
        primaries, transfer, matrix, full = self.colour
        if usual and self.colour in (_DEFAULT_COLOUR, (_UNSPECIFIED, _UNSPECIFIED, _UNSPECIFIED, False)):
            return text
        text += f".{self.monochrome:d}.{across:d}{down:d}{position}"
        return f"{text}.{primaries:02}.{transfer:02}.{matrix:02}.{full:d}"


@dataclass(frozen=True, slots=True)
class Av1Config:
    """A parsed AV1CodecConfigurationRecord."""

    sequence: SequenceHeader

    @property
    def codec(self) -> str:
        """RFC 6381 string."""
        return self.sequence.codec


def parse_config(record: bytes) -> Av1Config:
    """Read an AV1CodecConfigurationRecord that holds its sequence header; raises `Av1Error`."""
    if len(record) < _RECORD_SIZE:
        raise Av1Error(f"an AV1 record of {len(record)} bytes")
    if record[0] != _MARKER_AND_VERSION:
        raise Av1Error(f"AV1 record marker and version {record[0]:#x}, expected 0x81")
    header = find_sequence_header(record[_RECORD_SIZE:])
    if header is None:
        raise Av1Error("an AV1 record without a sequence header")
    return Av1Config(parse_sequence_header(header))


def build_config(sequence_header: bytes) -> bytes:
    """The record of a sequence header OBU (its payload); raises `Av1Error` where it cannot be read."""
    header = parse_sequence_header(sequence_header)
    across, down = header.subsampling
    flags = header.high_tier << 7 | (header.depth > 8) << 6 | (header.depth == 12) << 5
    flags |= header.monochrome << 4 | across << 3 | down << 2 | header.chroma_position
    obu = bytes((OBU_SEQUENCE_HEADER << 3 | 2,)) + _leb128(len(sequence_header)) + sequence_header
    return bytes((_MARKER_AND_VERSION, header.profile << 5 | header.level, flags, 0)) + obu


def find_sequence_header(obus: bytes | memoryview) -> bytes | None:
    """The payload of the first sequence header among OBUs of the low-overhead format; None without one."""
    for kind, payload in _obus(obus):
        if kind == OBU_SEQUENCE_HEADER:
            return bytes(payload)
    return None


def parse_sequence_header(payload: bytes) -> SequenceHeader:
    """Read sequence_header_obu(); raises `Av1Error`."""
    try:
        return _read_sequence(BitReader(payload))
    except BitsError as exc:
        raise Av1Error(f"a sequence header that ends early: {exc}") from exc


def _leb128(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _obus(data: bytes | memoryview) -> Iterator[tuple[int, bytes | memoryview]]:
    """Type and payload of each OBU (5.3); ends at one that is cut off."""
    at, end = 0, len(data)
    while at < end:
        head = data[at]
        at += 2 if head & 4 else 1
        size = end - at
        if head & 2:
            size = shift = 0
            while True:
                if at >= end or shift > 49:
                    return
                byte = data[at]
                at += 1
                size |= (byte & 0x7F) << shift
                shift += 7
                if not byte & 0x80:
                    break
        if size < 0 or at + size > end:
            return
        yield head >> 3 & 0xF, data[at : at + size]
        at += size


def _read_sequence(bits: BitReader) -> SequenceHeader:
    profile = bits.read(3)
    if profile > 2:
        raise Av1Error(f"AV1 profile {profile}")
    bits.flag()  # still_picture
    reduced = bits.flag()
    rate, tier = 0.0, False
    if reduced:
        level = bits.read(5)
    else:
        rate, level, tier = _read_operating_points(bits)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    width, height = bits.read(width_bits) + 1, bits.read(height_bits) + 1
    if not reduced and bits.flag():
        bits.read(7)  # frame ids
    bits.read(3)  # use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
    if not reduced:
        _skip_tools(bits)
    bits.read(3)  # enable_superres, enable_cdef, enable_restoration
    depth, monochrome, subsampling, position, colour = _read_colour(bits, profile)
    return SequenceHeader(
        profile, level, tier, depth, monochrome, subsampling, position, colour, width, height, rate
    )


def _read_operating_points(bits: BitReader) -> tuple[float, int, bool]:
    """Timing and operating points: frame rate, level and tier of the first one."""
    rate, delay_bits, timing, decoder_model = 0.0, 0, bits.flag(), False
    if timing:
        ticks, scale = bits.read(32), bits.read(32)
        if bits.flag():
            per_frame = bits.unsigned() + 1
            rate = scale / (ticks * per_frame) if ticks else 0.0
        decoder_model = bits.flag()
        if decoder_model:
            delay_bits = bits.read(5) + 1
            bits.read(42)
    display_delays = bits.flag()
    level, tier = 0, False
    for index in range(bits.read(5) + 1):
        bits.read(12)  # operating_point_idc
        its_level = bits.read(5)
        its_tier = bits.flag() if its_level > 7 else False
        if not index:
            level, tier = its_level, its_tier
        if decoder_model and bits.flag():
            bits.read(2 * delay_bits + 1)
        if display_delays and bits.flag():
            bits.read(4)
    return rate if rate <= 1000 else 0.0, level, tier


def _skip_tools(bits: BitReader) -> None:
    bits.read(4)  # interintra, masked compound, warped motion, dual filter
    order_hint = bits.flag()
    if order_hint:
        bits.read(2)  # jnt_comp, ref_frame_mvs
    screen_content = _SELECT if bits.flag() else bits.read(1)
    if screen_content and not bits.flag():
        bits.read(1)  # seq_force_integer_mv
    if order_hint:
        bits.read(3)  # order_hint_bits_minus_1


def _read_colour(
    bits: BitReader, profile: int
) -> tuple[int, bool, tuple[bool, bool], int, tuple[int, int, int, bool]]:
    """color_config(), 5.5.2."""
    high = bits.flag()
    depth = (12 if bits.flag() else 10) if profile == 2 and high else 10 if high else 8
    monochrome = bits.flag() if profile != 1 else False
    primaries = transfer = matrix = _UNSPECIFIED
    if bits.flag():
        primaries, transfer, matrix = bits.read(8), bits.read(8), bits.read(8)
    if monochrome:
        return depth, True, (True, True), 0, (primaries, transfer, matrix, bits.flag())
    if (primaries, transfer, matrix) == (_BT709, _SRGB, _IDENTITY):
        return depth, False, (False, False), 0, (primaries, transfer, matrix, True)
    full = bits.flag()
    subsampling = (profile != 1, profile == 0)
    if profile == 2 and depth == 12:
        across = bits.flag()
        subsampling = (across, across and bits.flag())
    position = bits.read(2) if subsampling == (True, True) else 0
    return depth, False, subsampling, position, (primaries, transfer, matrix, full)
