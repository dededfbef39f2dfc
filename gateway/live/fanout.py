"""One stream to many sockets: what arrives within the join window goes out as one shared buffer.

Every viewer is a cursor into the stream's ring. A viewer at the edge gets the shared buffer, which is built
once for all whose connections want the same framing around it; one who is behind (new, or slow) is brought
on in bites of his own. Writing goes straight to the transports, and is driven by arrivals: no task wakes
per viewer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from prometheus_client import Counter

from gateway.live.framing import Framing, framed
from media.ring import NOWHERE, Ring
from media.timeline import stamp

FULL: Final = 256 << 10
"""Bytes waiting in a viewer's transport above which he gets no more for now."""
BITE: Final = 256 << 10
"""Bytes given at once to a viewer who is behind."""
BEHIND_TICK_S: Final = 0.02
"""How often viewers who are behind are looked after between arrivals."""
IDLE_TICK_S: Final = 1.0
"""How often, without any arrival, those who left are noticed."""
ENDING_S: Final = 5.0
"""How long viewers may take to receive what is left of an ended stream."""
JOIN_FROM: Final = 50
JOIN_FULL: Final = 500
JOIN_MAX_S: Final = 0.1


def join_window_s(viewers: int) -> float:
    """How long arrivals are gathered for one write: 0 up to 50 viewers, 0.1 s from 500."""
    return JOIN_MAX_S * min(max(viewers - JOIN_FROM, 0) / (JOIN_FULL - JOIN_FROM), 1.0)


class Ending(StrEnum):
    """Why a viewer's response is over."""

    ENDED = "ended"
    """The stream is."""
    GONE = "gone"
    """He left."""
    STALLED = "stalled"
    """He took nothing for too long."""
    DENIED = "denied"
    """He may not play any more."""


class Viewer:
    """One connection: a transport, and a cursor into the ring."""

    __slots__ = ("cursor", "done", "drops", "framing", "stuck_at", "stuck_since", "transport")

    def __init__(
        self, transport: asyncio.WriteTransport, done: asyncio.Future[Ending], framing: Framing
    ) -> None:
        self.transport = transport
        self.done = done
        self.framing = framing
        self.cursor = NOWHERE
        self.drops = 0
        self.stuck_at = 0
        self.stuck_since: float | None = None


Opening = Callable[[bytes, bytes, int], bytes]
"""Makes what a viewer gets first of headers, the message he begins with, and its DTS in ms."""


def _as_it_is(headers: bytes, message: bytes, dts_ms: int) -> bytes:
    return stamp(headers, dts_ms) + message


