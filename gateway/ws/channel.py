"""One room at one gateway: the order of its events, the last of them, and who is given them. Pure.

Events come numbered (`Nats-Sequence`) and chained (`Nats-Last-Sequence`: the room's event before), so
that a lost one is noticed with the next. The newest are kept: somebody who comes is given a snapshot
read at some number and then, without a pause in between, everything kept above that number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from bus_schemas.permissions import Permission
from gateway.ws.events import Marks, RoomEventFrame
from gateway.ws.outgoing import Outgoing, Worth

KEPT_EVENTS: Final = 1_024
KEPT_BYTES: Final = 2 << 20
SETTLE_S: Final = 10.0
"""How long a newcomer's snapshot may be ahead of the events: a redelivery by a worker's successor."""
DANMAKU_KEPT: Final = 100
DANMAKU_S: Final = 10

_common: Final = int.__and__
"""Bits that both have, as a number: the permissions' own `&` makes a set of names of it, a hundred times slower."""


class Seat(Protocol):
    """A member's place in a room on one socket."""

    outgoing: Outgoing
    permissions: Permission


class Place(Enum):
    """Where an event stands to what the channel has given out."""

    NEXT = "next"
    OLD = "old"
    BEYOND = "beyond"
    """Something between was lost on the way."""


@dataclass(slots=True)
class Channel:
    """The room's events up to `position`, in order; `floor` is where what is kept begins."""

    room: str
    position: int = 0
    floor: int = 0
    seats: dict[Seat, None] = field(default_factory=dict)
    _kept: deque[RoomEventFrame] = field(default_factory=deque)
    _kept_bytes: int = 0
    _settling: dict[Seat, tuple[Marks, float]] = field(default_factory=dict)
    danmaku: deque[tuple[int, dict[str, object]]] = field(default_factory=lambda: deque(maxlen=DANMAKU_KEPT))
    """When (epoch ms) and what, of the last seconds."""
    danmaku_position: int = 0

    def begin(self, position: int) -> None:
        """Start, or start anew, after this number."""
        self.position = self.floor = position
        self._kept.clear()
        self._kept_bytes = 0

    def place(self, seq: int, previous: int) -> Place:
        """Where an event stands whose forerunner in the room is `previous`."""
        if seq <= self.position:
            return Place.OLD
        return Place.BEYOND if previous > self.position else Place.NEXT

    def skip(self, seq: int) -> None:
        """An event with nothing in it for clients."""
        self.position = seq

    def take(self, event: RoomEventFrame) -> None:
        """The next event: keep it and give it to everybody."""
        self.position = event.seq
        self._kept.append(event)
        self._kept_bytes += len(event.wire)
        while len(self._kept) > KEPT_EVENTS or self._kept_bytes > KEPT_BYTES:
            oldest = self._kept.popleft()
            self._kept_bytes -= len(oldest.wire)
            self.floor = oldest.seq
        self._give(event)

    def _give(self, event: RoomEventFrame) -> None:
        wire, worth, wanted, room = event.wire, event.worth, int(event.wanted), self.room
        having = {seat for seat, (marks, _) in self._settling.items() if marks.cover(event)}
        if not having and not wanted:
            for seat in self.seats:
                seat.outgoing.send(wire, worth, room)
            return
        for seat in self.seats:
            if seat not in having and _common(seat.permissions, wanted) == wanted:
                seat.outgoing.send(wire, worth, room)

    def give_moment(self, wire: bytes) -> None:
        """Something without a number, to everybody who keeps up: a danmaku, a count."""
        for seat in self.seats:
            seat.outgoing.send(wire, Worth.MOMENT)

    def since(self, after: int) -> list[RoomEventFrame] | None:
        """All events above `after`; None where what is kept does not reach back so far."""
        if after < self.floor:
            return None
        if after >= self.position:
            return []
        found: list[RoomEventFrame] = []
        for event in reversed(self._kept):
            if event.seq <= after:
                break
            found.append(event)
        found.reverse()
        return found

    def admit(self, seat: Seat, marks: Marks, missed: Iterable[RoomEventFrame], now: float) -> None:
        """Give `missed`, and from now on everything but what `marks` cover: called without a pause after `since`."""
        seat.outgoing.push(
            event.wire
            for event in missed
            if not (wanted := int(event.wanted)) or _common(seat.permissions, wanted) == wanted
        )
        self.seats[seat] = None
        self._settling[seat] = (marks, now + SETTLE_S)

    def dismiss(self, seat: Seat) -> None:
        """Give nothing more."""
        self.seats.pop(seat, None)
        self._settling.pop(seat, None)

    def settle(self, now: float) -> None:
        """Forget the marks of those who have been here long enough (seconds, monotonic)."""
        # Those who came first stand first.
        for seat, (marks, until) in list(self._settling.items()):
            if until > now or marks.after > self.position:
                break
            del self._settling[seat]

    def add_danmaku(self, sequence: int, at: int, shown: dict[str, object]) -> bool:
        """Keep one for newcomers; False for one that was here before."""
        if sequence <= self.danmaku_position:
            return False
        self.danmaku_position = sequence
        self.danmaku.append((at, shown))
        return True

    def recent_danmaku(self, now_ms: int) -> list[dict[str, object]]:
        """The danmaku of the last seconds."""
        return [shown for at, shown in self.danmaku if now_ms - at <= DANMAKU_S * 1000]
