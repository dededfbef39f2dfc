"""One stream to its players: everybody is a cursor into the ring; who is at the edge gets shared bytes.

Writing is driven by arrivals, no task wakes for a player. Above `JOIN_FROM` players arrivals are gathered
for a moment, so that one write carries several messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from prometheus_client import Counter

from media.ring import NOWHERE, Ring
from workers.ingest.rtmp.playing import encode_tags, readdress

FULL: Final = 256 << 10
"""Bytes waiting in a player's transport above which he gets no more for now."""
BITE: Final = 256 << 10
"""Bytes given at once to a player who is behind."""
TICK_S: Final = 0.02
"""How often those who are behind are looked after between arrivals."""
JOIN_FROM: Final = 50
JOIN_FULL: Final = 500
JOIN_MAX_S: Final = 0.1
NEARLY_ALL: Final = 16 << 10
"""Bytes that a socket takes while its connection is being closed."""
ENDING_S: Final = 5.0
"""How long players may take to receive what is left of an ended stream."""


class Ending(StrEnum):
    """Why a player gets no more."""

    ENDED = "ended"
    STALLED = "stalled"
    DENIED = "denied"
    """He may not play any more."""


class Listener(Protocol):
    """A player's connection."""

    @property
    def stream_id(self) -> int:
        """The message stream he plays on."""

    def send(self, chunks: bytes) -> None:
        """Write these."""

    def waiting(self) -> int:
        """Bytes written that the socket did not take yet."""

    def over(self, ending: Ending) -> None:
        """Nothing more comes."""


@dataclass(slots=True)
class _Place:
    cursor: int = NOWHERE
    drops: int = 0
    stuck_at: int = 0
    stuck_since: float | None = None


@dataclass(frozen=True, slots=True)
class AudienceCounters:
    """What is counted, for all streams of the process."""

    sent_bytes: Counter
    drops: Counter
    stalled: Counter


class Audience:
    """The players of one ring, whose entries are RTMP chunks and whose headers are FLV tags."""

    def __init__(
        self,
        ring: Ring,
        loop: asyncio.AbstractEventLoop,
        *,
        stall_s: float,
        counters: AudienceCounters,
        stamp: Callable[[bytes, int], bytes],
    ) -> None:
        self._ring = ring
        self._loop = loop
        self._stall_s = stall_s
        self._counters = counters
        self._stamp = stamp
        self._places: dict[Listener, _Place] = {}
        self._edge = ring.head
        self._timer: asyncio.TimerHandle | None = None
        self._over_at: float | None = None

    def __len__(self) -> int:
        return len(self._places)

    def add(self, listener: Listener) -> None:
        """He begins at the newest key frame, now or when there is one."""
        place = self._places[listener] = _Place()
        self._look_after(listener, place)
        self._tick_soon()

    def remove(self, listener: Listener) -> None:
        """He is gone."""
        self._places.pop(listener, None)

    def drops(self, listener: Listener) -> int:
        """How often he fell out of the ring and jumped to a key frame."""
        place = self._places.get(listener)
        return place.drops if place is not None else 0

    def notice(self) -> None:
        """Something was appended."""
        if len(self._places) <= JOIN_FROM:
            self._flush()
        elif self._timer is None:
            share = min(1.0, (len(self._places) - JOIN_FROM) / (JOIN_FULL - JOIN_FROM))
            self._timer = self._loop.call_later(share * JOIN_MAX_S, self._on_timer)

    def finish(self) -> None:
        """The stream is over: everybody gets what there is, then hears of it."""
        self._over_at = self._loop.time() + ENDING_S
        self._flush()

    def _flush(self) -> None:
        ring, edge = self._ring, self._ring.head
        shared: bytes | None = None
        behind = False
        for listener, place in list(self._places.items()):
            if place.cursor == self._edge and self._edge >= ring.tail and listener.waiting() <= FULL:
                if edge == self._edge:
                    continue
                if shared is None:
                    shared = b"".join(ring.read(self._edge, 1 << 62)[0])
                place.cursor = edge
                self._send(listener, shared)
            else:
                self._look_after(listener, place)
            behind = behind or place.cursor != edge
        self._edge = edge
        if self._over_at is not None:
            self._let_go()
        elif behind:
            self._tick_soon()

    def _look_after(self, listener: Listener, place: _Place) -> None:
        """Bring one on who is new, slow, or fell out of the ring."""
        waiting = listener.waiting()
        if waiting > FULL:
            self._watch(listener, place, waiting)
            return
        place.stuck_since = None
        ring = self._ring
        if place.cursor == NOWHERE or place.cursor < ring.tail:
            start = ring.newest_key if place.cursor == NOWHERE else ring.resume(place.cursor)
            if start is None:
                return
            if place.cursor != NOWHERE:
                place.drops += 1
                self._counters.drops.inc()
            header = ring.header_at(start)
            if header:
                self._send(listener, encode_tags(self._stamp(header, ring.dts_at(start))))
            place.cursor = start
        while place.cursor < ring.head and listener.waiting() <= FULL:
            taken, place.cursor = ring.read(place.cursor, BITE)
            self._send(listener, b"".join(taken))

    def _watch(self, listener: Listener, place: _Place, waiting: int) -> None:
        now = self._loop.time()
        if place.stuck_since is None or waiting < place.stuck_at:
            place.stuck_since = now
        elif now - place.stuck_since > self._stall_s:
            self._counters.stalled.inc()
            self._places.pop(listener, None)
            listener.over(Ending.STALLED)
        place.stuck_at = waiting

    def _send(self, listener: Listener, chunks: bytes) -> None:
        listener.send(readdress(chunks, listener.stream_id))
        self._counters.sent_bytes.inc(len(chunks))

    def _tick_soon(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(TICK_S, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._places:
            self._flush()

    def _let_go(self) -> None:
        """The stream is over: tell those who have all of it, and after a while the others."""
        late = self._over_at is not None and self._loop.time() > self._over_at
        for listener, place in list(self._places.items()):
            has_all = place.cursor in (NOWHERE, self._edge) and listener.waiting() <= NEARLY_ALL
            if late or has_all:
                del self._places[listener]
                listener.over(Ending.ENDED)
        if self._places:
            self._tick_soon()
