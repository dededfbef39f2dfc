"""Live streams pulled from the bus while they have viewers: one ring, one fan-out each (DESIGN.md §4)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from bus_schemas.streams import LIVE_HEADERS, PUBLISHERS
from bus_schemas.subjects import LIVE_HEADER
from bus_schemas.tags import HEADER_SIZE, TagFlags, TagFormatError, TagHeader
from gateway.live.fanout import Fanout
from gateway.live.liveness import offline
from media import flv
from media.ring import Ring
from media.timeline import Timeline, leading_headers, opening, stamp, tracks_of
from runtime.bus import Bus
from runtime.kv import Bucket
from runtime.logs import get_logger
from runtime.metrics import Metrics
from runtime.settings import LiveSettings
from runtime.tag_tail import TagTail
from runtime.tasks import Tasks

log = get_logger("live.source")

RING_MESSAGES: Final = 4_096
"""More than 30 s of 120 frames and 10 audio messages a second."""
FIRST_KEY_S: Final = 5.0
"""How long a viewer of a stream that has just begun waits for its first key frame."""
SILENCE_S: Final = 20.0
"""After so long without a message it is asked whether anybody still publishes: the transmux lease holder,
who ends a lost stream after its grace period, may have died with it."""


class LiveSource:
    """One stream as this gateway pulls it: `tail.run` is to be run while `ended` is not set."""

    def __init__(self, bus: Bus, stream: str, settings: LiveSettings, metrics: Metrics) -> None:
        loop = asyncio.get_running_loop()
        self.stream = stream
        self.ring = Ring(seconds=settings.ring_s, max_bytes=settings.ring_bytes, max_messages=RING_MESSAGES)
        self.fanout = Fanout(
            self.ring,
            loop,
            stall_s=settings.stall_s,
            sent_bytes=metrics.counter("matinee_live_sent_bytes_total").labels("flv"),
            drops=metrics.counter("matinee_live_drops_total"),
            stalled=metrics.counter("matinee_live_stalled_total"),
            opening=opening,
        )
        self._bus = bus
        self._loop = loop
        self._timeline = Timeline()
        self._position: tuple[int, int] | None = None
        """Epoch and sequence of the message appended last."""
        self._generation: tuple[int, int] | None = None
        self._stored_header: tuple[tuple[int, int], bytes] | None = None
        self._need_key = True
        self._playable = loop.create_future()
        self._heard = loop.time()
        self.asked_at = loop.time()
        """When it was wanted last, seconds of the loop's clock."""
        self.ended = asyncio.Event()
        self.tail = TagTail(bus, stream, self._take, from_newest_key=True)

    async def is_live(self) -> bool:
        """Whether somebody publishes: there are codec headers, or a claim whose headers are on their way."""
        await self._load_header()
        if self._stored_header is not None:
            return True
        return await Bucket(self._bus.js, PUBLISHERS).get(self.stream) is not None

    async def is_abandoned(self) -> bool:
        """Whether it is silent for long and nobody claims to publish it: then nobody will ever end it."""
        if self._loop.time() - self._heard < SILENCE_S:
            return False
        self._heard = self._loop.time()
        return await Bucket(self._bus.js, PUBLISHERS).get(self.stream) is None

    async def wait_playable(self) -> None:
        """Return once a viewer can begin; raises `Refused` stream_offline if that does not come."""
        try:
            async with asyncio.timeout(FIRST_KEY_S):
                await asyncio.shield(self._playable)
        except TimeoutError:
            raise offline(self.stream) from None
        if self.ring.newest_key is None and self.ended.is_set():
            raise offline(self.stream)

    def file_header(self) -> bytes:
        """The FLV file header for the tracks there are."""
        audio, video = tracks_of(self.ring.header)
        return flv.file_header(audio=audio, video=video)

    def stop(self) -> None:
        """End all viewers at once: this gateway goes."""
        self.ended.set()
        self._let_in()
        self.fanout.stop()

    async def _load_header(self) -> None:
        try:
            message = await self._bus.js.get_last_msg(
                LIVE_HEADERS.name, LIVE_HEADER.at(stream=self.stream), direct=True
            )
            data = message.data or b""
            header = TagHeader.unpack(data)
        except (NotFoundError, TagFormatError):
            self._stored_header = None
            return
        self._stored_header = (header.epoch, header.generation), data[HEADER_SIZE:]

    async def _take(self, header: TagHeader, message: bytes, pending: int) -> None:
        epoch, sequence = self._position or (-1, -1)
        self._heard = self._loop.time()
        if header.flags & TagFlags.END:
            # One read from history was followed by a new session.
            if pending == 0 and self._position is not None:
                self.end()
            return
        if header.epoch == epoch and header.sequence - sequence & 0xFFFFFFFF > 1:
            self._need_key = True
        if self._need_key and not header.flags & TagFlags.KEY:
            return
        await self._append(header, message[HEADER_SIZE:])
        if pending == 0 and not self._need_key:
            self._let_in()
        self.fanout.notice()

    async def _append(self, header: TagHeader, tags: bytes) -> None:
        generation = header.epoch, header.generation
        inline = bool(header.flags & TagFlags.HEADER)
        if inline:
            self.ring.set_header(leading_headers(tags))
        elif generation != self._generation:
            if self._stored_header is None or self._stored_header[0] != generation:
                await self._load_header()
            if self._stored_header is None or self._stored_header[0] != generation:
                self._need_key = True
                return  # a message still to come begins with the headers there are now
            headers = self._stored_header[1]
            self.ring.set_header(headers)
            tags = stamp(headers, header.dts_ms) + tags
            inline = True
        self._generation = generation
        self._need_key = False
        self._position = header.epoch, header.sequence
        tags, dts_ms = self._timeline.place(header, tags)
        self.ring.append(tags, dts_ms, key=bool(header.flags & TagFlags.KEY), inline=inline)

    def _let_in(self) -> None:
        if not self._playable.done():
            self._playable.set_result(None)

    def end(self) -> None:
        """Nothing more comes: let the viewers have what there is, then end them."""
        self.ended.set()
        self._let_in()
        self.fanout.finish()


