"""What the playlist of one rendition is made of: its segments and parts in order, built from part headers.

Pure: fed with headers as they come from the bus, asked by requests. Media sequence numbers in it have no
holes; where parts are missing the index begins anew behind them, because a playlist cannot say so.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from bus_schemas.parts import PART_TARGET_US, PartFlags, PartHeader

WINDOW_US: Final = 100_000_000
"""Media in a playlist; the bus keeps parts for 120 s."""
BODIES_US: Final = 20_000_000
"""Media whose bytes are held here; older parts are read from the bus when somebody wants them."""
ADVANCE_US: Final = 3_000_000
ADVANCE_PARTS_MIN: Final = 3


@dataclass(slots=True)
class Part:
    """One part: its line in the playlist, and where its bytes are."""

    duration_us: int
    independent: bool
    size: int
    sequence: int
    """Its sequence in the stream `PARTS`."""
    body: bytes | None


@dataclass(slots=True)
class Segment:
    """One segment; open while parts are still to come."""

    msn: int
    name: str
    init: int
    discontinuity: int
    """Discontinuities of the stream up to here, its own included."""
    begins_discontinuity: bool
    pdt_us: int
    parts: list[Part] = field(default_factory=list)
    complete: bool = False
    duration_us: int = 0
    """What its parts last so far."""
    size: int = 0
    """Bytes of its parts so far."""
    has_bodies: bool = True
    """Whether the bytes of its parts may still be here."""

    def add(self, part: Part) -> None:
        """Its next part."""
        self.parts.append(part)
        self.duration_us += part.duration_us
        self.size += part.size

    def forget_bodies(self) -> None:
        """From now on its bytes are read from the bus."""
        if self.has_bodies:
            self.has_bodies = False
            for part in self.parts:
                part.body = None


class SegmentIndex:
    """The segments of one rendition."""

    def __init__(self) -> None:
        self.segments: deque[Segment] = deque()
        self.target_duration = 0
        """`EXT-X-TARGETDURATION`, s; 0: there is no playlist yet."""
        self.part_target_us = PART_TARGET_US
        """`PART-TARGET`, fixed with it."""
        self.ended = False
        self.version = 0
        """Grows by one with each change."""
        self._next = (-1, 0)
        self._next_name = ""
        self._epoch = 0

    @property
    def next(self) -> tuple[int, int]:
        """Media sequence number and index of the part that comes next."""
        return self._next

    @property
    def open_segment(self) -> Segment | None:
        """The segment that parts are still added to, if it has any."""
        newest = self.segments[-1] if self.segments else None
        return newest if newest is not None and not newest.complete else None

    @property
    def advance_parts(self) -> int:
        """RFC 8216bis, 6.2.5.2: how many parts ahead a client may ask for."""
        return max(ADVANCE_PARTS_MIN, -(-ADVANCE_US // self.part_target_us))

    @property
    def independent(self) -> bool:
        """Whether every segment begins with a key frame."""
        return all(segment.parts[0].independent for segment in self.segments)

    @property
    def hint(self) -> tuple[int, int, str] | None:
        """Number, index and name of the part to wait for; None at the end."""
        if self.ended or not self.segments:
            return None
        msn, part = self._next
        newest = self.segments[-1]
        return msn, part, newest.name if part else self._next_name

    def add(self, header: PartHeader, size: int, sequence: int, body: bytes | None) -> bool:
        """Take the next part or END; False for one that is here already or cannot be placed."""
        place = (header.msn, header.part)
        if header.epoch > self._epoch and place < self._next:
            self._clear()  # numbered from the beginning: the bus lost what was there
        self._epoch = max(self._epoch, header.epoch)
        if place < self._next or (self.ended and header.flags & PartFlags.END):
            return False
        if header.flags & PartFlags.END:
            self._end()
            return True
        # A new segment also ends an open one whose last part could not be marked.
        follows = place == self._next or (self._next[1] and place == (self._next[0] + 1, 0))
        if not follows or not self.segments:
            if header.part:
                return False  # in the middle of a segment whose beginning is gone
            self._clear()
        self._append(header, Part(header.duration_us, _is_independent(header), size, sequence, body))
        return True

    def has(self, msn: int, part: int | None) -> bool:
        """Whether that part (None: the whole segment) is there, or was; a part past the end of its segment
        is part 0 of the next (RFC 8216bis, 6.2.5.2).
        """
        if self.ended:
            return True
        if part is None:
            return (msn + 1, 0) <= self._next
        segment = self._at(msn)
        if segment is not None and segment.complete and part >= len(segment.parts):
            msn, part = msn + 1, 0
        return (msn, part) < self._next

    def is_too_far(self, msn: int, part: int | None) -> bool:
        """Whether a client asks for what it cannot know of (RFC 8216bis, 6.2.5.2): answered with 400."""
        newest = self.segments[-1].msn if self.segments else self._next[0]
        if msn > newest + 2:
            return True
        ahead = (part or 0) - (self._next[1] if msn == self._next[0] else 0)
        return msn >= self._next[0] and ahead > self.advance_parts

    def find(self, msn: int, name: str) -> Segment | None:
        """The segment of that number, if the name is its own too."""
        segment = self._at(msn)
        return segment if segment is not None and segment.name == name else None

    def newest_independent(self) -> list[tuple[Segment, Part]]:
        """The parts from the newest one on that begins with a key frame, with their segments; empty without one."""
        found: list[tuple[Segment, Part]] = []
        for segment in reversed(self.segments):
            for part in reversed(segment.parts):
                found.append((segment, part))
                if part.independent:
                    return found[::-1]
        return []

    def forget_without_body(self) -> None:
        """The bus lost its parts: keep what can still be served."""
        while self.segments and any(part.body is None for part in self.segments[0].parts):
            self.segments.popleft()
        self.version += 1

    def bit_rates(self) -> tuple[int, int]:
        """Bits per second of the greatest complete segment, and of all of them; 0 without any."""
        whole = [segment for segment in self.segments if segment.complete and segment.duration_us]
        if not whole:
            return 0, 0
        peak = max(segment.size * 8_000_000 // segment.duration_us for segment in whole)
        total_us = sum(segment.duration_us for segment in whole)
        return peak, sum(segment.size for segment in whole) * 8_000_000 // total_us

    def _at(self, msn: int) -> Segment | None:
        at = msn - self.segments[0].msn if self.segments else -1
        return self.segments[at] if 0 <= at < len(self.segments) else None

    def _append(self, header: PartHeader, part: Part) -> None:
        newest = self.segments[-1] if self.segments else None
        if newest is None or newest.msn != header.msn:
            if newest is not None:
                newest.complete = True
            newest = Segment(
                msn=header.msn,
                name=header.name,
                init=header.init,
                discontinuity=header.discontinuity,
                begins_discontinuity=bool(header.flags & PartFlags.DISCONTINUITY),
                pdt_us=header.pdt_us,
            )
            self.segments.append(newest)
        newest.add(part)
        self._next = (header.msn, header.part + 1)
        if header.flags & PartFlags.LAST:
            newest.complete = True
            self._next = (header.msn + 1, 0)
        self._next_name = header.next_name
        if header.target_duration:
            self.target_duration, self.part_target_us = header.target_duration, header.part_target_us
        self.ended = False
        self.version += 1
        self._trim()

    def _end(self) -> None:
        if self.segments and not self.segments[-1].complete:
            self.segments[-1].complete = True
            self._next = (self.segments[-1].msn + 1, 0)
        self.ended = True
        self.version += 1

    def _trim(self) -> None:
        held_us = 0
        keep = 0
        for segment in reversed(self.segments):
            if held_us > WINDOW_US:
                break
            if held_us > BODIES_US:
                segment.forget_bodies()
            held_us += segment.duration_us
            keep += 1
        while len(self.segments) > keep:
            self.segments.popleft()

    def _clear(self) -> None:
        self.segments.clear()
        self._next = (-1, 0)
        self.ended = False


def _is_independent(header: PartHeader) -> bool:
    return bool(header.flags & PartFlags.INDEPENDENT)
