"""When a child that ended is started again: at once, then with growing patience."""

from dataclasses import dataclass

_FIRST = 0.05
_LONGEST = 5.0
_LIVED_WELL = 20.0
"""Seconds after which an end counts as the first again."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often a child has ended soon after its start."""

    failures: int = 0

    def after_end(self, lived: float) -> "Backoff":
        """The count once a child that lived so many seconds has ended."""
        return Backoff(1 if lived >= _LIVED_WELL else self.failures + 1)

    def delay(self) -> float:
        """Seconds to wait before the next start: 0.05, doubled each time, at most 5."""
        return min(_LONGEST, _FIRST * 2.0 ** max(0, min(self.failures, 16) - 1))