class LiveSources:
    """The streams this gateway pulls now; a stream without viewers is let go after a while."""

    def __init__(self, bus: Bus, tasks: Tasks, settings: LiveSettings, metrics: Metrics) -> None:
        self._bus = bus
        self._tasks = tasks
        self._settings = settings
        self._metrics = metrics
        self._sources: dict[str, LiveSource] = {}
        self._opening: dict[str, asyncio.Task[LiveSource | None]] = {}
        self._pulled = metrics.gauge("matinee_live_streams")
        bus.on_reconnect.append(self._after_reconnect)

    async def open(self, stream: str) -> LiveSource:
        """The stream's source, playable; raises `Refused` stream_offline. A name that is not live leaves nothing."""
        source = self._sources.get(stream)
        if source is None or source.ended.is_set():
            opening = self._opening.get(stream)
            if opening is None:
                opening = self._tasks.spawn(f"live-open:{stream}", self._open(stream))
                self._opening[stream] = opening
                opening.add_done_callback(lambda _: self._opening.pop(stream, None))
            source = await asyncio.shield(opening)
            if source is None:
                raise offline(stream)
        source.asked_at = asyncio.get_running_loop().time()
        await source.wait_playable()
        return source

    async def _open(self, stream: str) -> LiveSource | None:
        source = LiveSource(self._bus, stream, self._settings, self._metrics)
        if not await source.is_live():
            return None
        self._sources[stream] = source
        self._pulled.inc()
        self._tasks.spawn(f"live:{stream}", self._pull(source))
        return source

    async def _pull(self, source: LiveSource) -> None:
        """Read the stream until it ends or nobody has watched it for a while."""
        loop = asyncio.get_running_loop()
        linger_s = max(self._settings.linger_s, FIRST_KEY_S + 1)
        reading = self._tasks.spawn(f"live-read:{source.stream}", source.tail.run())
        try:
            while not source.ended.is_set() and loop.time() - source.asked_at < linger_s:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await source.ended.wait()
                if source.fanout.viewers:
                    source.asked_at = loop.time()
                try:
                    if await source.is_abandoned():
                        log.info("nobody publishes any more", stream=source.stream)
                        source.end()
                except (NatsError, TimeoutError) as exc:
                    log.warning("cannot ask who publishes", stream=source.stream, error=repr(exc))
        finally:
            reading.cancel()
            if self._sources.get(source.stream) is source:
                del self._sources[source.stream]
            self._pulled.dec()
            source.end()

    async def _after_reconnect(self) -> None:
        for source in self._sources.values():
            source.tail.look_again()

    def stop(self) -> None:
        """End all viewers: this gateway goes."""
        self._bus.on_reconnect.remove(self._after_reconnect)
        for source in list(self._sources.values()):
            source.stop()
