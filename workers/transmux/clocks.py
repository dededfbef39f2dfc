"""The two clocks a packager keeps beside DTS: program date-time, and the count of audio samples."""

from __future__ import annotations

from typing import Final

MAX_TIME_MS: Final = 1 << 48
SLEW_MAX_US: Final = 1_000
"""How far program date-time may move from one segment to the next."""
AUDIO_TOLERANCE_MS: Final = 40
"""How far ms timestamps may stray from the count of samples before they win: under two frames."""
UNKNOWN: Final = -1


class ProgramClock:
    """Program date-time as DTS plus an offset.

    Ingest puts its own clock in front of every key frame (`onClock`), so that all protocols show one
    time; a segment's offset moves towards what was announced in the segment before. Where nothing is
    announced, the first frame's arrival anchors it.
    """

    def __init__(self) -> None:
        self.offset_us = 0
        """Program date-time minus DTS in this segment."""
        self.target_us = UNKNOWN
        """The offset announced last in this segment."""
        self._anchored = False

    def resume(self, offset_us: int, target_us: int) -> None:
        """Go on from a checkpoint."""
        self.offset_us, self.target_us, self._anchored = offset_us, target_us, True

    def restart(self) -> None:
        """The next segment anchors anew."""
        self._anchored = False
        self.target_us = UNKNOWN

    def announce(self, dts_ms: float, pdt_ms: float) -> None:
        """What ingest says the time is; values that are no times are ignored."""
        if 0 <= dts_ms <= pdt_ms < MAX_TIME_MS:
            self.target_us = round((pdt_ms - dts_ms) * 1000)

    def open_segment(self, arrival_offset_us: int) -> None:
        """A segment begins with a frame of this arrival minus DTS."""
        if not self._anchored:
            self._anchored = True
            self.offset_us = self.target_us if self.target_us != UNKNOWN else arrival_offset_us

    def close_segment(self) -> None:
        """Slew for the next segment."""
        if self._anchored and self.target_us != UNKNOWN:
            self.offset_us += max(-SLEW_MAX_US, min(SLEW_MAX_US, self.target_us - self.offset_us))
        self.target_us = UNKNOWN


class AudioClock:
    """Decode times in samples, counted on from frame to frame, so that rounding to ms is not heard."""

    def __init__(self, sample_rate: int, shortest: int, due: int = -1) -> None:
        """`shortest`: samples that a frame holds at least."""
        self.due = due
        """When the next frame is due, in samples; -1 before the first."""
        self._rate = sample_rate
        self._shortest = shortest

    def next(self, dts_ms: int, samples: int) -> int:
        """The time of a frame of so many samples stamped `dts_ms`; later than the one before it, whatever the
        stamp says."""
        stamped = dts_ms * self._rate // 1000
        time = self.due
        if time < 0:
            time = stamped
        elif abs(stamped - time) * 1000 > AUDIO_TOLERANCE_MS * self._rate:
            time = max(stamped, time - self._shortest + 1)
        self.due = time + samples
        return time
