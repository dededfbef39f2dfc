"""H.264 codec records: AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1) and the sequence
parameter set (ISO/IEC 14496-10, 7.3.2.1.1), as far as a packager and a playlist need them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from media.bits import BitReader, BitsError
from media.codec import CodecError
from media.colour import NOTHING_KNOWN, Colour, read_signal_type

NAL_SPS: Final = 7

# ISO/IEC 14496-10, 7.3.2.1.1.1: the profiles whose SPS carries chroma format and scaling lists.
_HIGH_PROFILES: Final = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
_EXTENDED_SAR: Final = 255
_MAX_REFERENCE_CYCLE: Final = 255  # num_ref_frames_in_pic_order_cnt_cycle, 7.4.2.1.1
_MAX_SIDE: Final = 16_384  # level 6.2 ends at 139,264 macroblocks, one side at 16,880


class AvcError(CodecError):
    """Bytes that are not an H.264 codec record."""


@dataclass(frozen=True, slots=True)
class SequenceParameters:
    """What one SPS says about the picture."""

    profile: int
    constraints: int
    """constraint_set0_flag … as the byte between profile and level."""
    level: int
    """level_idc: ten times the level."""
    width: int
    """Pixels as shown, after frame cropping."""
    height: int
    frame_rate: float
    """Frames per second from the VUI; 0.0 where it has no timing."""
    chroma_format: int = 1
    """chroma_format_idc: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4."""
    luma_depth: int = 8
    """Bits of a sample."""
    chroma_depth: int = 8
    colour: Colour = NOTHING_KNOWN


@dataclass(frozen=True, slots=True)
class AvcConfig:
    """A parsed AVCDecoderConfigurationRecord."""

    profile: int
    compatibility: int
    level: int
    length_size: int
    """Bytes of the length in front of each NAL unit of a frame: 1, 2 or 4."""
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]

    @property
    def codec(self) -> str:
        """RFC 6381, 3.3: `avc1.` and profile, constraints and level in hexadecimal."""
        return f"avc1.{self.profile:02x}{self.compatibility:02x}{self.level:02x}"


def parse_config(record: bytes) -> AvcConfig:
    """Read an AVCDecoderConfigurationRecord with at least one SPS and one PPS; raises `AvcError`.

    What follows the picture parameter sets (chroma format, SPS extensions) is accepted unread.
    """
    if len(record) < 7:
        raise AvcError(f"an AVC record of {len(record)} bytes")
    if record[0] != 1:
        raise AvcError(f"AVC record version {record[0]}, expected 1")
    length_size = (record[4] & 3) + 1
    if length_size == 3:
        raise AvcError("NAL unit lengths of 3 bytes")
    sps, at = _parameter_sets(record, 6, record[5] & 0x1F)
    if at >= len(record):
        raise AvcError("the AVC record ends before its picture parameter sets")
    pps, _ = _parameter_sets(record, at + 1, record[at])
    if not sps or not pps:
        raise AvcError("an AVC record without parameter sets")
    return AvcConfig(record[1], record[2], record[3], length_size, sps, pps)


def build_config(sps: bytes, pps: bytes, length_size: int = 4) -> bytes:
    """The record of these parameter sets; raises `AvcError` where the SPS cannot be read."""
    picture = parse_sps(sps)
    record = bytes((1, *sps[1:4], 0xFC | length_size - 1, 0xE1)) + len(sps).to_bytes(2, "big") + sps
    record += b"\x01" + len(pps).to_bytes(2, "big") + pps
    if picture.profile not in _HIGH_PROFILES:
        return record
    depths = (0xF8 | picture.luma_depth - 8, 0xF8 | picture.chroma_depth - 8, 0)
    return record + bytes((0xFC | picture.chroma_format, *depths))


def parse_sps(nal: bytes) -> SequenceParameters:
    """Read a sequence parameter set NAL unit, its header byte included; raises `AvcError`."""
    if len(nal) < 4 or nal[0] & 0x1F != NAL_SPS:
        raise AvcError("not a sequence parameter set")
    bits = BitReader(nal[1:].replace(b"\x00\x00\x03", b"\x00\x00"))  # 7.4.1: emulation prevention
    try:
        return _read_sps(bits)
    except BitsError as exc:
        raise AvcError(f"a sequence parameter set that ends early: {exc}") from exc


def _parameter_sets(record: bytes, at: int, count: int) -> tuple[tuple[bytes, ...], int]:
    sets = []
    for _ in range(count):
        size = int.from_bytes(record[at : at + 2], "big")
        nal = record[at + 2 : at + 2 + size]
        if at + 2 > len(record) or len(nal) < size or not size:
            raise AvcError("a parameter set is empty or cut off")
        sets.append(nal)
        at += 2 + size
    return tuple(sets), at


def _read_sps(bits: BitReader) -> SequenceParameters:
    profile, constraints, level = bits.read(8), bits.read(8), bits.read(8)
    bits.unsigned()  # seq_parameter_set_id
    chroma_format, separate_planes, luma_depth, chroma_depth = 1, False, 8, 8
    if profile in _HIGH_PROFILES:
        chroma_format, separate_planes, luma_depth, chroma_depth = _read_chroma(bits)
    bits.unsigned()  # log2_max_frame_num_minus4
    _skip_picture_order(bits)
    bits.unsigned()  # max_num_ref_frames
    bits.flag()  # gaps_in_frame_num_value_allowed_flag
    width = (bits.unsigned() + 1) * 16
    map_units = bits.unsigned() + 1
    frames_only = bits.flag()
    height = map_units * 16 * (1 if frames_only else 2)
    if not frames_only:
        bits.flag()  # mb_adaptive_frame_field_flag
    bits.flag()  # direct_8x8_inference_flag
    if bits.flag():
        left, right, top, bottom = (bits.unsigned() for _ in range(4))
        # Table 6-1: 4:2:0 counts in pairs both ways, 4:2:2 across only, 4:4:4 and monochrome in pixels.
        array_type = 0 if separate_planes else chroma_format
        unit_x = 2 if array_type in (1, 2) else 1
        unit_y = (2 if array_type == 1 else 1) * (1 if frames_only else 2)
        width -= (left + right) * unit_x
        height -= (top + bottom) * unit_y
    if not 0 < width <= _MAX_SIDE or not 0 < height <= _MAX_SIDE:
        raise AvcError(f"a picture of {width} by {height}")
    frame_rate, colour = _read_usability(bits) if bits.flag() else (0.0, NOTHING_KNOWN)
    return SequenceParameters(
        profile,
        constraints,
        level,
        width,
        height,
        frame_rate,
        chroma_format,
        luma_depth,
        chroma_depth,
        colour,
    )


def _read_chroma(bits: BitReader) -> tuple[int, bool, int, int]:
    chroma_format = bits.unsigned()
    if chroma_format > 3:
        raise AvcError(f"chroma_format_idc {chroma_format}")
    separate_planes = bits.flag() if chroma_format == 3 else False
    luma_depth, chroma_depth = bits.unsigned() + 8, bits.unsigned() + 8
    if luma_depth > 14 or chroma_depth > 14:
        raise AvcError(f"samples of {luma_depth} and {chroma_depth} bits")
    bits.flag()  # qpprime_y_zero_transform_bypass_flag
    if bits.flag():
        for index in range(8 if chroma_format != 3 else 12):
            if bits.flag():
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return chroma_format, separate_planes, luma_depth, chroma_depth


def _skip_scaling_list(bits: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) & 0xFF
        last = following or last


def _skip_picture_order(bits: BitReader) -> None:
    order_type = bits.unsigned()
    if order_type == 0:
        bits.unsigned()
    elif order_type == 1:
        bits.flag()
        bits.signed()
        bits.signed()
        cycle = bits.unsigned()
        if cycle > _MAX_REFERENCE_CYCLE:
            raise AvcError(f"a picture order cycle of {cycle} frames")
        for _ in range(cycle):
            bits.signed()


def _read_usability(bits: BitReader) -> tuple[float, Colour]:
    """Annex E.1.1, up to the timing, where a frame is two ticks: frame rate and colour."""
    colour = NOTHING_KNOWN
    try:
        if bits.flag() and bits.read(8) == _EXTENDED_SAR:
            bits.read(32)
        if bits.flag():
            bits.flag()  # overscan_appropriate_flag
        if bits.flag():
            colour = read_signal_type(bits)
        if bits.flag():
            bits.unsigned()  # chroma sample location
            bits.unsigned()
        if not bits.flag():
            return 0.0, colour
        ticks, scale = bits.read(32), bits.read(32)
    except BitsError:
        return 0.0, colour  # the picture is known; some encoders cut the VUI short
    rate = scale / (2 * ticks) if ticks else 0.0
    return (rate if rate <= 1000 else 0.0), colour