class Fanout:
    """The viewers of one ring. `notice` is called after each append; all else follows."""

    def __init__(
        self,
        ring: Ring,
        loop: asyncio.AbstractEventLoop,
        *,
        stall_s: float,
        sent_bytes: Counter,
        drops: Counter,
        stalled: Counter,
        opening: Opening | None = None,
    ) -> None:
        self.viewers: set[Viewer] = set()
        self.leaving = False
        self._ring = ring
        self._loop = loop
        self._stall_s = stall_s
        self._sent_bytes = sent_bytes
        self._drops = drops
        self._stalled = stalled
        self._opening = opening or _as_it_is
        self._edge = ring.head
        self._window = 0.0
        self._flushed_at = 0.0
        self._behind: set[Viewer] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._ending_at: float | None = None
        self._join: tuple[int, int, int, bytes] | None = None

    def view(self, transport: asyncio.WriteTransport, framing: Framing) -> Viewer:
        """Begin to write to this transport, the newest key frame first."""
        viewer = Viewer(transport, self._loop.create_future(), framing)
        self.add(viewer)
        return viewer

    def add(self, viewer: Viewer) -> None:
        """Serve this viewer from the newest key message on, at once."""
        self.viewers.add(viewer)
        self._window = join_window_s(len(self.viewers))
        self._serve(viewer, self._loop.time(), [])
        self._arm()

    def remove(self, viewer: Viewer) -> None:
        """Forget him; nothing if he is not here."""
        self.viewers.discard(viewer)
        self._behind.discard(viewer)
        self._window = join_window_s(len(self.viewers))

    def dismiss(self, viewer: Viewer) -> None:
        """He gets no more, from now on."""
        self.remove(viewer)
        if not viewer.done.done():
            viewer.done.set_result(Ending.DENIED)

    def notice(self) -> None:
        """Something was appended: write now, or when the join window closes."""
        if not self.viewers:
            self._edge = self._ring.head
        elif self._flushed_at + self._window <= self._loop.time():
            self._flush()
        else:
            self._arm()

    def finish(self) -> None:
        """Nothing will be appended: end each viewer's response once he has what there is."""
        if self._ending_at is None:
            self._ending_at = self._loop.time() + ENDING_S
            self._flush()

    def stop(self) -> None:
        """End all responses at once: this gateway goes, whatever becomes of the stream."""
        self.leaving = True
        self._ending_at = self._loop.time()
        self._flush()

    def _arm(self) -> None:
        """Wake when the join window closes, for those who are behind, or to notice who left."""
        if not self.viewers:
            return
        now = self._loop.time()
        due = now + (BEHIND_TICK_S if self._behind else IDLE_TICK_S)
        if self._edge != self._ring.head:
            due = min(due, self._flushed_at + self._window)
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.call_at(due, self._wake)

    def _wake(self) -> None:
        self._timer = None
        now = self._loop.time()
        if self._flushed_at + self._window <= now and (self._edge != self._ring.head or not self._behind):
            self._flush()
            return
        gone: list[tuple[Viewer, Ending]] = []
        for viewer in list(self._behind):
            self._serve(viewer, now, gone)
        self._settle(now, gone)

    def _flush(self) -> None:
        """Write what was appended since the last time to everybody who is at the edge; bring on the others."""
        now = self._loop.time()
        start, head = self._edge, self._ring.head
        self._edge = head
        self._flushed_at = now
        plain = b""
        if head != start and start >= self._ring.tail:
            plain = b"".join(self._ring.read(start, 1 << 62)[0])
        shared: dict[Framing, bytes] = {}
        written = 0
        gone: list[tuple[Viewer, Ending]] = []
        for viewer in self.viewers:
            transport = viewer.transport
            at_edge = viewer.cursor == start and (bool(plain) or head == start)
            if not at_edge or transport.is_closing() or transport.get_write_buffer_size() > FULL:
                self._serve(viewer, now, gone)
            elif plain:
                buffer = shared.get(viewer.framing)
                if buffer is None:
                    buffer = shared[viewer.framing] = framed(plain, viewer.framing)
                transport.write(buffer)
                viewer.cursor = head
                written += 1
        if written:
            self._sent_bytes.inc(written * len(plain))
        self._settle(now, gone)

    def _settle(self, now: float, gone: list[tuple[Viewer, Ending]]) -> None:
        if self._ending_at is not None:
            for viewer in self.viewers.difference(viewer for viewer, _ in gone):
                if viewer not in self._behind:
                    gone.append((viewer, Ending.ENDED))
                elif now >= self._ending_at:
                    gone.append((viewer, Ending.STALLED))
        for viewer, why in gone:
            self.remove(viewer)
            if why is Ending.STALLED:
                self._stalled.inc()
            if not viewer.done.done():
                viewer.done.set_result(why)
        self._arm()

    def _serve(self, viewer: Viewer, now: float, gone: list[tuple[Viewer, Ending]]) -> None:
        """Look after one viewer who cannot be given the shared buffer."""
        transport = viewer.transport
        if transport.is_closing():
            gone.append((viewer, Ending.GONE))
            return
        if (waiting := transport.get_write_buffer_size()) > FULL:
            self._behind.add(viewer)
            if viewer.stuck_since is None or waiting < viewer.stuck_at:
                viewer.stuck_since, viewer.stuck_at = now, waiting
            elif now - viewer.stuck_since > self._stall_s:
                gone.append((viewer, Ending.STALLED))
            return
        viewer.stuck_since = None
        self._bring_on(viewer)
        if viewer.cursor < self._edge and viewer.cursor != NOWHERE:
            self._behind.add(viewer)
        else:
            self._behind.discard(viewer)

    def _bring_on(self, viewer: Viewer) -> None:
        """Write until he is at the edge or his transport is full."""
        ring = self._ring
        start = ring.resume(viewer.cursor)
        if start is None:
            return
        if start != viewer.cursor:
            if viewer.cursor != NOWHERE:
                viewer.drops += 1
                self._drops.inc()
            body, viewer.cursor = self._from_key(start)
            self._write(viewer, body)
        while viewer.cursor < self._edge and viewer.transport.get_write_buffer_size() <= FULL:
            taken, viewer.cursor = ring.read(viewer.cursor, BITE)
            self._write(viewer, b"".join(taken))

    def _from_key(self, start: int) -> tuple[bytes, int]:
        """Headers and the first bite from a key message on; made once for all who begin at one time."""
        head = self._ring.head
        if self._join is None or self._join[:2] != (start, head):
            taken, after = self._ring.read(start, BITE)
            begin = self._opening(self._ring.header_at(start), taken[0], self._ring.dts_at(start))
            self._join = (start, head, after, b"".join((begin, *taken[1:])))
        return self._join[3], self._join[2]

    def _write(self, viewer: Viewer, body: bytes) -> None:
        viewer.transport.write(framed(body, viewer.framing))
        self._sent_bytes.inc(len(body))
