"""The frame rate that a multivariant playlist says: measured where it can be. Pure."""

from __future__ import annotations

from typing import Final

from bus_schemas.parts import InitHeader
from gateway.live.segments import Segment, SegmentIndex
from media.isobmff import BoxError, Track, read_fragment, read_init

AGREES: Final = 0.01
"""Up to this share a rate that was announced counts as measured: timestamps are whole milliseconds."""
MEASURE_US: Final = 1_000_000
"""Media it takes to measure."""


class FrameRate:
    """Of one rendition, from the frames in its complete segments: each is counted once."""

    def __init__(self) -> None:
        self._tracks: dict[int, tuple[Track, ...]] = {}
        self._frames: dict[int, tuple[int, int]] = {}
        """Media sequence number → its video frames and its duration, µs."""

    def of(self, index: SegmentIndex, init: InitHeader, body: bytes) -> float:
        """Frames per second of what belongs to this init segment; 0 where nothing says."""
        if not init.width:
            return 0.0
        whole = [one for one in index.segments if one.complete and one.init == init.init]
        there = {one.msn for one in index.segments}
        self._frames = {msn: counted for msn, counted in self._frames.items() if msn in there}
        for segment in whole:
            if segment.msn not in self._frames and all(part.body is not None for part in segment.parts):
                self._frames[segment.msn] = self._count(segment, self._tracks_of(init.init, body))
        counted = [self._frames[one.msn] for one in whole if self._frames.get(one.msn, (0, 0))[0]]
        frames, lasted_us = (sum(column) for column in zip(*counted, strict=True)) if counted else (0, 0)
        if lasted_us < MEASURE_US:
            return init.frame_rate
        measured = frames * 1e6 / lasted_us
        if abs(measured - init.frame_rate) <= AGREES * measured:
            return init.frame_rate
        return measured

    def _tracks_of(self, number: int, body: bytes) -> tuple[Track, ...]:
        if number not in self._tracks:
            try:
                tracks = read_init(body)
            except BoxError:
                tracks = ()
            self._tracks = {number: tracks}
        return self._tracks[number]

    @staticmethod
    def _count(segment: Segment, tracks: tuple[Track, ...]) -> tuple[int, int]:
        video = {track.id for track in tracks if track.is_video}
        try:
            runs = [
                run
                for part in segment.parts
                if part.body is not None
                for run in read_fragment(part.body, tracks)
            ]
        except BoxError:
            return 0, 0
        return sum(len(run.durations) for run in runs if run.track in video), segment.duration_us
