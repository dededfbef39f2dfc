"""The RTMP side's sockets, deadlines and limits on them; one `RtmpProtocol` a connection."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, Final, cast

from bus_schemas.messages.live import StopReason
from runtime.clock import now_us
from runtime.logs import get_logger
from runtime.settings import IngestSettings
from workers.ingest.delivery import BUS_FAULTS
from workers.ingest.player import Player, PlayerSurroundings
from workers.ingest.publication import Surroundings
from workers.ingest.publisher import Publisher, PublisherRules
from workers.ingest.rtmp.capabilities import CapsEx
from workers.ingest.rtmp.connection import Connection
from workers.ingest.rtmp.errors import RemoteProtocolError
from workers.ingest.rtmp.events import (
    Connected,
    Event,
    MediaReceived,
    MetadataReceived,
    PlayRequested,
    PlayStopped,
    PublishRequested,
    PublishStopped,
)

log = get_logger("server")

LINGER_S: Final = 0.3
"""A refused peer is read and ignored so long, so that its bytes do not reset our last words away."""
ABORT_AFTER_S: Final = 0.5
"""More, if it does not take them."""
UNREAD_ANSWERS: Final = 256 << 10
"""Bytes of answers a peer may leave unread."""


class Connections:
    """The connections of this process, and what they share."""

    def __init__(
        self, around: Surroundings, players: PlayerSurroundings, settings: IngestSettings, *, limits: bool
    ) -> None:
        self.around = around
        self.players = players
        self.settings = settings
        self.limits = limits
        self.rules = PublisherRules(settings, limits, self.settle)
        self.open: set[RtmpProtocol] = set()
        self.draining = False
        self._ending: set[asyncio.Task[None]] = set()

    def __call__(self) -> asyncio.BaseProtocol:
        """A protocol for a new connection."""
        return RtmpProtocol(self)

    def publishers(self) -> list[Publisher]:
        """Those who publish here now."""
        return [link.publisher for link in self.open if link.publisher.publication is not None]

    def by_stream(self, stream: str) -> Publisher | None:
        """Who publishes the stream here."""
        for publisher in self.publishers():
            if publisher.publication is not None and publisher.publication.stream == stream:
                return publisher
        return None

    def count(self) -> None:
        """Bring the gauges up to date."""
        metrics = self.around.metrics
        metrics.gauge("matinee_ingest_connections").labels("rtmp").set(len(self.open))
        metrics.gauge("matinee_ingest_publishers").set(len(self.publishers()))
        playing = sum(1 for link in self.open if link.player.playing)
        metrics.gauge("matinee_live_viewers").labels("rtmp").set(playing)

    def settle(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Spawn what a publication does at its end; `drain` waits for it."""
        task = self.around.tasks.spawn(name, work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def drain(self, reconnect_s: float) -> None:
        """Close all connections without ending their streams: encoders come back to another worker.

        Those that can are asked to, and served for up to `reconnect_s` until they have.
        """
        self.draining = True
        moving = [link for link in self.open if CapsEx.RECONNECT in link.caps and not link.closing]
        if moving:
            for link in set(self.open) - set(moving):
                link.close("server stops", "drained")
            for link in moving:
                await link.move_on()
            waits = [self.around.tasks.spawn(f"moving:{link.id}", link.left()) for link in moving]
            await asyncio.wait(waits, timeout=reconnect_s)
        for link in list(self.open):
            link.close("server stops", "drained")
        await asyncio.gather(*(link.left() for link in list(self.open)))
        if self._ending:
            await asyncio.wait(self._ending)


class RtmpProtocol(asyncio.Protocol):
    """Feeds one RTMP connection, and hands what it says to its role."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._around = connections.around
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._peer = ""
        self._stream: str | None = None
        self._busy = False
        self._paused: set[str] = set()
        self._closing: str | None = None
        self._gone = asyncio.Event()
        self._opened = self._waiting_since = self._heard = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._bytes = 0
        self._counted_bytes = 0
        self.id = f"{self._around.node}-{os.urandom(4).hex()}"
        self.address = ""
        self.secure = False
        self.encoder = ""
        self.caps = CapsEx.NONE
        self.connection = Connection(nonce=os.urandom(32))
        self.publisher = Publisher(self, self._around, connections.rules)
        self.player = Player(self, connections.players)

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer is there."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        self._peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else str(peer)
        self.secure = transport.get_extra_info("sslcontext") is not None
        connections = self._connections
        full = connections.limits and len(connections.open) >= connections.settings.max_connections
        connections.open.add(self)
        connections.count()
        self._transport.set_write_buffer_limits(high=UNREAD_ANSWERS)
        if full or connections.draining:
            self._closing = "too many connections" if full else "server stops"
            self._count_closed("full" if full else "drained")
            self._transport.abort()
            return
        self._timer = self._loop.call_later(connections.settings.handshake_timeout_s, self._check_deadlines)

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer; everything a message needs happens here, without waiting."""
        size = len(data)
        self._bytes += size
        self._heard = now = self._loop.time()
        if self._closing is not None:
            return
        connection = self.connection
        try:
            connection.receive_data(data)
        except RemoteProtocolError as error:
            self._act(connection.events_received())
            self.write()
            self.close(str(error), "protocol")
            return
        events = connection.events_received()
        if events:
            self._act(events)
        if connection.has_data_to_send:
            self.write()
        self.publisher.spend(size, now)

    def pause_writing(self) -> None:
        """The peer does not read our answers; one who plays is his audience's business."""
        if self.player.playing:
            return
        self.close("answers left unread", "unread")
        self._transport.abort()

    def eof_received(self) -> bool:
        """The peer will send no more; close."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The link is gone."""
        if self._timer is not None:
            self._timer.cancel()
        if self._closing is None:
            self._closing = f"link lost: {exc}" if exc else "by the peer"
            self._count_closed("lost")
        self.player.stop()
        log.info(
            f"closed: {self._closing}",
            connection=self.id,
            peer=self._peer,
            stream=self._stream,
            bytes=self._bytes,
            seconds=round(self._loop.time() - self._opened, 1),
        )
        self._count_bytes()
        self._connections.settle(f"leave:{self.id}", self._leave())

    # the side of the roles

    @property
    def closing(self) -> bool:
        """Whether nothing more may be said."""
        return self._closing is not None

    def write(self) -> None:
        """Send what the protocol has to say."""
        writes = self.connection.data_to_send()
        if writes and not self._transport.is_closing():
            self._transport.write(b"".join(writes))

    def go_on(self) -> None:
        """Act on what came before an answer."""
        self._act(self.connection.events_received())
        self.write()

    def send(self, data: bytes) -> None:
        """Write bytes as they are, behind what `write` sent."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def silent_s(self) -> float:
        """How long nothing came from the peer; 0 while we do not read."""
        return 0.0 if self._paused else self._loop.time() - self._heard

    def unsent(self) -> int:
        """Bytes written that the socket did not take yet."""
        return self._transport.get_write_buffer_size()

    def close(self, why: str, reason: str) -> None:
        """Say no more, read no more, and be gone within a second; `why` is logged, `reason` counted."""
        if self._closing is not None:
            return
        self._closing = why
        self._count_closed(reason)
        self._loop.call_later(LINGER_S, self._transport.close)
        self._loop.call_later(LINGER_S + ABORT_AFTER_S, self._transport.abort)
        for cause in list(self._paused):
            self.resume(cause)

    def pause(self, cause: str) -> None:
        """Read nothing until every cause is resumed."""
        if not self._paused and self._closing is None:
            self._transport.pause_reading()
        self._paused.add(cause)

    def resume(self, cause: str) -> None:
        """This cause is over."""
        if cause not in self._paused:
            return
        self._paused.discard(cause)
        if not self._paused:
            self._heard = self._loop.time()
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def became(self, stream: str | None) -> None:
        """A publish or play of this stream began, or with None ended: deadlines and gauges follow."""
        self._stream = stream or self._stream
        self._busy = stream is not None
        self._waiting_since = self._loop.time()
        self._connections.count()

    async def move_on(self) -> None:
        """Ask the peer to connect again, and go on serving it until it does."""
        try:
            await self.publisher.leave()
        except BUS_FAULTS as error:
            log.warning("a stream is not marked as leaving", stream=self._stream, error=repr(error))
        self.connection.ask_to_reconnect("this server stops: connect again")
        self.write()

    async def left(self) -> None:
        """Wait until the connection is gone and its publication is settled."""
        await self._gone.wait()

    # our own side

    def _act(self, events: list[Event]) -> None:
        arrival_us = now_us()
        for event in events:
            if isinstance(event, MediaReceived):
                if not self.publisher.media(event, arrival_us):
                    return
            elif isinstance(event, MetadataReceived):
                self.publisher.metadata(event)
            elif isinstance(event, PublishRequested):
                self.publisher.ask(event)
            elif isinstance(event, PublishStopped):
                self.publisher.finish(StopReason.UNPUBLISHED)
            elif isinstance(event, PlayRequested):
                self.player.ask(event)
            elif isinstance(event, PlayStopped):
                self.player.stop()
            elif isinstance(event, Connected):
                self.encoder, self.caps = event.encoder, event.caps

    async def _leave(self) -> None:
        try:
            await self.publisher.left()
        finally:
            self._connections.open.discard(self)
            self._connections.count()
            self._gone.set()

    def _check_deadlines(self) -> None:
        settings = self._connections.settings
        now = self._loop.time()
        if self._closing is not None:
            return
        self._count_bytes()
        if "admission" in self._paused:
            # Whoever decides has a deadline of his own.
            left, why, reason = 1.0, "", ""
        elif not self._busy:
            left = self._waiting_since + settings.handshake_timeout_s - now
            sentence = f"no publish or play within {settings.handshake_timeout_s:g} s"
            why, reason = sentence, "handshake_timeout"
        elif self.player.playing:
            # He need not say a word; whether he still takes something is watched where he is fed.
            left, why, reason = 1.0, "", ""
        else:
            # While we do not read, its silence is ours.
            heard = now if self._paused else self._heard
            left = heard + settings.idle_timeout_s - now
            why, reason = f"silent for {settings.idle_timeout_s:g} s", "idle"
        if left > 0:
            self._timer = self._loop.call_later(min(left, 1.0) + 0.01, self._check_deadlines)
        else:
            self.close(why, reason)

    def _count_bytes(self) -> None:
        self._around.metrics.counter("matinee_ingest_bytes_total").inc(self._bytes - self._counted_bytes)
        self._counted_bytes = self._bytes

    def _count_closed(self, reason: str) -> None:
        self._around.metrics.counter("matinee_ingest_closed_total").labels(reason).inc()
