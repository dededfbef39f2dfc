"""Live streams pulled from the bus while they have viewers: one ring, one fan-out each (DESIGN.md §4)."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.http.problems import AWAY
from gateway.live.fanout import Fanout
from gateway.live.liveness import offline
from media import flv
from media.timeline import opening, tracks_of
from runtime.bus import Bus
from runtime.live_feed import LiveFeed
from runtime.metrics import Metrics
from runtime.settings import LiveSettings
from runtime.tasks import Tasks

FIRST_KEY_S: Final = 5.0
"""How long a viewer of a stream that has just begun waits for its first key frame."""


class LiveSource:
    """One stream as this gateway pulls it, and its viewers."""

    def __init__(self, bus: Bus, tasks: Tasks, stream: str, settings: LiveSettings, metrics: Metrics) -> None:
        loop = asyncio.get_running_loop()
        self.stream = stream
        self.feed = LiveFeed(bus, tasks, stream, settings, on_append=self._on_append, on_end=self._on_end)
        self.ring = self.feed.ring
        self.fanout = Fanout(
            self.ring,
            loop,
            stall_s=settings.stall_s,
            sent_bytes=metrics.counter("matinee_live_sent_bytes_total").labels("flv"),
            drops=metrics.counter("matinee_live_drops_total"),
            stalled=metrics.counter("matinee_live_stalled_total"),
            opening=opening,
        )
        self._playable = loop.create_future()

    async def wait_playable(self) -> None:
        """Return once a viewer can begin; raises `Refused` stream_offline if that does not come."""
        try:
            async with asyncio.timeout(FIRST_KEY_S):
                await asyncio.shield(self._playable)
        except TimeoutError:
            raise offline(self.stream) from None
        if self.ring.newest_key is None and self.feed.ended.is_set():
            raise offline(self.stream)

    def file_header(self) -> bytes:
        """The FLV file header for the tracks there are."""
        audio, video = tracks_of(self.ring.header)
        return flv.file_header(audio=audio, video=video)

    def stop(self) -> None:
        """End all viewers at once: this gateway goes."""
        self.feed.ended.set()
        self._let_in()
        self.fanout.stop()

    def _on_append(self, pending: int) -> None:
        if pending == 0:
            self._let_in()
        self.fanout.notice()

    def _on_end(self) -> None:
        """Let the viewers have what there is, then end them."""
        self._let_in()
        self.fanout.finish()

    def _let_in(self) -> None:
        if not self._playable.done():
            self._playable.set_result(None)


class LiveSources:
    """The streams this gateway pulls now; a stream without viewers is let go after a while."""

    def __init__(self, bus: Bus, tasks: Tasks, settings: LiveSettings, metrics: Metrics) -> None:
        self._bus = bus
        self._tasks = tasks
        self._settings = settings
        self._metrics = metrics
        self._sources: dict[str, LiveSource] = {}
        self._opening: dict[str, asyncio.Task[LiveSource | Exception | None]] = {}
        self._pulled = metrics.gauge("matinee_live_streams")
        bus.on_reconnect.append(self._after_reconnect)

    async def open(self, stream: str) -> LiveSource:
        """The stream's source, playable; raises `Refused` stream_offline. A name that is not live leaves nothing."""
        source = self._sources.get(stream)
        if source is None or source.feed.ended.is_set():
            opening = self._opening.get(stream)
            if opening is None:
                opening = self._tasks.spawn(f"live-open:{stream}", self._open(stream))
                self._opening[stream] = opening
                opening.add_done_callback(lambda _: self._opening.pop(stream, None))
            opened = await asyncio.shield(opening)
            if isinstance(opened, Exception):
                raise opened
            if opened is None:
                raise offline(stream)
            source = opened
        source.feed.wanted()
        await source.wait_playable()
        return source

    async def _open(self, stream: str) -> LiveSource | Exception | None:
        """None: nobody publishes. A bus that is away is given back: it is no fault of the task."""
        source = LiveSource(self._bus, self._tasks, stream, self._settings, self._metrics)
        try:
            if not await source.feed.is_live():
                return None
        except AWAY as error:
            return error
        self._sources[stream] = source
        self._pulled.inc()
        self._tasks.spawn(f"live:{stream}", self._pull(source))
        return source

    async def _pull(self, source: LiveSource) -> None:
        linger_s = max(self._settings.linger_s, FIRST_KEY_S + 1)
        try:
            await source.feed.pull(linger_s=linger_s, watched=lambda: bool(source.fanout.viewers))
        finally:
            if self._sources.get(source.stream) is source:
                del self._sources[source.stream]
            self._pulled.dec()

    async def _after_reconnect(self) -> None:
        for source in self._sources.values():
            source.feed.look_again()

    def stop(self) -> None:
        """End all viewers: this gateway goes."""
        self._bus.on_reconnect.remove(self._after_reconnect)
        for source in list(self._sources.values()):
            source.stop()
