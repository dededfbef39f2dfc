"""Repair of a publisher's timestamps, once and for all readers (DESIGN.md §4).

Audio and video come from one clock, so both are mapped onto the stream's timeline by one offset.
When a track's time leaps in a way that the wall clock does not explain, or steps back, a new
offset is made there, so that the track goes on where it was; the other track keeps the old one until
it leaps itself, and then takes over the new one: the two stay aligned as the encoder aligned them.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Final

from workers.ingest.rtmp.events import MediaKind

MAX_STEP_MS: Final = 1_000
"""A step forward greater than this, and than the time that really passed, is a jump."""
BESIDE_STEP_MS: Final = 250
"""The same where another track runs alongside: it shows how late it is."""
BACK_TOLERANCE_MS: Final = 50
"""A track may step back so far by an encoder's rounding; it is held. Further back is a restart."""
MAX_LAG_MS: Final = 3_000
"""How far from the other track a track may begin."""
MAX_GAP_MS: Final = 60_000
"""The longest silence that is kept on the timeline when the clock restarts after it."""
_LONGEST_FRAME_MS: Final = 200
_SILENCE_MS: Final = 500
"""A track that was silent for longer than this goes on by the wall clock, else by its own step."""
_ALIVE_MS: Final = 1_000
_WRAPS: Final = (31, 24)
"""Encoders that keep 31 bits, and those that forget the extended timestamp."""


class Repair(StrEnum):
    """What was wrong."""

    WRAP = "wrap"
    JUMP = "jump"
    RESTART = "restart"
    BACK_STEP = "back_step"


class _Track:
    __slots__ = ("heard", "last", "offset", "raw", "step")

    def __init__(self, raw: int, last: int, offset: int, heard: float) -> None:
        self.raw = raw
        self.last = last
        self.offset = offset
        self.heard = heard
        self.step = 1


def _signed(value: int, bits: int) -> int:
    """The value modulo 2**bits, nearest to zero."""
    half = 1 << (bits - 1)
    return (value + half & (1 << bits) - 1) - half


