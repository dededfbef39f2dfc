"""The bitrate limit of a publisher, on average over some seconds; sans-I/O."""

from __future__ import annotations

from typing import Final

AVERAGED_S: Final = 5.0
"""A burst of so many seconds' worth passes untouched: key frames, and an encoder catching up."""
PATIENCE_S: Final = 15.0
"""A publisher who keeps pushing against the limit for so long is over it for good."""
MAX_DELAY_S: Final = 1.0
STEP_S: Final = 0.05
"""Less than what comes in so long is not worth counting by itself."""


class BitrateLimit:
    """A budget of bytes that refills with time; what is overspent is waited for."""

    def __init__(self, bytes_per_s: float, now_s: float) -> None:
        self._rate = bytes_per_s
        self._budget = bytes_per_s * AVERAGED_S
        self._now = now_s
        self._over_since: float | None = None
        self.worth_counting = int(bytes_per_s * STEP_S)
        """Bytes; fewer may wait for more before they are spent."""

    def spend(self, size: int, now_s: float) -> float:
        """Take note of `size` bytes; gives how long to read nothing, 0 to `MAX_DELAY_S` seconds."""
        refilled = self._budget + (now_s - self._now) * self._rate
        self._now = now_s
        full = self._rate * AVERAGED_S
        refilled = min(full, refilled)
        self._budget = refilled - size
        if self._budget >= full / 2:
            self._over_since = None
        if self._budget >= 0:
            return 0.0
        if self._over_since is None:
            self._over_since = now_s
        return min(MAX_DELAY_S, -self._budget / self._rate)

    def broken(self, now_s: float) -> bool:
        """Whether the publisher has been at the limit for `PATIENCE_S` without a pause."""
        return self._over_since is not None and now_s - self._over_since >= PATIENCE_S
