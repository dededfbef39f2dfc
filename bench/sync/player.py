"""A media player in simulation: what play, seek and rate cost, a clock of its own, stalls. Pure, seeded.

Times are ms of true time, positions seconds.
"""

from __future__ import annotations

import math
import random
from typing import Final

DISPLAY_MS: Final = 1_000 / 60
_RATE_LATENCY_MS: Final = (5.0, 30.0)
_STALL_SIGMA: Final = 0.6
_READ_NOISE_S: Final = 0.004


class SimPlayer:
    """One `<video>`. Costs are drawn once for the device, and scatter around that from act to act."""

    def __init__(self, seed: int, *, error: float, stalls_per_hour: float, stall_median_s: float) -> None:
        self._lot = lot = random.Random(seed)
        self._error = error
        self._seek_ms = lot.uniform(60, 400)
        self._lead_ms = lot.uniform(15, 90)
        # Of its own lot, by true time: every scheme meets the same stalls.
        self._trouble = random.Random(seed + 1)
        self._stall_every_ms = 3_600_000 / stalls_per_hour if stalls_per_hour else math.inf
        self._stall_median_ms = stall_median_s * 1_000
        self.fps = lot.choice((24.0, 25.0, 30.0, 60.0))
        self.bias_s = lot.uniform(-0.003, 0.003)
        """By which shown frames mislead about where the media clock is."""
        self.paused = True
        self.rate = 1.0
        self.seeks = 0
        self._now = 0.0
        self._position = 0.0
        self._speed = 1.0
        self._speed_next: tuple[float, float] | None = None
        self._seeking_until = 0.0
        self._starting_until = 0.0
        self._stalled_until = 0.0
        self._stall_at = self._trouble.expovariate(1 / self._stall_every_ms) if stalls_per_hour else math.inf

    def advance(self, now: float) -> None:
        """Live on until now; never back."""
        while self._now < now:
            begin = max(self._now, self.blocked_until)
            end = min(now, self._stall_at)
            if self._speed_next is not None:
                end = min(end, self._speed_next[0])
            end = max(end, self._now)
            moved = 0.0 if self.paused else max(0.0, end - begin)
            self._position += moved * self._speed * (1 + self._error) / 1_000
            self._now = end
            if self._speed_next is not None and self._speed_next[0] <= end:
                self._speed = self._speed_next[1]
                self._speed_next = None
            if self._stall_at <= end:
                length = self._stall_median_ms * self._trouble.lognormvariate(0, _STALL_SIGMA)
                if not self.paused:
                    self._stalled_until = end + length
                self._stall_at = end + length + self._trouble.expovariate(1 / self._stall_every_ms)

    @property
    def blocked_until(self) -> float:
        """Nothing moves before this."""
        return max(self._seeking_until, self._starting_until, self._stalled_until)

    def position(self, now: float) -> float:
        """Where it really is."""
        self.advance(now)
        return self._position

    def read(self, now: float) -> float:
        """`currentTime`, as well as it can be read."""
        noise = 0.0 if self.paused else self._lot.gauss(0, _READ_NOISE_S)
        return self.position(now) + noise

    def frame(self, now: float) -> float:
        """`mediaTime` of the frame at its `expectedDisplayTime`: off by up to half a refresh of the display."""
        self.advance(now)
        # Others may have looked since: a frame of a moment ago is found by going back.
        there = self._position - (self._now - now) / 1_000 * self._speed
        return there + self.bias_s + self._lot.uniform(-0.5, 0.5) * DISPLAY_MS / 1_000

    def moving(self, now: float) -> bool:
        """Whether the picture moves."""
        self.advance(now)
        return not self.paused and now >= self.blocked_until

    def seeking(self, now: float) -> bool:
        """As the element's `seeking`."""
        return now < self._seeking_until

    def stalled(self, now: float) -> bool:
        """Whether data is wanting."""
        self.advance(now)
        return now < self._stalled_until

    def seek(self, to: float, now: float) -> float:
        """Go there; true time when the picture is there."""
        self.advance(now)
        self._position = max(0.0, to)
        self._seeking_until = now + self._seek_ms * self._lot.lognormvariate(0, 0.2)
        self.seeks += 1
        return self._seeking_until

    def play(self, now: float) -> None:
        """Start; a moment later it moves."""
        self.advance(now)
        if self.paused:
            self.paused = False
            self._starting_until = now + self._lead_ms * self._lot.lognormvariate(0, 0.15)

    def pause(self, now: float) -> None:
        """Stop."""
        self.advance(now)
        self.paused = True

    def set_rate(self, rate: float, now: float) -> None:
        """Ask for another speed; the pipeline follows a little later."""
        self.advance(now)
        self.rate = rate
        self._speed_next = (now + self._lot.uniform(*_RATE_LATENCY_MS), rate)
