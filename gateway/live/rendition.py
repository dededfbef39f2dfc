"""One rendition of a stream as LL-HLS: follows its parts on the bus, renders once for all who ask."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, Protocol

from nats.errors import Error as NatsError

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.parts import (
    PART_HEADER_SIZE,
    SOURCE_RENDITION,
    InitHeader,
    PartFormatError,
    PartHeader,
)
from bus_schemas.streams import LIVE_HEADERS, PARTS
from bus_schemas.subjects import HLS_INIT, HLS_PART
from gateway.live.frame_rate import FrameRate
from gateway.live.liveness import is_live, offline
from gateway.live.media_answer import Playlist
from gateway.live.old_segments import OldSegments, gone
from gateway.live.playlist import Variant, render_media
from gateway.live.segments import Segment, SegmentIndex
from runtime import direct
from runtime.bus import Bus
from runtime.logs import get_logger
from runtime.metrics import Metrics
from runtime.stream_reader import Delivered, StreamReader
from runtime.tasks import Tasks

log = get_logger("live.rendition")

LINGER_S: Final = 30.0
"""A rendition is followed for so long after the last request."""
FIRST_PLAYLIST_S: Final = 12.0
"""How long a request waits for the first segment of a stream that has just begun: at most 10 s long."""
BLOCK_TARGETS: Final = 3
"""A blocked request is given up after so many target durations."""
INIT_TRIES: Final = 20
INIT_RETRY_S: Final = 0.05


class Listener(Protocol):
    """Who makes another format of a rendition's parts, while somebody wants it."""

    def take(self, header: PartHeader, body: bytes) -> None:
        """The next part, or END."""

    def is_wanted(self, now: float) -> bool:
        """Whether to go on (loop's clock, s); asked each second."""

    def stop(self) -> None:
        """This gateway goes."""


