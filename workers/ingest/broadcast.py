"""Streams as this process plays them: pulled from the bus while they have players, one reader and ring each."""

from __future__ import annotations

import asyncio

from media.timeline import stamp
from runtime.bus import Bus
from runtime.live_feed import LiveFeed
from runtime.metrics import Metrics
from runtime.settings import LiveSettings
from runtime.tasks import Tasks
from workers.ingest.audience import Audience, AudienceCounters
from workers.ingest.rtmp.playing import encode_tags


class Broadcast:
    """One stream, and its players."""

    def __init__(
        self, bus: Bus, tasks: Tasks, stream: str, settings: LiveSettings, counters: AudienceCounters
    ) -> None:
        self.stream = stream
        # Chunked once for all players.
        self.feed = LiveFeed(
            bus, tasks, stream, settings, encode=encode_tags, on_append=self._on_append, on_end=self._on_end
        )
        self.audience = Audience(
            self.feed.ring,
            asyncio.get_running_loop(),
            stall_s=settings.stall_s,
            counters=counters,
            stamp=stamp,
        )

    def _on_append(self, _pending: int) -> None:
        self.audience.notice()

    def _on_end(self) -> None:
        self.audience.finish()


class Broadcasts:
    """The streams this process plays now; one without players is let go after a while."""

    def __init__(self, bus: Bus, tasks: Tasks, settings: LiveSettings, metrics: Metrics) -> None:
        self._bus = bus
        self._tasks = tasks
        self._settings = settings
        self._counters = AudienceCounters(
            metrics.counter("matinee_live_sent_bytes_total").labels("rtmp"),
            metrics.counter("matinee_live_drops_total"),
            metrics.counter("matinee_live_stalled_total"),
        )
        self._pulled = metrics.gauge("matinee_live_streams")
        self._broadcasts: dict[str, Broadcast] = {}
        bus.on_reconnect.append(self._after_reconnect)

    async def open(self, stream: str) -> Broadcast | None:
        """The stream, or None where nobody publishes it: such a name leaves nothing behind."""
        broadcast = self._broadcasts.get(stream)
        if broadcast is None or broadcast.feed.ended.is_set():
            fresh = Broadcast(self._bus, self._tasks, stream, self._settings, self._counters)
            if not await fresh.feed.is_live():
                return None
            broadcast = self._broadcasts.get(stream)
            if broadcast is None or broadcast.feed.ended.is_set():
                self._broadcasts[stream] = broadcast = fresh
                self._tasks.spawn(f"broadcast:{stream}", self._pull(broadcast))
        broadcast.feed.wanted()
        return broadcast

    def players(self) -> int:
        """How many play here."""
        return sum(len(broadcast.audience) for broadcast in self._broadcasts.values())

    def stop(self) -> None:
        """This process goes."""
        self._bus.on_reconnect.remove(self._after_reconnect)
        for broadcast in self._broadcasts.values():
            broadcast.feed.ended.set()

    async def _pull(self, broadcast: Broadcast) -> None:
        self._pulled.inc()
        try:
            await broadcast.feed.pull(
                linger_s=self._settings.linger_s,
                watched=lambda: len(broadcast.audience) > 0,
            )
        finally:
            if self._broadcasts.get(broadcast.stream) is broadcast:
                del self._broadcasts[broadcast.stream]
            self._pulled.dec()

    async def _after_reconnect(self) -> None:
        for broadcast in self._broadcasts.values():
            broadcast.feed.look_again()
