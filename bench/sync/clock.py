"""The server's clock as a client sees it: `web/src/sync/clock.ts` in Python, held to it by vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

QUICK_SAMPLES: Final = 8
QUICK_INTERVAL_MS: Final = 120.0
STEADY_INTERVAL_MS: Final = 10_000.0
SLEEP_GAP_MS: Final = 1_000.0
_DRIFT_WINDOW_MS: Final = 15 * 60_000.0
_DRIFT_SIGMA: Final = 50e-6
_MAX_DRIFT: Final = 200e-6
_TYPICAL: Final = 2
_FLOOR_MS: Final = 0.5
_FLOOR_SHARE: Final = 0.03


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


@dataclass(frozen=True, slots=True)
class _Line:
    at: float
    offset: float
    drift: float
    delay: float


class Clock:
    """Server time from local time, by a line through the exchanges, those with little delay before all."""

    def __init__(self) -> None:
        self._points: list[_Point] = []
        self._line: _Line | None = None
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
        self._line = _fit(self._points)
        return True

    def reset(self) -> None:
        """Forget everything: after sleep the old samples tell nothing."""
        self.__init__()  # type: ignore[misc]

    @property
    def ready(self) -> bool:
        """Whether there is anything to go by."""
        return self._line is not None

    @property
    def settled(self) -> bool:
        """Whether the quick samples are all in."""
        return self.samples >= QUICK_SAMPLES

    @property
    def delay(self) -> float:
        """Round trip of the best sample, ms."""
        return self._line.delay if self._line is not None else 0.0

    @property
    def drift(self) -> float:
        """Parts per one by which the server's clock runs faster than ours."""
        return self._line.drift if self._line is not None else 0.0

    def offset_at(self, local: float) -> float:
        """Server minus local at a local time, ms."""
        line = self._line
        return 0.0 if line is None else line.offset + line.drift * (local - line.at)

    def server_at(self, local: float) -> float:
        """Server time at a local time, epoch ms."""
        return local + self.offset_at(local)

    @property
    def next_in(self) -> float:
        """Pause before the next sample, ms."""
        return STEADY_INTERVAL_MS if self.settled else QUICK_INTERVAL_MS


def _fit(points: list[_Point]) -> _Line:
    """The line through all points, each as heavy as its delay makes it credible, slopes held near 0."""
    delays = sorted(p.delay for p in points)
    least = delays[0]
    missed = min(delays[min(_TYPICAL, len(delays) - 1)] - least, least)
    floor = _FLOOR_MS + _FLOOR_SHARE * least
    # Plain loops: `sum` of newer Pythons compensates, JavaScript does not.
    weight = mean_at = mean_offset = 0.0
    first = points[0]
    for p in points:
        w = _weight(p.delay - least + missed, floor)
        weight += w
        mean_at += w * (p.at - first.at)
        mean_offset += w * (p.offset - first.offset)
    mean_at = first.at + mean_at / weight
    mean_offset = first.offset + mean_offset / weight
    upper = 0.0
    lower = 1 / (_DRIFT_SIGMA * _DRIFT_SIGMA)
    for p in points:
        w = _weight(p.delay - least + missed, floor)
        upper += w * (p.at - mean_at) * (p.offset - mean_offset)
        lower += w * (p.at - mean_at) * (p.at - mean_at)
    drift = max(-_MAX_DRIFT, min(upper / lower, _MAX_DRIFT))
    return _Line(mean_at, mean_offset, drift, least)


def _weight(excess: float, floor: float) -> float:
    """Whoever waited `excess` ms longer than need be waited anywhere on the way: even chances, e²/12."""
    return 1 / (excess * excess / 12 + floor * floor)


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
