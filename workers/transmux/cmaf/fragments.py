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
    video_size = sum(map(len, video.data)) if video else 0
    audio_size = sum(map(len, audio.data)) if audio else 0
    # The offsets have a fixed width, so the size of the moof is known from a first pass with zeros.
    moof_size = len(_moof(sequence, video, audio, 0, 0))
    first = moof_size + BOX_HEADER_SIZE
    moof = _moof(sequence, video, audio, first, first + video_size)
    pieces: list[Buffer] = [moof, struct.pack("!I4s", BOX_HEADER_SIZE + video_size + audio_size, b"mdat")]
    if video:
        pieces.extend(video.data)
    if audio:
        pieces.extend(audio.data)
    return b"".join(pieces)


def empty_fragment(sequence: int, decode_time: int) -> bytes:
    """A fragment for a time in which no sample begins, ms of the video track: where its next one will (8.8.7)."""
    nothing = _traf(VIDEO_TRACK, decode_time, b"", flags=_DURATION_IS_EMPTY)
    header = full_box(b"mfhd", 0, 0, struct.pack("!I", sequence & 0xFFFFFFFF))
    return box(b"moof", header, nothing) + box(b"mdat")


def _moof(
    sequence: int, video: VideoRun | None, audio: AudioRun | None, video_at: int, audio_at: int
) -> bytes:
    trafs = []
    if video:
        trafs.append(_traf(VIDEO_TRACK, video.decode_time, _video_trun(video, video_at)))
    if audio:
        trafs.append(_traf(AUDIO_TRACK, audio.decode_time, _audio_trun(audio, audio_at)))
    return box(b"moof", full_box(b"mfhd", 0, 0, struct.pack("!I", sequence & 0xFFFFFFFF)), *trafs)


def _traf(track: int, decode_time: int, trun: bytes, *, flags: int = 0) -> bytes:
    return box(
        b"traf",
        full_box(b"tfhd", 0, _DEFAULT_BASE_IS_MOOF | flags, struct.pack("!I", track)),
        full_box(b"tfdt", 1, 0, struct.pack("!Q", decode_time)),
        trun,
    )


def _video_trun(run: VideoRun, offset: int) -> bytes:
    count = len(run.data)
    entries = [0] * (4 * count)
    entries[0::4] = run.durations
    entries[1::4] = map(len, run.data)
    entries[2::4] = [SYNC_SAMPLE if key else OTHER_SAMPLE for key in run.keys]
    entries[3::4] = [composition & 0xFFFFFFFF for composition in run.compositions]
    flags = _DATA_OFFSET | _DURATION | _SIZE | _FLAGS | _COMPOSITION
    # Version 1: composition offsets are signed (8.8.8.2).
    return full_box(b"trun", 1, flags, struct.pack(f"!II{4 * count}I", count, offset, *entries))


def _audio_trun(run: AudioRun, offset: int) -> bytes:
    count = len(run.data)
    if run.durations is None:
        entries = struct.pack(f"!II{count}I", count, offset, *map(len, run.data))
        return full_box(b"trun", 1, _DATA_OFFSET | _SIZE, entries)
    pairs = [0] * (2 * count)
    pairs[0::2] = run.durations
    pairs[1::2] = map(len, run.data)
    entries = struct.pack(f"!II{2 * count}I", count, offset, *pairs)
    return full_box(b"trun", 1, _DATA_OFFSET | _DURATION | _SIZE, entries)
