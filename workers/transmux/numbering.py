"""Where in the playlist we are: media sequence, part index, discontinuities, names, target duration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bus_schemas.parts import PART_TARGET_MAX_MS, PART_TARGET_US, PartFlags, PartHeader

TARGET_DURATION_MIN_S: Final = 2
TARGET_DURATION_MAX_S: Final = 10
PART_FULL_PERCENT: Final = 85
"""How much of PART-TARGET a part must last, but for the last of a segment and those with a key frame in front."""
PART_STEP_US: Final = 10_000
"""A part target of a stream's own is rounded up to this: frames jitter."""
ROUNDING_MS: Final = 50
"""29.97 fps makes GOPs of 2.002 s: how far one may pass a whole second without raising TARGETDURATION."""
LOST_SINCE_MS: Final = 1_767_225_600_000
"""2026-01-01: no stream of ours is older."""
LOST_RATE: Final = 2
"""Numbers a second. A segment lasts 2 s, shorter ones are exceptions; and 32 bits, of which some players sign one,
last until 2060."""


def number_beyond(now_ms: int) -> int:
    """A media sequence number, and a discontinuity sequence number, beyond those of segments nobody remembers.

    Time is all that is left to count by: whoever began at 0, or here at an earlier time (epoch, ms), and cut less
    than `LOST_RATE` segments a second since, is behind it. There are no more discontinuities than segments.
    """
    return max(1, (now_ms - LOST_SINCE_MS) * LOST_RATE // 1000)


class Numbering:
    """The place of the next part. Media sequence numbers have no holes, whatever happens to the stream."""

    def __init__(self, names: Callable[[int], str]) -> None:
        self._names = names
        self.msn = 0
        self.part = 0
        self.name = names(0)
        self.next_name = names(1)
        self.target_duration = 0
        """Seconds; 0 until the first segment has ended."""
        self.part_target_us = PART_TARGET_US
        self.discontinuity = 0
        """Discontinuities so far, that before the open segment included."""
        self.segment_flags = PartFlags.NONE
        self._discontinuity_due = False

    def resume(self, last: PartHeader) -> None:
        """The place behind `last`."""
        self.msn, self.part = last.msn, last.part
        self.name, self.next_name = last.name, last.next_name
        self.target_duration = last.target_duration
        self.part_target_us = last.part_target_us
        self.discontinuity = last.discontinuity
        self.segment_flags = last.flags & PartFlags.DISCONTINUITY
        self._discontinuity_due = last.checkpoint.resync
        if last.flags & PartFlags.LAST:
            self.close_segment()
        elif not last.flags & PartFlags.END:
            self.part += 1

    def break_timeline(self) -> None:
        """The next segment begins with a discontinuity, if there is anything before it."""
        self._discontinuity_due |= self.msn > 0 or self.part > 0

    def open_segment(self) -> None:
        """A segment begins."""
        self.segment_flags = PartFlags.NONE
        if self._discontinuity_due:
            self._discontinuity_due = False
            self.discontinuity += 1
            self.segment_flags = PartFlags.DISCONTINUITY

    def close_segment(self) -> None:
        """The next part is the first of the next segment."""
        self.msn += 1
        self.part = 0
        self.name, self.next_name = self.next_name, self._names(self.msn + 1)

    def fix_target_duration(self, segment_ms: int) -> None:
        """The first segment, which lasted so long, fixes EXT-X-TARGETDURATION for ever."""
        if not self.target_duration:
            seconds = -((ROUNDING_MS - segment_ms) // 1000)
            self.target_duration = min(TARGET_DURATION_MAX_S, max(TARGET_DURATION_MIN_S, seconds))

    def fix_part_target(self, duration_us: int, frame_us: int) -> None:
        """The stream's first part, which lasts so long, as its longest frame does, fixes PART-TARGET for ever.

        It is the usual one unless no number of such frames lasts 85 to 100 % of that: twelve a second, or two.
        """
        too_short = duration_us * 100 < PART_TARGET_US * PART_FULL_PERCENT
        if duration_us > PART_TARGET_US or (too_short and duration_us + frame_us > PART_TARGET_US):
            own_us = -(-duration_us // PART_STEP_US) * PART_STEP_US
            self.part_target_us = min(own_us, PART_TARGET_MAX_MS * 1000)
