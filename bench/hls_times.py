"""When the samples of parts are, against what a playlist says of the parts. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bench.media_boxes import Run

EXACT_S: Final = 0.002
"""What a DURATION may miss the media by: rounding."""
FRAME_S: Final = 0.042
"""What may lie between two segments: a frame."""
_KEPT: Final = 4_000

Place = tuple[int, int]
"""Media sequence number, and part within the segment."""


class PartTimes:
    """Judges parts in their order; nothing is known of one behind a hole or a discontinuity.

    A part begins where the one before it ended by its DURATION. Its leading frames begin within it; the last
    one may last longer than the part: then nothing begins in the parts behind it until it ends.
    """

    def __init__(self, check: Callable[[str, object, object], None]) -> None:
        self._check = check
        self._ends: dict[Place, tuple[float, float]] = {}
        """Where parts end by what is said of them, and where the last leading frame until there ends, s."""
        self.begins: dict[int, float] = {}
        """Where segments begin, s of media time."""

    def judge(self, place: Place, before: Place | None, duration: float, run: Run | None) -> None:
        """A part said to last so long (s), with its leading run if it has one; `before` is where it goes on."""
        found = self._ends.get(before) if before is not None else None
        samples = run is not None and run.samples > 0
        if found is None:
            if run is None or not samples:
                return
            found = run.start, run.start
        begin, covered = found
        name = f"{place[0]}.{place[1]}"
        if not place[1]:
            self.begins[place[0]] = begin
        end = begin + duration
        if run is not None and samples:
            gap = run.start - covered
            self._check("tfdt goes on where the part before ended", abs(gap) < (EXACT_S if place[1] else FRAME_S),
                        f"{name}: {gap:+.4f} s")  # fmt: skip
            self._check("frames begin within their part", begin - EXACT_S <= run.start and run.last < end - EXACT_S / 2,
                        f"{name}: {begin:.3f} to {end:.3f}, frames from {run.start:.3f} to {run.last:.3f}")  # fmt: skip
            covered = run.start + run.duration
        self._check("DURATION is the media's", covered >= end - EXACT_S,
                    f"{name}: said to end at {end:.4f}, its frames do at {covered:.4f}")  # fmt: skip
        self._ends[place] = (covered if abs(covered - end) <= EXACT_S else end), covered
        while len(self._ends) > _KEPT:
            del self._ends[next(iter(self._ends))]

    def judge_segment(self, msn: int, extinf: float, runs: list[Run]) -> None:
        """A whole segment of that EXTINF, with its leading runs."""
        runs = [run for run in runs if run.samples]
        if not runs:
            return
        begin = self.begins.get(msn, runs[0].start)
        end, covered = begin + extinf, runs[-1].start + runs[-1].duration
        lasting = sum(run.duration for run in runs)
        whole = abs(lasting - (covered - runs[0].start)) <= FRAME_S
        self._check("EXTINF is the media's", whole and runs[-1].last < end + FRAME_S and covered > end - FRAME_S,
                    f"segment {msn}: {extinf} of {lasting:.3f}")  # fmt: skip
