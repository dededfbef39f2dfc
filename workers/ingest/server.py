"""The RTMP side's only asyncio: sockets, deadlines, limits; one `PublisherProtocol` a connection."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, Final, cast

from bus_schemas.messages.live import StopReason, StreamKey
from runtime.clock import now_us
from runtime.logs import get_logger
from runtime.settings import IngestSettings
from workers.ingest.bitrate import BitrateLimit
from workers.ingest.continuation import begin_after, read_before
from workers.ingest.delivery import BUS_FAULTS
from workers.ingest.packing import UnsupportedCodecError
from workers.ingest.publication import Publication, Surroundings
from workers.ingest.registry import PublishRefusedError
from workers.ingest.rtmp.connection import Connection
from workers.ingest.rtmp.errors import RemoteProtocolError
from workers.ingest.rtmp.events import (
    Connected,
    Event,
    MediaReceived,
    MetadataReceived,
    PublishRequested,
    PublishStopped,
)

log = get_logger("server")

ADMIT_DEADLINE_S: Final = 4.0
"""Looking a key up and claiming its stream."""
LINGER_S: Final = 0.3
"""A refused peer is read and ignored so long, so that its bytes do not reset our last words away."""
ABORT_AFTER_S: Final = 0.5
"""More, if it does not take them."""
UNREAD_ANSWERS: Final = 256 << 10
"""Bytes of answers a peer may leave unread."""
GRACE_S: Final = 15.0
"""How long a cut-off stream may be gone on with (DESIGN.md §4)."""


class Publishers:
    """The connections of this process, and what they share."""

    def __init__(self, around: Surroundings, settings: IngestSettings, *, limits: bool) -> None:
        self.around = around
        self.settings = settings
        self.limits = limits
        self.connections: set[PublisherProtocol] = set()
        self.draining = False
        self._ending: set[asyncio.Task[None]] = set()

    def __call__(self) -> asyncio.BaseProtocol:
        """A protocol for a new connection."""
        return PublisherProtocol(self)

    def by_stream(self, stream: str) -> PublisherProtocol | None:
        """The connection that publishes the stream here."""
        for connection in self.connections:
            if connection.publication is not None and connection.publication.stream == stream:
                return connection
        return None

    def count(self) -> None:
        """Bring the gauges up to date."""
        metrics = self.around.metrics
        metrics.gauge("matinee_ingest_connections").labels("rtmp").set(len(self.connections))
        publishing = sum(1 for connection in self.connections if connection.publication is not None)
        metrics.gauge("matinee_ingest_publishers").set(publishing)

    def settle(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Spawn what a publication does at its end; `drain` waits for it."""
        task = self.around.tasks.spawn(name, work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def drain(self) -> None:
        """Close all connections without ending their streams: encoders come back to another worker."""
        self.draining = True
        for connection in list(self.connections):
            connection.close("server stops", "drained")
        await asyncio.gather(*(connection.left() for connection in list(self.connections)))
        if self._ending:
            await asyncio.wait(self._ending)


class PublisherProtocol(asyncio.Protocol):
    """Feeds one RTMP connection, and acts on what it says."""

    def __init__(self, publishers: Publishers) -> None:
        self._publishers = publishers
        self._around = publishers.around
        self._loop = asyncio.get_running_loop()
        self._connection = Connection(nonce=os.urandom(32))
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._id = f"{self._around.node}-{os.urandom(4).hex()}"
        self._peer = ""
        self._encoder = ""
        self._stream: str | None = None
        self._request: PublishRequested | None = None
        self.publication: Publication | None = None
        self._limit: BitrateLimit | None = None
        self._paused: set[str] = set()
        self._closing: str | None = None
        self._gone = asyncio.Event()
        self._opened = self._waiting_since = self._heard = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._bytes = 0
        self._counted_bytes = 0

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer is there."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else str(peer)
        publishers = self._publishers
        full = publishers.limits and len(publishers.connections) >= publishers.settings.max_connections
        publishers.connections.add(self)
        publishers.count()
        self._transport.set_write_buffer_limits(high=UNREAD_ANSWERS)
        if full or publishers.draining:
            self._closing = "too many connections" if full else "server stops"
            self._count_closed("full" if full else "drained")
            self._transport.abort()
            return
        self._timer = self._loop.call_later(publishers.settings.handshake_timeout_s, self._check_deadlines)

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer; everything a message needs happens here, without waiting."""
        self._bytes += len(data)
        self._heard = self._loop.time()
        if self._closing is not None:
            return
        connection = self._connection
        try:
            connection.receive_data(data)
        except RemoteProtocolError as error:
            self._act(connection.events_received())
            self._write()
            self.close(str(error), "protocol")
            return
        events = connection.events_received()
        if events:
            self._act(events)
        self._write()
        if self._limit is not None:
            self._spend(len(data))

    def pause_writing(self) -> None:
        """The peer does not read our answers."""
        self.close("answers left unread", "unread")
        self._transport.abort()

    def eof_received(self) -> bool:
        """The peer will send no more; close."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The link is gone: the stream waits for its publisher to come back."""
        if self._timer is not None:
            self._timer.cancel()
        if self._closing is None:
            self._closing = f"link lost: {exc}" if exc else "by the peer"
            self._count_closed("lost")
        publication, self.publication = self.publication, None
        log.info(
            f"closed: {self._closing}",
            connection=self._id,
            peer=self._peer,
            stream=self._stream,
            bytes=self._bytes,
            seconds=round(self._loop.time() - self._opened, 1),
        )
        self._count_bytes()
        self._publishers.settle(f"leave:{self._id}", self._leave(publication))

    # our own side

    def close(self, why: str, reason: str) -> None:
        """Say no more, read no more, and be gone within a second; `why` is logged, `reason` counted."""
        if self._closing is not None:
            return
        self._closing = why
        self._count_closed(reason)
        self._loop.call_later(LINGER_S, self._transport.close)
        self._loop.call_later(LINGER_S + ABORT_AFTER_S, self._transport.abort)
        self._resume_all()

    def kick(self, description: str) -> None:
        """End the publish on an order from the bus."""
        self._stop("NetStream.Publish.Denied", description or "kicked", "kicked", StopReason.KICKED)

    def replaced(self) -> None:
        """Somebody else publishes the stream now: say so, and close."""
        sentence = "taken over by another publisher with the same key"
        self._stop("NetStream.Publish.BadName", sentence, "replaced", StopReason.REPLACED)

    async def left(self) -> None:
        """Wait until the connection is gone and its publication is settled."""
        await self._gone.wait()

    def _act(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, MediaReceived):
                if self.publication is None:
                    continue
                try:
                    self.publication.push(event.kind, event.timestamp, event.payload)
                except UnsupportedCodecError as error:
                    self._around.metrics.counter("matinee_ingest_refused_total").labels("codec").inc()
                    self._stop("NetStream.Publish.Rejected", str(error), "codec", StopReason.LIMIT)
                    return
            elif isinstance(event, MetadataReceived):
                if self.publication is not None:
                    self.publication.set_metadata(event.values)
            elif isinstance(event, PublishRequested):
                self._request = event
                self._pause("admission")
                self._around.tasks.spawn(f"admit:{self._id}", self._admit(event))
            elif isinstance(event, PublishStopped):
                self._finish(StopReason.UNPUBLISHED)
            elif isinstance(event, Connected):
                self._encoder = event.encoder

    async def _admit(self, request: PublishRequested) -> None:
        """Let the publisher in, or say why not."""
        try:
            async with asyncio.timeout(ADMIT_DEADLINE_S):
                await self._accept(request)
        except PublishRefusedError as refused:
            self._refuse(request, refused)
        except BUS_FAULTS as error:
            log.warning("publisher not admitted", connection=self._id, error=repr(error))
            sentence = "the server cannot look the key up now, try again"
            self._refuse(request, PublishRefusedError("NetStream.Publish.Failed", sentence, "unavailable"))
        finally:
            self._resume("admission")

    async def _accept(self, request: PublishRequested) -> None:
        registry = self._around.registry
        key = await registry.look_up(request.key)
        before = await read_before(self._around.bus, key.stream)
        claim = await registry.claim(key, self._id, before.least_epoch)
        if self._closing is not None or self._request is not request:
            await registry.release(claim)
            return
        beginning = begin_after(before, now_us(), GRACE_S)
        self.publication = Publication(
            self._around,
            key,
            claim,
            beginning,
            encoder=self._encoder,
            on_congestion=self._on_congestion,
            on_lost=self.replaced,
        )
        self._stream = key.stream
        self._limit = self._bitrate_limit(key)
        self._connection.accept(request)
        self._write()
        self._publishers.count()
        log.info(
            "opened",
            connection=self._id,
            peer=self._peer,
            stream=key.stream,
            epoch=claim.value.epoch,
            encoder=self._encoder,
            start_ms=beginning.start_ms,
        )

    def _refuse(self, request: PublishRequested, refused: PublishRefusedError) -> None:
        self._around.metrics.counter("matinee_ingest_refused_total").labels(refused.reason).inc()
        if self._closing is not None or self._request is not request:
            return
        self._connection.refuse(request, refused.code, refused.description)
        self._write()
        self.close(f"refused: {refused.description}", "refused")

    def _bitrate_limit(self, key: StreamKey) -> BitrateLimit | None:
        if not self._publishers.limits:
            return None
        kbps = key.limits.bitrate_kbps or self._publishers.settings.max_bitrate_kbps
        return BitrateLimit(kbps * 125, self._loop.time())

    def _spend(self, size: int) -> None:
        assert self._limit is not None
        now = self._loop.time()
        delay = self._limit.spend(size, now)
        if not delay:
            return
        if self._limit.broken(now):
            sentence = "over the bitrate limit of this stream key: lower the encoder's bitrate"
            self._stop("NetStream.Publish.Rejected", sentence, "bitrate", StopReason.LIMIT)
            return
        self._pause("bitrate")
        self._loop.call_later(delay, self._resume, "bitrate")

    def _stop(self, code: str, description: str, reason: str, stop: StopReason) -> None:
        """End the publish by our own will: say why, settle it, close."""
        if self._closing is not None:
            return
        if self._request is not None and self.publication is not None:
            self._connection.refuse(self._request, code, description)
            self._write()
        self._finish(stop)
        self.close(description, reason)

    def _finish(self, reason: StopReason) -> None:
        """The publish is over on purpose; the connection may publish again."""
        publication, self.publication = self.publication, None
        self._request = None
        self._limit = None
        self._waiting_since = self._loop.time()
        self._publishers.count()
        if publication is not None:
            self._publishers.settle(f"finish:{publication.stream}", publication.finish(reason))

    async def _leave(self, publication: Publication | None) -> None:
        try:
            if publication is not None:
                await publication.abandon()
        finally:
            self._publishers.connections.discard(self)
            self._publishers.count()
            self._gone.set()

    def _check_deadlines(self) -> None:
        settings = self._publishers.settings
        now = self._loop.time()
        if self._closing is not None:
            return
        self._count_bytes()
        if self.publication is None:
            left = self._waiting_since + settings.handshake_timeout_s - now
            why, reason = f"no publish within {settings.handshake_timeout_s:g} s", "handshake_timeout"
        else:
            # While we do not read, its silence is ours.
            heard = now if self._paused else self._heard
            left = heard + settings.idle_timeout_s - now
            why, reason = f"silent for {settings.idle_timeout_s:g} s", "idle"
        if left > 0:
            self._timer = self._loop.call_later(min(left, 1.0) + 0.01, self._check_deadlines)
        else:
            self.close(why, reason)

    def _on_congestion(self, congested: bool) -> None:
        if congested:
            self._pause("bus")
        else:
            self._resume("bus")

    def _pause(self, cause: str) -> None:
        if not self._paused and self._closing is None:
            self._transport.pause_reading()
        self._paused.add(cause)

    def _resume(self, cause: str) -> None:
        if cause not in self._paused:
            return
        self._paused.discard(cause)
        if not self._paused:
            self._heard = self._loop.time()
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _resume_all(self) -> None:
        for cause in list(self._paused):
            self._resume(cause)

    def _write(self) -> None:
        writes = self._connection.data_to_send()
        if writes and not self._transport.is_closing():
            self._transport.write(b"".join(writes))

    def _count_bytes(self) -> None:
        self._around.metrics.counter("matinee_ingest_bytes_total").inc(self._bytes - self._counted_bytes)
        self._counted_bytes = self._bytes

    def _count_closed(self, reason: str) -> None:
        self._around.metrics.counter("matinee_ingest_closed_total").labels(reason).inc()