class Rendition:
    """One rendition; `reader.run` is to be run while it is wanted."""

    def __init__(self, bus: Bus, tasks: Tasks, stream: str, name: str) -> None:
        loop = asyncio.get_running_loop()
        self.stream = stream
        self.name = name
        self.index = SegmentIndex()
        self.inits: dict[int, InitHeader] = {}
        self.asked_at = loop.time()
        """When it was wanted last, seconds of the loop's clock."""
        self.listeners: list[Listener] = []
        self._init_bodies: dict[int, bytes] = {}
        self._frame_rate = FrameRate()
        self._bus = bus
        self._loop = loop
        self._loading = True
        self._stopped = False
        self._changed: asyncio.Future[None] = loop.create_future()
        self._rendered: dict[bool, Playlist] = {}
        subject = HLS_PART.at(stream=stream, rendition=name)
        self._old = OldSegments(bus, tasks, subject)
        self.reader = StreamReader(
            bus,
            stream=PARTS.name,
            subject=subject,
            start=self._from_the_oldest,
            take=self._take,
            on_caught_up=self._loaded,
        )

    @property
    def newest_init(self) -> InitHeader:
        """The init segment of the newest segment."""
        return self.inits[self.index.segments[-1].init]

    @property
    def current_init(self) -> tuple[int, bytes]:
        """Number and bytes of that init segment."""
        number = self.index.segments[-1].init
        return number, self._init_bodies[number]

    def variant(self) -> Variant:
        """What a multivariant playlist says of it now."""
        init = self.newest_init
        return Variant(self.name, init, self.index, self.frame_rate(init))

    def frame_rate(self, init: InitHeader) -> float:
        """Of what belongs to this init segment, as measured."""
        return self._frame_rate.of(self.index, init, self._init_bodies[init.init])

    async def wait_ready(self, *, live: bool) -> None:
        """Return once there is a playlist, with `live` one that has not ended.

        Raises `Refused`: stream_offline where there will be none, unavailable if there is none in time.
        """
        try:
            async with asyncio.timeout(FIRST_PLAYLIST_S):
                while not self.is_ready(live=live):
                    if self.index.ended and not self._loading and not live:
                        raise offline(self.stream)
                    await self.change()
        except TimeoutError:
            raise _unavailable("The first segment is not there yet.") from None

    def is_ready(self, *, live: bool) -> bool:
        """Whether there is a playlist, with `live` one that has not ended."""
        index = self.index
        there = bool(index.target_duration and index.segments) and not self._loading
        return there and not (live and index.ended)

    async def change(self) -> None:
        """Wait for the next part; raises `Refused` unavailable when this gateway goes."""
        await asyncio.shield(self._changed)
        if self._stopped:
            raise _unavailable("This gateway is going away: ask again.")

    async def wait_for(self, msn: int, part: int | None) -> None:
        """Block until the playlist has that part; raises `Refused`: invalid (400) too far ahead, unavailable."""
        if self.index.has(msn, part):
            return
        if self.index.is_too_far(msn, part):
            raise Refused(ErrorCode.INVALID, "That part is too far ahead.", status=400)
        try:
            async with asyncio.timeout(BLOCK_TARGETS * self.index.target_duration):
                while not self.index.has(msn, part):
                    await self.change()
        except TimeoutError:
            raise _unavailable("That part did not come in time.") from None

    def playlist(self, *, skip: bool) -> Playlist:
        """The media playlist as of now, or a delta update of it."""
        rendered = self._rendered.get(skip)
        if rendered is None:
            text = render_media(self.index, self.inits, skip=skip)
            rendered = self._rendered[skip] = Playlist.of(text)
        return rendered

    async def part(self, msn: int, name: str, part: int) -> bytes:
        """A part's bytes, waiting for one that is to come; raises `Refused` like `wait_for`, and not_found."""
        await self.wait_for(msn, part)
        segment = self.index.find(msn, name)
        if segment is None or part >= len(segment.parts):
            raise gone()
        return (await self._bodies(segment, part, part + 1))[0]

    async def segment(self, msn: int, name: str) -> list[bytes]:
        """A complete segment's bytes, part by part; raises `Refused` not_found, unavailable."""
        return await self.bodies(await self.complete_segment(msn, name))

    async def complete_segment(self, msn: int, name: str) -> Segment:
        """The segment once it is complete; raises like `segment`."""
        await self.wait_for(msn, None)
        segment = self.index.find(msn, name)
        if segment is None or not segment.complete:
            raise gone()
        return segment

    async def bodies(self, segment: Segment) -> list[bytes]:
        """The bytes of its parts; raises `Refused` not_found where the bus has lost them."""
        return await self._bodies(segment, 0, len(segment.parts))

    def init_body(self, number: int) -> bytes:
        """An init segment that a segment of the index needs."""
        return self._init_bodies[number]

    def tend(self, now: float) -> None:
        """Let go of the listeners that nobody wants, and of old bytes; listeners that are left want the rendition."""
        self._old.forget(now)
        self.listeners = [listener for listener in self.listeners if listener.is_wanted(now)]
        if self.listeners:
            self.asked_at = now

    def stop(self) -> None:
        """Let go of all who wait."""
        self._stopped = True
        for listener in self.listeners:
            listener.stop()
        self._notify()

    def init(self, number: int, name: str) -> bytes:
        """An init segment's bytes; raises `Refused` not_found."""
        header = self.inits.get(number)
        if header is None or header.name != name:
            raise gone()
        return self._init_bodies[number]

    async def _bodies(self, segment: Segment, start: int, stop: int) -> list[bytes]:
        parts = segment.parts[start:stop]
        held = [part.body for part in parts if part.body is not None]
        if len(held) == len(parts):
            return held
        return (await self._old.bodies(segment))[start:stop]

    async def _from_the_oldest(self) -> int:
        self.index.forget_without_body()
        return 0

    async def _take(self, delivered: Delivered) -> None:
        try:
            header = PartHeader.unpack(delivered.data)
        except PartFormatError as exc:
            log.warning("unreadable part", stream=self.stream, error=str(exc))
            return
        body = delivered.data[PART_HEADER_SIZE:]
        if body and header.init not in self.inits and not await self._load_init(header.init):
            log.warning("no init segment", stream=self.stream, init=header.init)
            return
        if self.index.add(header, len(body), delivered.sequence, body):
            self._forget_inits()
            for listener in self.listeners:
                listener.take(header, body)
            if not self._loading:
                self._notify()

    async def _load_init(self, number: int) -> bool:
        subject = HLS_INIT.at(stream=self.stream, rendition=self.name, generation=str(number))
        for _ in range(INIT_TRIES):
            stored = await direct.last(self._bus, LIVE_HEADERS.name, subject)
            if stored is not None and stored.data:
                try:
                    header, body = InitHeader.unpack(stored.data)
                except PartFormatError as exc:
                    log.warning("unreadable init segment", stream=self.stream, error=str(exc))
                    return False
                self.inits[number], self._init_bodies[number] = header, body
                return True
            if self._loading:
                return False  # of a session that is over: its inits went with it
            await asyncio.sleep(INIT_RETRY_S)
        return False

    def _forget_inits(self) -> None:
        wanted = {segment.init for segment in self.index.segments}
        for number in [number for number in self.inits if number not in wanted]:
            if len(self.inits) > len(wanted) and self.index.segments:
                del self.inits[number], self._init_bodies[number]

    def _loaded(self) -> None:
        if self._loading:
            self._loading = False
            self._notify()

    def _notify(self) -> None:
        self._rendered.clear()
        changed, self._changed = self._changed, self._loop.create_future()
        changed.set_result(None)


