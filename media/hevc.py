"""H.265 codec records: HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1) and the sequence
parameter set (ITU-T H.265, 7.3.2.2), as far as a packager and a playlist need them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from media.bits import BitReader, BitsError
from media.codec import CodecError
from media.colour import NOTHING_KNOWN, Colour, read_signal_type

NAL_VPS: Final = 32
NAL_SPS: Final = 33
NAL_PPS: Final = 34

_FIXED_SIZE: Final = 23
_MAX_SIDE: Final = 16_888  # level 6.2 ends there, A.4.1
_MAX_PICTURE_SETS: Final = 64
_MAX_DELTA_PICTURES: Final = 16
_MAX_LONG_TERM: Final = 32
_EXTENDED_SAR: Final = 255
_SETS: Final = (NAL_VPS, NAL_SPS, NAL_PPS)


class HevcError(CodecError):
    """Bytes that are not an H.265 codec record."""


@dataclass(frozen=True, slots=True)
class ProfileTierLevel:
    """The general part of profile_tier_level(), ITU-T H.265, 7.3.3."""

    space: int
    """general_profile_space, 0 to 3."""
    high_tier: bool
    profile: int
    compatibility: int
    """general_profile_compatibility_flag[0] … as 32 bits, the first one highest."""
    constraints: int
    """The 48 bits between compatibility flags and level."""
    level: int
    """general_level_idc: thirty times the level."""


@dataclass(frozen=True, slots=True)
class SequenceParameters:
    """What one SPS says about the picture."""

    ptl: ProfileTierLevel
    chroma_format: int
    """chroma_format_idc: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4."""
    luma_depth: int
    chroma_depth: int
    temporal_layers: int
    temporal_nesting: bool
    width: int
    """Pixels as shown, after the conformance window."""
    height: int
    frame_rate: float
    """Frames per second from the VUI; 0.0 where it has no timing."""
    colour: Colour = NOTHING_KNOWN


@dataclass(frozen=True, slots=True)
class HevcConfig:
    """A parsed HEVCDecoderConfigurationRecord."""

    ptl: ProfileTierLevel
    length_size: int
    """Bytes of the length in front of each NAL unit of a frame: 1, 2 or 4."""
    vps: tuple[bytes, ...]
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]

    @property
    def codec(self) -> str:
        """ISO/IEC 14496-15, E.3: `hvc1.` profile, compatibility backwards, tier and level, constraints."""
        ptl = self.ptl
        backwards = int(f"{ptl.compatibility:032b}"[::-1], 2)
        text = f"hvc1.{'ABC'[ptl.space - 1] if ptl.space else ''}{ptl.profile}.{backwards:X}"
        text += f".{'H' if ptl.high_tier else 'L'}{ptl.level}"
        constraints = ptl.constraints.to_bytes(6, "big").rstrip(b"\0")
        return ".".join((text, *(f"{byte:X}" for byte in constraints)))


def parse_config(record: bytes) -> HevcConfig:
    """Read an HEVCDecoderConfigurationRecord; raises `HevcError`.

    One without parameter sets is read as such: they may come in band.
    """
    if len(record) < _FIXED_SIZE:
        raise HevcError(f"an HEVC record of {len(record)} bytes")
    if record[0] != 1:
        raise HevcError(f"HEVC record version {record[0]}, expected 1")
    length_size = (record[21] & 3) + 1
    if length_size == 3:
        raise HevcError("NAL unit lengths of 3 bytes")
    sets: dict[int, list[bytes]] = {kind: [] for kind in _SETS}
    at = _FIXED_SIZE
    for _ in range(record[22]):
        if at + 3 > len(record):
            raise HevcError("the HEVC record ends within its arrays")
        kind, count = record[at] & 0x3F, int.from_bytes(record[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            size = int.from_bytes(record[at : at + 2], "big")
            nal = record[at + 2 : at + 2 + size]
            if at + 2 > len(record) or len(nal) < size or not size:
                raise HevcError("a parameter set is empty or cut off")
            if kind in sets:
                sets[kind].append(nal)
            at += 2 + size
    bits = BitReader(record[1:13])
    return HevcConfig(
        _read_profile(bits), length_size, tuple(sets[NAL_VPS]), tuple(sets[NAL_SPS]), tuple(sets[NAL_PPS])
    )


def build_config(vps: bytes, sps: bytes, pps: bytes, length_size: int = 4) -> bytes:
    """The record of these parameter sets; raises `HevcError` where the SPS cannot be read."""
    parameters = parse_sps(sps)
    ptl = parameters.ptl
    head = bytes((1, ptl.space << 6 | ptl.high_tier << 5 | ptl.profile))
    head += ptl.compatibility.to_bytes(4, "big") + ptl.constraints.to_bytes(6, "big") + bytes((ptl.level,))
    head += bytes(
        (
            0xF0,  # min_spatial_segmentation_idc: not known
            0,
            0xFC,  # parallelismType: not known
            0xFC | parameters.chroma_format,
            0xF8 | parameters.luma_depth - 8,
            0xF8 | parameters.chroma_depth - 8,
            0,  # avgFrameRate: not known
            0,
            parameters.temporal_layers << 3 | parameters.temporal_nesting << 2 | length_size - 1,
            len(_SETS),
        )
    )
    arrays = (
        bytes((0x80 | kind, 0, 1)) + len(nal).to_bytes(2, "big") + nal
        for kind, nal in zip(_SETS, (vps, sps, pps), strict=True)
    )
    return head + b"".join(arrays)


def nal_kind(nal: bytes | memoryview) -> int:
    """nal_unit_type of a NAL unit with its header, -1 of an empty one."""
    return nal[0] >> 1 & 0x3F if len(nal) else -1


def parse_sps(nal: bytes) -> SequenceParameters:
    """Read a sequence parameter set NAL unit, its two header bytes included; raises `HevcError`."""
    if len(nal) < 4 or nal_kind(nal) != NAL_SPS:
        raise HevcError("not a sequence parameter set")
    bits = BitReader(nal[2:].replace(b"\x00\x00\x03", b"\x00\x00"))  # 7.4.2: emulation prevention
    try:
        return _read_sps(bits)
    except BitsError as exc:
        raise HevcError(f"a sequence parameter set that ends early: {exc}") from exc


def _read_profile(bits: BitReader) -> ProfileTierLevel:
    space, tier, profile = bits.read(2), bits.flag(), bits.read(5)
    return ProfileTierLevel(space, tier, profile, bits.read(32), bits.read(48), bits.read(8))


def _skip_sub_layers(bits: BitReader, count: int) -> None:
    present = [(bits.flag(), bits.flag()) for _ in range(count)]
    if count:
        bits.read(2 * (8 - count))
    for profile, level in present:
        bits.read(88 * profile + 8 * level)


def _read_sps(bits: BitReader) -> SequenceParameters:
    bits.read(4)  # sps_video_parameter_set_id
    sub_layers = bits.read(3)
    nesting = bits.flag()
    ptl = _read_profile(bits)
    _skip_sub_layers(bits, sub_layers)
    bits.unsigned()  # sps_seq_parameter_set_id
    chroma = bits.unsigned()
    if chroma > 3:
        raise HevcError(f"chroma_format_idc {chroma}")
    separate_planes = bits.flag() if chroma == 3 else False
    width, height = bits.unsigned(), bits.unsigned()
    if bits.flag():
        left, right, top, bottom = (bits.unsigned() for _ in range(4))
        # Table 6-1: the window counts in chroma samples.
        width -= (left + right) * (2 if chroma in (1, 2) and not separate_planes else 1)
        height -= (top + bottom) * (2 if chroma == 1 and not separate_planes else 1)
    if not 0 < width <= _MAX_SIDE or not 0 < height <= _MAX_SIDE:
        raise HevcError(f"a picture of {width} by {height}")
    luma, depth = bits.unsigned() + 8, bits.unsigned() + 8
    if luma > 15 or depth > 15:
        raise HevcError(f"samples of {luma} and {depth} bits")
    colour, rate = NOTHING_KNOWN, 0.0
    try:
        if _skip_to_usability(bits, sub_layers):
            colour = _read_colour(bits)
            rate = _read_timing(bits)
    except BitsError:
        pass  # the picture is known; some encoders cut the VUI short
    return SequenceParameters(ptl, chroma, luma, depth, sub_layers + 1, nesting, width, height, rate, colour)


def _skip_to_usability(bits: BitReader, sub_layers: int) -> bool:
    """From log2_max_pic_order_cnt_lsb_minus4 up to the VUI (E.2.1): whether there is one."""
    order_bits = bits.unsigned() + 4
    if order_bits > 16:
        raise BitsError(f"a picture order count of {order_bits} bits")
    ordering = bits.flag()
    for _ in range(sub_layers + 1 if ordering else 1):
        for _ in range(3):
            bits.unsigned()
    for _ in range(6):
        bits.unsigned()  # block and transform sizes and depths
    if bits.flag() and bits.flag():
        _skip_scaling_lists(bits)
    bits.read(2)  # amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if bits.flag():
        bits.read(8)  # PCM sample depths
        bits.unsigned()
        bits.unsigned()
        bits.flag()
    _skip_picture_sets(bits)
    if bits.flag():
        count = bits.unsigned()
        if count > _MAX_LONG_TERM:
            raise BitsError(f"{count} long-term pictures")
        bits.read(count * (order_bits + 1))
    bits.read(2)  # sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    return bits.flag()


def _skip_scaling_lists(bits: BitReader) -> None:
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.flag():
                bits.unsigned()
                continue
            if size > 1:
                bits.signed()
            for _ in range(min(64, 1 << (4 + (size << 1)))):
                bits.signed()


def _skip_picture_sets(bits: BitReader) -> None:
    """The short-term reference picture sets (7.3.7), whose sizes depend on each other."""
    count = bits.unsigned()
    if count > _MAX_PICTURE_SETS:
        raise BitsError(f"{count} reference picture sets")
    before = 0
    for index in range(count):
        if index and bits.flag():
            bits.flag()  # delta_rps_sign
            bits.unsigned()
            kept = 0
            for _ in range(before + 1):
                used = bits.flag()
                kept += used or bits.flag()
            before = kept
            continue
        negative, positive = bits.unsigned(), bits.unsigned()
        before = negative + positive
        if before > _MAX_DELTA_PICTURES:
            raise BitsError(f"{before} reference pictures")
        for _ in range(before):
            bits.unsigned()
            bits.flag()


def _read_colour(bits: BitReader) -> Colour:
    if bits.flag() and bits.read(8) == _EXTENDED_SAR:
        bits.read(32)
    if bits.flag():
        bits.flag()  # overscan_appropriate_flag
    return read_signal_type(bits) if bits.flag() else NOTHING_KNOWN


def _read_timing(bits: BitReader) -> float:
    if bits.flag():
        bits.unsigned()  # chroma sample location
        bits.unsigned()
    bits.read(3)  # neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
    if bits.flag():
        for _ in range(4):
            bits.unsigned()  # default display window
    if not bits.flag():
        return 0.0
    ticks, scale = bits.read(32), bits.read(32)
    rate = scale / ticks if ticks else 0.0
    return rate if rate <= 1000 else 0.0