class TimestampRepair:
    """Maps raw RTMP timestamps to DTS: strictly rising for each track, never before `start_ms`."""

    def __init__(self, start_ms: int = 0) -> None:
        self._start = start_ms
        self._newest = start_ms
        self._now = 0.0
        self._offset = 0
        self._tracks: dict[MediaKind, _Track] = {}
        self.repairs: Counter[Repair] = Counter()
        """How often each was repaired."""

    @property
    def newest_ms(self) -> int:
        """The greatest DTS given so far, or where the timeline begins."""
        return self._newest

    def repair(self, kind: MediaKind, raw: int, now_ms: float) -> int:
        """The DTS, ms, of a message stamped `raw` (32 bits) that arrived at `now_ms` of a steady clock."""
        elapsed = max(0.0, now_ms - self._now)
        self._now = now_ms
        track = self._tracks.get(kind)
        if track is not None and track.offset == self._offset:
            # Nearly every message: a step as long as a frame, near the newest.
            dts = raw + track.offset
            step = dts - track.last
            if 0 < step <= _LONGEST_FRAME_MS and dts - self._newest <= BESIDE_STEP_MS:
                track.raw, track.last, track.step, track.heard = raw, dts, step, now_ms
                if dts > self._newest:  # noqa: PLR1730 - a call to max() at every message
                    self._newest = dts
                return dts
        return self._repair(kind, track, raw, now_ms, elapsed)

    def _repair(self, kind: MediaKind, track: _Track | None, raw: int, now_ms: float, elapsed: float) -> int:
        if not self._tracks:
            self._offset = self._start - raw
            self._tracks[kind] = _Track(raw, self._start, self._offset, now_ms)
            return self._start
        if track is None:
            dts = self._place(None, raw, elapsed)
            self._tracks[kind] = _Track(raw, dts, self._offset, now_ms)
        else:
            dts = self._place(track, raw, elapsed)
            if dts <= track.last:
                self.repairs[Repair.BACK_STEP] += 1
                dts = track.last + 1
            elif dts - track.last <= _LONGEST_FRAME_MS:
                track.step = dts - track.last
            if raw < track.raw and _signed(raw - track.raw, 32) > 0:
                self.repairs[Repair.WRAP] += 1
            track.raw, track.last, track.heard = raw, dts, self._now
        self._newest = max(self._newest, dts)
        return dts

    def _place(self, track: _Track | None, raw: int, elapsed: float) -> int:
        offset = self._offset if track is None else track.offset
        dts = self._fit(track, raw, offset, 32, elapsed)
        if track is not None and offset != self._offset:
            # The other track has leapt: this one follows as soon as that continues it better.
            follows = self._fit(track, raw, self._offset, 32, elapsed)
            due = track.last + track.step
            if follows is not None and (dts is None or abs(follows - due) < abs(dts - due)):
                dts, offset = follows, self._offset
        for bits in _WRAPS:
            if dts is None and raw < 1 << bits:
                dts = self._fit(track, raw, offset, bits, elapsed)
                if dts is not None:
                    self.repairs[Repair.WRAP] += 1
                    self._offset = offset = dts - raw
        if dts is None:
            ahead = _signed(raw + offset - self._newest, 32) > 0
            self.repairs[Repair.JUMP if ahead else Repair.RESTART] += 1
            dts = self._go_on(track, elapsed)
            self._offset = offset = dts - raw
        if track is not None:
            track.offset = offset
        return max(dts, self._start)

    def _go_on(self, track: _Track | None, elapsed: float) -> int:
        """Where a message belongs whose own time means nothing: behind the one before it on its track."""
        if track is None:
            return self._newest + int(min(elapsed, MAX_GAP_MS))
        silent = self._now - track.heard
        return track.last + (int(min(silent, MAX_GAP_MS)) if silent > _SILENCE_MS else track.step)

    def _fit(self, track: _Track | None, raw: int, offset: int, bits: int, elapsed: float) -> int | None:
        """The DTS by this offset, counted modulo 2**bits; None where it would be a leap."""
        ahead = _signed(raw + offset - self._newest, bits)
        dts = self._newest + ahead
        if track is None:
            return dts if -MAX_LAG_MS <= ahead <= MAX_LAG_MS + elapsed else None
        if ahead > BESIDE_STEP_MS + elapsed and ahead > self._longest_step(track) + elapsed:
            return None
        return dts if dts >= track.last - BACK_TOLERANCE_MS else None

    def _longest_step(self, track: _Track) -> int:
        """What a track may step ahead of all others at once."""
        for other in self._tracks.values():
            if other is not track and self._newest - other.last < _ALIVE_MS:
                return max(BESIDE_STEP_MS, 4 * track.step)
        return MAX_STEP_MS


class ProgramClock:
    """Program date-time of a DTS: anchored at the first key frame, slewed by at most 1 ms at each.

    It aims at the earliest arrival since the key frame before, because lateness is the network's
    and earliness the encoder's clock.
    """

    MAX_SLEW_US: Final = 1_000

    def __init__(self) -> None:
        self._offset_us: int | None = None
        self._floor_us: int | None = None

    def observe(self, dts_ms: int, arrival_us: int) -> None:
        """Take note of a frame's arrival, µs since 1970."""
        lead = arrival_us - dts_ms * 1_000
        if self._floor_us is None or lead < self._floor_us:
            self._floor_us = lead

    def at_key_frame(self, dts_ms: int, arrival_us: int) -> float:
        """Program date-time, ms since 1970, of a key frame that has just arrived."""
        self.observe(dts_ms, arrival_us)
        assert self._floor_us is not None
        if self._offset_us is None:
            self._offset_us = self._floor_us
        else:
            slew = self._floor_us - self._offset_us
            self._offset_us += max(-self.MAX_SLEW_US, min(self.MAX_SLEW_US, slew))
        self._floor_us = None
        return (dts_ms * 1_000 + self._offset_us) / 1_000