class Renditions:
    """The renditions this gateway follows now."""

    def __init__(self, bus: Bus, tasks: Tasks, metrics: Metrics) -> None:
        self._bus = bus
        self._tasks = tasks
        self._pulled = metrics.gauge("matinee_live_streams")
        self._renditions: dict[tuple[str, str], Rendition] = {}
        bus.on_reconnect.append(self._after_reconnect)

    async def open(self, stream: str, name: str, *, live: bool) -> Rendition:
        """The rendition, with a playlist; raises `Refused` not_found, stream_offline or unavailable.

        With `live` an ended stream is offline though its last minutes are still there.
        """
        if name != SOURCE_RENDITION:
            raise Refused(ErrorCode.NOT_FOUND, "The stream has no such rendition.")
        key = stream, name
        rendition = self._renditions.get(key)
        if rendition is None:
            if not await is_live(self._bus, stream) and (live or not await self._has_parts(stream, name)):
                raise offline(stream)
            rendition = self._renditions.get(key)
        if rendition is None:
            rendition = self._renditions[key] = Rendition(self._bus, self._tasks, stream, name)
            self._pulled.inc()
            self._tasks.spawn(f"hls:{stream}", self._follow(rendition))
        rendition.asked_at = asyncio.get_running_loop().time()
        if live and rendition.index.ended and not await is_live(self._bus, stream):
            raise offline(stream)
        await rendition.wait_ready(live=live)
        return rendition

    def find(self, stream: str, name: str) -> Rendition | None:
        """The rendition, if it is followed here and what there was of it has been read."""
        rendition = self._renditions.get((stream, name))
        return rendition if rendition is not None and rendition.is_ready(live=False) else None

    def stop(self) -> None:
        """Let go of all who wait: this gateway goes."""
        self._bus.on_reconnect.remove(self._after_reconnect)
        for rendition in self._renditions.values():
            rendition.stop()

    async def _follow(self, rendition: Rendition) -> None:
        loop = asyncio.get_running_loop()
        reading = self._tasks.spawn(f"hls-read:{rendition.stream}", rendition.reader.run())
        try:
            while loop.time() - rendition.asked_at < LINGER_S:
                await asyncio.sleep(1)
                rendition.tend(loop.time())
        finally:
            reading.cancel()
            del self._renditions[rendition.stream, rendition.name]
            self._pulled.dec()

    async def _has_parts(self, stream: str, name: str) -> bool:
        with contextlib.suppress(NatsError):
            return (
                await direct.last(self._bus, PARTS.name, HLS_PART.at(stream=stream, rendition=name))
                is not None
            )
        return False

    async def _after_reconnect(self) -> None:
        for rendition in self._renditions.values():
            rendition.reader.restart()


def _unavailable(detail: str) -> Refused:
    return Refused(ErrorCode.UNAVAILABLE, detail, retry_after=1)
