"""Access units as byte streams: Annex B of H.264 and of H.265, and ADTS frames of AAC. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from media import aac, avc, hevc

START_CODE: Final = b"\x00\x00\x00\x01"
ADTS_HEADER_SIZE: Final = 7

_AVC_DELIMITER: Final = START_CODE + b"\x09\xf0"
"""An access unit delimiter that allows any slice (ISO/IEC 14496-10, 7.3.2.4)."""
_AVC_SETS: Final = frozenset({7, 8, 13})
_AVC_DELIMITER_TYPE: Final = 9
_HEVC_DELIMITER: Final = START_CODE + b"\x46\x01\x50"
_HEVC_SETS: Final = frozenset({32, 33, 34})
_HEVC_DELIMITER_TYPE: Final = 35
_ADTS_RATES: Final = (
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
)  # fmt: skip
_ADTS_CHANNELS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 8: 7}
_ADTS_FRAME_MAX: Final = (1 << 13) - 1
_ADTS_OBJECT_TYPES: Final = range(1, 5)

Sample = bytes | memoryview
Unit = Callable[[Sample, bool], list[Sample]]
"""The pieces of one sample's byte stream; the flag says that it is a key frame."""


class ByteStreamError(ValueError):
    """A codec record, or a sample, that no byte stream can be made of."""


def avc_units(record: bytes) -> Unit:
    """H.264: a delimiter first, the parameter sets of the record before a key frame that has none.

    Raises `ByteStreamError`, as does what it gives, for a sample whose NAL units do not fill it.
    """
    try:
        config = avc.parse_config(record)
    except avc.AvcError as exc:
        raise ByteStreamError(str(exc)) from exc
    sets = b"".join(START_CODE + nal for nal in (*config.sps, *config.pps))

    def unit(sample: Sample, key: bool) -> list[Sample]:
        nals = [nal for nal in _split(sample, config.length_size) if nal[0] & 0x1F != _AVC_DELIMITER_TYPE]
        bare = key and not any(nal[0] & 0x1F in _AVC_SETS for nal in nals)
        return _joined(_AVC_DELIMITER, sets if bare else b"", nals)

    return unit


def hevc_units(record: bytes) -> Unit:
    """H.265, like `avc_units`."""
    try:
        config = hevc.parse_config(record)
    except hevc.HevcError as exc:
        raise ByteStreamError(str(exc)) from exc
    sets = b"".join(START_CODE + nal for nal in (*config.vps, *config.sps, *config.pps))

    def unit(sample: Sample, key: bool) -> list[Sample]:
        nals = [
            nal for nal in _split(sample, config.length_size) if nal[0] >> 1 & 0x3F != _HEVC_DELIMITER_TYPE
        ]
        bare = key and not any(nal[0] >> 1 & 0x3F in _HEVC_SETS for nal in nals)
        return _joined(_HEVC_DELIMITER, sets if bare else b"", nals)

    return unit


def adts_units(record: bytes) -> Unit:
    """AAC with an ADTS header (ISO/IEC 14496-3, 1.A.2.2) before each frame.

    A program config element goes in front of each frame (4.5.1.2): whoever begins in the midst needs it. Raises
    `ByteStreamError` for what ADTS cannot say: object types above 4, odd rates, other channel configurations.
    """
    try:
        config = aac.parse_config(record)
    except aac.AacError as exc:
        raise ByteStreamError(str(exc)) from exc
    if config.object_type not in _ADTS_OBJECT_TYPES or config.sample_rate not in _ADTS_RATES:
        raise ByteStreamError(f"no ADTS for object type {config.object_type} at {config.sample_rate} Hz")
    program = config.program
    channels = 0 if program else _ADTS_CHANNELS.get(config.channels)
    if channels is None:
        raise ByteStreamError(f"no ADTS for {config.channels} channels")
    rate = _ADTS_RATES.index(config.sample_rate)
    head = 0xFFF1 << 40 | (config.object_type - 1) << 38 | rate << 34 | channels << 30 | 0x7FF << 2

    def unit(sample: Sample, _key: bool) -> list[Sample]:
        size = ADTS_HEADER_SIZE + len(program) + len(sample)
        if size > _ADTS_FRAME_MAX:
            raise ByteStreamError(f"an AAC frame of {len(sample)} bytes")
        return [(head | size << 13).to_bytes(ADTS_HEADER_SIZE, "big") + program, sample]

    return unit


def bare_units(_record: bytes) -> Unit:
    """AC-3 and E-AC-3: a sample is a sync frame already."""
    return lambda sample, _key: [sample]


def _split(sample: Sample, length_size: int) -> list[memoryview]:
    view = memoryview(sample)
    found = []
    at, end = 0, len(view)
    while at < end:
        size = int.from_bytes(view[at : at + length_size], "big")
        at += length_size
        if at + size > end:
            raise ByteStreamError(f"a NAL unit of {size} bytes where {end - at} are left")
        if size:
            found.append(view[at : at + size])
        at += size
    return found


def _joined(delimiter: bytes, sets: bytes, nals: list[memoryview]) -> list[Sample]:
    pieces: list[Sample] = [delimiter, sets] if sets else [delimiter]
    for nal in nals:
        pieces += START_CODE, nal
    return pieces
