"""What a rule checker needs of ISO BMFF: tracks of an init segment, decode times and durations of a part. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_BASE_DATA_OFFSET: Final = 0x1
_DESCRIPTION: Final = 0x2
_DEFAULT_DURATION: Final = 0x8
_DEFAULT_SIZE: Final = 0x10
_DEFAULT_FLAGS: Final = 0x20
_RUN_OFFSET: Final = 0x1
_RUN_FIRST_FLAGS: Final = 0x4
_RUN_DURATION: Final = 0x100
_RUN_SIZE: Final = 0x200
_RUN_FLAGS: Final = 0x400
_RUN_COMPOSITION: Final = 0x800
_NOT_SYNC: Final = 0x10000


class BoxError(ValueError):
    """Bytes that are not the boxes they should be."""


@dataclass(frozen=True, slots=True)
class Track:
    """One track of an init segment."""

    video: bool
    timescale: int


@dataclass(frozen=True, slots=True)
class Run:
    """One track's samples in a part, in seconds."""

    track: int
    start: float
    duration: float
    first_sync: bool
    samples: int
    last: float
    """When the last sample begins."""


def boxes(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Kind and content of each box; raises `BoxError` where one is cut off."""
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise BoxError("a box header is cut off")
        size, kind = struct.unpack_from("!I4s", data, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from("!Q", data, at + 8)
            head = 16
        if size < head or at + size > len(data):
            raise BoxError(f"a box {kind!r} of {size} bytes in {len(data) - at}")
        yield kind.decode("latin-1"), data[at + head : at + size]
        at += size


def _inside(data: bytes, *path: str) -> Iterator[bytes]:
    for kind, body in boxes(data):
        if kind == path[0]:
            if len(path) == 1:
                yield body
            else:
                yield from _inside(body, *path[1:])


def read_tracks(init: bytes) -> dict[int, Track]:
    """Tracks of an init segment by id; raises `BoxError`."""
    tracks = {}
    for trak in _inside(init, "moov", "trak"):
        (tkhd,), (mdhd,), (hdlr,) = (
            list(_inside(trak, *path)) for path in (("tkhd",), ("mdia", "mdhd"), ("mdia", "hdlr"))
        )
        (track,) = struct.unpack_from("!I", tkhd, 20 if tkhd[0] else 12)
        (timescale,) = struct.unpack_from("!I", mdhd, 20 if mdhd[0] else 12)
        tracks[track] = Track(hdlr[8:12] == b"vide", timescale)
    if not tracks:
        raise BoxError("an init segment without tracks")
    return tracks


def read_defaults(init: bytes) -> dict[int, tuple[int, int]]:
    """Default sample duration and flags by track, from `trex`."""
    found = {}
    for trex in _inside(init, "moov", "mvex", "trex"):
        track, _, duration, _, flags = struct.unpack_from("!5I", trex, 4)
        found[track] = duration, flags
    return found


def read_runs(part: bytes, init: bytes) -> list[Run]:
    """The samples of a part (or of a segment), by track fragment; raises `BoxError`."""
    tracks, defaults = read_tracks(init), read_defaults(init)
    kinds = [kind for kind, _ in boxes(part)]
    if kinds.count("moof") != kinds.count("mdat") or "moof" not in kinds:
        raise BoxError(f"a part of {kinds}")
    return [_read_run(traf, tracks, defaults) for traf in _inside(part, "moof", "traf")]


def _read_run(traf: bytes, tracks: dict[int, Track], defaults: dict[int, tuple[int, int]]) -> Run:
    track, duration, flags = _read_header(next(_inside(traf, "tfhd")), defaults)
    if track not in tracks:
        raise BoxError(f"track {track} is not in the init segment")
    tfdt = next(_inside(traf, "tfdt"))
    (start,) = struct.unpack_from("!Q" if tfdt[0] else "!I", tfdt, 4)
    total = samples = last = 0
    first_flags: int | None = None
    for trun in _inside(traf, "trun"):
        count, run_duration, run_first, run_last = _read_samples(trun, duration, flags)
        total, samples, last = total + run_duration, samples + count, total + run_last
        first_flags = run_first if first_flags is None else first_flags
    scale = tracks[track].timescale
    return Run(
        track,
        start / scale,
        total / scale,
        not (first_flags or 0) & _NOT_SYNC,
        samples,
        (start + last) / scale,
    )


def _read_header(tfhd: bytes, defaults: dict[int, tuple[int, int]]) -> tuple[int, int, int]:
    bits = int.from_bytes(tfhd[1:4], "big")
    (track,) = struct.unpack_from("!I", tfhd, 4)
    duration, flags = defaults.get(track, (0, 0))
    at = 8 + 8 * bool(bits & _BASE_DATA_OFFSET) + 4 * bool(bits & _DESCRIPTION)
    if bits & _DEFAULT_DURATION:
        (duration,) = struct.unpack_from("!I", tfhd, at)
        at += 4
    at += 4 * bool(bits & _DEFAULT_SIZE)
    if bits & _DEFAULT_FLAGS:
        (flags,) = struct.unpack_from("!I", tfhd, at)
    return track, duration, flags


def _read_samples(trun: bytes, duration: int, flags: int) -> tuple[int, int, int, int]:
    """Number of samples, their duration, the flags of the first, when the last one begins."""
    bits = int.from_bytes(trun[1:4], "big")
    (count,) = struct.unpack_from("!I", trun, 4)
    at = 8 + 4 * bool(bits & _RUN_OFFSET)
    first = flags
    if bits & _RUN_FIRST_FLAGS:
        (first,) = struct.unpack_from("!I", trun, at)
        at += 4
    total = last = 0
    for number in range(count):
        last = total
        if bits & _RUN_DURATION:
            total += struct.unpack_from("!I", trun, at)[0]
            at += 4
        else:
            total += duration
        at += 4 * bool(bits & _RUN_SIZE)
        if bits & _RUN_FLAGS:
            if number == 0 and not bits & _RUN_FIRST_FLAGS:
                (first,) = struct.unpack_from("!I", trun, at)
            at += 4
        at += 4 * bool(bits & _RUN_COMPOSITION)
    return count, total, first, last
