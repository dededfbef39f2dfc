"""The server's clock as a client sees it: `web/src/sync/clock.ts` in Python, held to it by vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

QUICK_SAMPLES: Final = 8
QUICK_INTERVAL_MS: Final = 120.0
STEADY_INTERVAL_MS: Final = 10_000.0
SLEEP_GAP_MS: Final = 1_000.0
_WINDOW: Final = 16
_DRIFT_WINDOW_MS: Final = 15 * 60_000.0
_DRIFT_MIN_SPAN_MS: Final = 60_000.0
_DRIFT_MIN_POINTS: Final = 6
_MAX_DRIFT: Final = 200e-6


@dataclass(frozen=True, slots=True)
class TimeSample:
    """One exchange: local ms at both ends, server epoch ms between."""

    t0: float
    t1: float
    t2: float
    t3: float


@dataclass(frozen=True, slots=True)
class _Point:
    at: float
    offset: float
    delay: float


class Clock:
    """Server time from local time, by the exchange with the least delay and the drift of all of them."""

    def __init__(self) -> None:
        self._points: list[_Point] = []
        self._best: _Point | None = None
        self.drift = 0.0
        self.samples = 0

    def add(self, sample: TimeSample) -> bool:
        """Take one exchange in; answers whether it is plausible and was used."""
        delay = sample.t3 - sample.t0 - (sample.t2 - sample.t1)
        offset = (sample.t1 - sample.t0 + (sample.t2 - sample.t3)) / 2
        if not math.isfinite(delay) or not math.isfinite(offset) or delay < -1 or sample.t3 < sample.t0:
            return False
        point = _Point((sample.t0 + sample.t3) / 2, offset, max(0.0, delay))
        self.samples += 1
        self._points.append(point)
        self._points = [p for p in self._points if point.at - p.at <= _DRIFT_WINDOW_MS]
        best = self._points[-_WINDOW:][0]
        for p in self._points[-_WINDOW:]:
            if p.delay <= best.delay:
                best = p
        self._best = best
        self.drift = _regress(self._points)
        return True

    def reset(self) -> None:
        """Forget everything: after sleep the old samples tell nothing."""
        self.__init__()  # type: ignore[misc]

    @property
    def ready(self) -> bool:
        """Whether there is anything to go by."""
        return self._best is not None

    @property
    def settled(self) -> bool:
        """Whether the quick samples are all in."""
        return self.samples >= QUICK_SAMPLES

    @property
    def delay(self) -> float:
        """Round trip of the best sample, ms."""
        return self._best.delay if self._best is not None else 0.0

    def offset_at(self, local: float) -> float:
        """Server minus local at a local time, ms."""
        return 0.0 if self._best is None else self._best.offset + self.drift * (local - self._best.at)

    def server_at(self, local: float) -> float:
        """Server time at a local time, epoch ms."""
        return local + self.offset_at(local)

    @property
    def next_in(self) -> float:
        """Pause before the next sample, ms."""
        return STEADY_INTERVAL_MS if self.settled else QUICK_INTERVAL_MS


def _regress(points: list[_Point]) -> float:
    """Slope of offset over time through the cleanest half of the points, 0 while there is too little to say."""
    by_delay = sorted(points, key=lambda p: p.delay)
    clean = by_delay[: max(_DRIFT_MIN_POINTS, math.ceil(len(points) / 2))]
    if len(clean) < _DRIFT_MIN_POINTS:
        return 0.0
    times = [p.at for p in clean]
    if max(times) - min(times) < _DRIFT_MIN_SPAN_MS:
        return 0.0
    # Plain loops: `sum` of newer Pythons compensates, JavaScript does not.
    mean_at = mean_offset = 0.0
    for p in clean:
        mean_at += p.at
        mean_offset += p.offset
    mean_at /= len(clean)
    mean_offset /= len(clean)
    upper = lower = 0.0
    for p in clean:
        upper += (p.at - mean_at) * (p.offset - mean_offset)
        lower += (p.at - mean_at) * (p.at - mean_at)
    slope = upper / lower if lower > 0 else 0.0
    return slope if abs(slope) <= _MAX_DRIFT else 0.0


class SleepDetector:
    """Tells sleep from waking hours: feed it both clocks now and then."""

    def __init__(self) -> None:
        self._gap: float | None = None

    def look(self, monotonic: float, wall: float) -> bool:
        """True once after the two clocks parted since the last look."""
        gap = wall - monotonic
        slept = self._gap is not None and abs(gap - self._gap) > SLEEP_GAP_MS
        self._gap = gap
        return slept
