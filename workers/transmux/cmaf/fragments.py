"""One CMAF chunk: a `moof` that places the samples in time, and the `mdat` that holds them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from workers.transmux.cmaf.boxes import BOX_HEADER_SIZE, box, full_box
from workers.transmux.cmaf.init import AUDIO_TRACK, VIDEO_TRACK

SYNC_SAMPLE: Final = 0x02000000
"""sample_depends_on 2: needs no other (ISO/IEC 14496-12, 8.8.3.1)."""
OTHER_SAMPLE: Final = 0x01010000
"""sample_depends_on 1, sample_is_non_sync_sample."""

_DEFAULT_BASE_IS_MOOF: Final = 0x020000
_DURATION_IS_EMPTY: Final = 0x010000
_DATA_OFFSET: Final = 0x1
_DURATION: Final = 0x100
_SIZE: Final = 0x200
_FLAGS: Final = 0x400
_COMPOSITION: Final = 0x800
_MOOF: Final = struct.Struct("!I4sI4sII")
"""`moof`'s header, then the whole `mfhd`."""
_TRAF: Final = struct.Struct("!I4s I4sII I4sIQ I4sIII")
"""`traf`'s header, `tfhd`, `tfdt`, and `trun` up to its entries."""
_MFHD_SIZE: Final = 16
_TFHD_SIZE: Final = 16
_TFDT_SIZE: Final = 20
_TRUN_SIZE: Final = 20
_MDAT: Final = struct.Struct("!I4s")

Buffer = bytes | memoryview


@dataclass(frozen=True, slots=True)
class VideoRun:
    """Consecutive video samples: five sequences of one length."""

    decode_time: int
    """DTS of the first, ms."""
    durations: Sequence[int]
    compositions: Sequence[int]
    """PTS - DTS, ms, signed."""
    keys: Sequence[bool]
    data: Sequence[Buffer]


@dataclass(frozen=True, slots=True)
class AudioRun:
    """Consecutive audio frames."""

    decode_time: int
    """Of the first, in audio samples."""
    durations: Sequence[int] | None
    """In audio samples; None where each lasts what the init segment says."""
    data: Sequence[Buffer]


def fragment(sequence: int, video: VideoRun | None, audio: AudioRun | None) -> bytes:
    """`moof` + `mdat`; `sequence` is mfhd's, growing from part to part. The samples are copied once."""
    pictures = _video_entries(video) if video else []
    sounds = _audio_entries(audio) if audio else []
    video_size = sum(map(len, video.data)) if video else 0
    audio_size = sum(map(len, audio.data)) if audio else 0
    # All in front of the entries has a fixed size, so the offsets are known before anything is packed.
    moof_size = _MOOF.size
    moof_size += (_TRAF.size + 4 * len(pictures) if video else 0) + (
        _TRAF.size + 4 * len(sounds) if audio else 0
    )
    first = moof_size + BOX_HEADER_SIZE
    pieces: list[Buffer] = [_MOOF.pack(moof_size, b"moof", _MFHD_SIZE, b"mfhd", 0, sequence & 0xFFFFFFFF)]
    if video:
        # Version 1: composition offsets are signed (8.8.8.2).
        flags = 1 << 24 | _DATA_OFFSET | _DURATION | _SIZE | _FLAGS | _COMPOSITION
        pieces.append(_traf(VIDEO_TRACK, video.decode_time, flags, len(video.data), first, pictures))
    if audio:
        flags = 1 << 24 | _DATA_OFFSET | _SIZE | (0 if audio.durations is None else _DURATION)
        at = first + video_size
        pieces.append(_traf(AUDIO_TRACK, audio.decode_time, flags, len(audio.data), at, sounds))
    pieces.append(_MDAT.pack(BOX_HEADER_SIZE + video_size + audio_size, b"mdat"))
    if video:
        pieces.extend(video.data)
    if audio:
        pieces.extend(audio.data)
    return b"".join(pieces)


def empty_fragment(sequence: int, decode_time: int) -> bytes:
    """A fragment for a time in which no sample begins, ms of the video track: where its next one will (8.8.7)."""
    tfhd = struct.pack("!I", VIDEO_TRACK)
    nothing = box(
        b"traf",
        full_box(b"tfhd", 0, _DEFAULT_BASE_IS_MOOF | _DURATION_IS_EMPTY, tfhd),
        full_box(b"tfdt", 1, 0, struct.pack("!Q", decode_time)),
    )
    header = full_box(b"mfhd", 0, 0, struct.pack("!I", sequence & 0xFFFFFFFF))
    return box(b"moof", header, nothing) + box(b"mdat")


def _traf(track: int, decode_time: int, flags: int, count: int, data_at: int, entries: list[int]) -> bytes:
    """A `traf` of one run; `flags` are trun's, its version in front."""
    size = 4 * len(entries)
    return _TRAF.pack(
        _TRAF.size + size, b"traf",
        _TFHD_SIZE, b"tfhd", _DEFAULT_BASE_IS_MOOF, track,
        _TFDT_SIZE, b"tfdt", 1 << 24, decode_time,
        _TRUN_SIZE + size, b"trun", flags, count, data_at,
    ) + struct.pack(f"!{len(entries)}I", *entries)  # fmt: skip


def _video_entries(run: VideoRun) -> list[int]:
    entries = [0] * (4 * len(run.data))
    entries[0::4] = run.durations
    entries[1::4] = map(len, run.data)
    entries[2::4] = [SYNC_SAMPLE if key else OTHER_SAMPLE for key in run.keys]
    entries[3::4] = [composition & 0xFFFFFFFF for composition in run.compositions]
    return entries


def _audio_entries(run: AudioRun) -> list[int]:
    if run.durations is None:
        return list(map(len, run.data))
    entries = [0] * (2 * len(run.data))
    entries[0::2] = run.durations
    entries[1::2] = map(len, run.data)
    return entries
