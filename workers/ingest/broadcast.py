"""Streams as this process plays them: pulled from the bus while they have players, one reader and ring each."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from nats.errors import Error as NatsError

from bus_schemas.streams import LIVE_HEADERS, PUBLISHERS
from bus_schemas.subjects import LIVE_HEADER
from bus_schemas.tags import HEADER_SIZE, TagFlags, TagFormatError, TagHeader
from media.flv import FlvError
from media.ring import Ring
from media.timeline import Timeline, leading_headers, stamp
from runtime import direct
from runtime.bus import Bus
from runtime.kv import Bucket
from runtime.logs import get_logger
from runtime.metrics import Metrics
from runtime.settings import LiveSettings
from runtime.tag_tail import TagTail
from runtime.tasks import Tasks
from workers.ingest.audience import Audience, AudienceCounters
from workers.ingest.rtmp.playing import encode_tags

log = get_logger("broadcast")

RING_MESSAGES: Final = 4_096
SILENCE_S: Final = 20.0
"""After so long without a message it is asked whether anybody still publishes."""
CHECK_S: Final = 1.0


class Broadcast:
    """One stream: `tail.run` is to be run while `ended` is not set."""

    def __init__(self, bus: Bus, stream: str, settings: LiveSettings, counters: AudienceCounters) -> None:
        self._loop = asyncio.get_running_loop()
        self.stream = stream
        self.ring = Ring(seconds=settings.ring_s, max_bytes=settings.ring_bytes, max_messages=RING_MESSAGES)
        self.audience = Audience(
            self.ring, self._loop, stall_s=settings.stall_s, counters=counters, stamp=stamp
        )
        self._bus = bus
        self._timeline = Timeline()
        self._epoch, self._sequence = -1, -1
        self._generation: tuple[int, int] | None = None
        self._need_key = True
        self._heard = self._loop.time()
        self.wanted_at = self._loop.time()
        """When it had a player last, seconds of the loop's clock."""
        self.ended = asyncio.Event()
        self.tail = TagTail(bus, stream, self._take, from_newest_key=True)

    async def is_live(self) -> bool:
        """Whether somebody publishes: there are codec headers, or a claim whose headers are on their way."""
        return await self._stored_header() is not None or await self._is_claimed()

    async def is_abandoned(self) -> bool:
        """Whether it is silent for long and nobody claims to publish it: then nobody will ever end it."""
        if self._loop.time() - self._heard < SILENCE_S:
            return False
        self._heard = self._loop.time()
        return not await self._is_claimed()

    def end(self) -> None:
        """Nothing more comes."""
        if not self.ended.is_set():
            self.ended.set()
            self.audience.finish()

    async def _is_claimed(self) -> bool:
        return await Bucket(self._bus.js, PUBLISHERS).get(self.stream) is not None

    async def _stored_header(self) -> tuple[tuple[int, int], bytes] | None:
        """Epoch and generation of the codec headers on the bus, and the headers as FLV tags."""
        message = await direct.last(self._bus, LIVE_HEADERS.name, LIVE_HEADER.at(stream=self.stream))
        if message is None:
            return None
        try:
            header = TagHeader.unpack(message.data)
        except TagFormatError:
            return None
        return (header.epoch, header.generation), message.data[HEADER_SIZE:]

    async def _take(self, header: TagHeader, message: bytes, pending: int) -> None:
        self._heard = self._loop.time()
        if header.flags & TagFlags.END:
            # One read from history was followed by a new session.
            if pending == 0 and self._epoch >= 0:
                self.end()
            return
        if header.epoch == self._epoch and header.sequence - self._sequence & 0xFFFFFFFF > 1:
            self._need_key = True
        if self._need_key and not header.flags & TagFlags.KEY:
            return
        try:
            await self._append(header, message[HEADER_SIZE:])
        except (TagFormatError, FlvError) as error:
            log.warning("unreadable tag message", stream=self.stream, error=str(error))
            self._need_key = True

    async def _append(self, header: TagHeader, tags: bytes) -> None:
        generation = header.epoch, header.generation
        inline = bool(header.flags & TagFlags.HEADER)
        if inline:
            self.ring.set_header(leading_headers(tags))
        elif generation != self._generation:
            stored = await self._stored_header()
            if stored is None or stored[0] != generation:
                self._need_key = True
                return  # a message still to come begins with the headers there are now
            self.ring.set_header(stored[1])
            tags = stamp(stored[1], header.dts_ms) + tags
            inline = True
        self._generation = generation
        self._need_key = False
        self._epoch, self._sequence = header.epoch, header.sequence
        tags, dts_ms = self._timeline.place(header, tags)
        key = bool(header.flags & TagFlags.KEY)
        self.ring.append(encode_tags(tags), dts_ms, key=key, inline=inline)
        self.audience.notice()


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
        if broadcast is None or broadcast.ended.is_set():
            fresh = Broadcast(self._bus, stream, self._settings, self._counters)
            if not await fresh.is_live():
                return None
            broadcast = self._broadcasts.get(stream)
            if broadcast is None or broadcast.ended.is_set():
                self._broadcasts[stream] = broadcast = fresh
                self._tasks.spawn(f"broadcast:{stream}", self._pull(broadcast))
        broadcast.wanted_at = asyncio.get_running_loop().time()
        return broadcast

    def players(self) -> int:
        """How many play here."""
        return sum(len(broadcast.audience) for broadcast in self._broadcasts.values())

    def stop(self) -> None:
        """This process goes."""
        self._bus.on_reconnect.remove(self._after_reconnect)
        for broadcast in self._broadcasts.values():
            broadcast.ended.set()

    async def _pull(self, broadcast: Broadcast) -> None:
        """Read the stream until it ends or nobody has played it for a while."""
        loop = asyncio.get_running_loop()
        reading = self._tasks.spawn(f"broadcast-read:{broadcast.stream}", broadcast.tail.run())
        self._pulled.inc()
        try:
            while (
                not broadcast.ended.is_set() and loop.time() - broadcast.wanted_at < self._settings.linger_s
            ):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CHECK_S):
                        await broadcast.ended.wait()
                if len(broadcast.audience):
                    broadcast.wanted_at = loop.time()
                try:
                    if await broadcast.is_abandoned():
                        log.info("nobody publishes any more", stream=broadcast.stream)
                        broadcast.end()
                except (NatsError, TimeoutError) as error:
                    log.warning("cannot ask who publishes", stream=broadcast.stream, error=repr(error))
        finally:
            reading.cancel()
            if self._broadcasts.get(broadcast.stream) is broadcast:
                del self._broadcasts[broadcast.stream]
            self._pulled.dec()

    async def _after_reconnect(self) -> None:
        for broadcast in self._broadcasts.values():
            broadcast.tail.look_again()
