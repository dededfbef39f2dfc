"""One live stream from the bus into a ring, for whoever serves viewers of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

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
from runtime.settings import LiveSettings
from runtime.tag_tail import BUS_FAULTS, TagTail
from runtime.tasks import Tasks

log = get_logger("live_feed")

RING_MESSAGES: Final = 4_096
"""More than 30 s of 120 frames and 10 audio messages a second."""
SILENCE_S: Final = 20.0
"""After so long without a message it is asked whether anybody still publishes: the transmux lease holder,
who ends a lost stream after its grace period, may have died with it."""
CHECK_S: Final = 1.0


class LiveFeed:
    """Fills `ring` with the stream's messages from the newest key frame on, codec headers in line where they change.

    `encode` turns FLV tags into what the ring holds; `on_append` is called behind each message with how many
    stored ones follow at once, `on_end` once when nothing more comes.
    """

    def __init__(
        self,
        bus: Bus,
        tasks: Tasks,
        stream: str,
        settings: LiveSettings,
        *,
        encode: Callable[[bytes], bytes] | None = None,
        on_append: Callable[[int], None],
        on_end: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.stream = stream
        self.ring = Ring(seconds=settings.ring_s, max_bytes=settings.ring_bytes, max_messages=RING_MESSAGES)
        self.ended = asyncio.Event()
        self.wanted_at = self._loop.time()
        """When somebody wanted it last, seconds of the loop's clock."""
        self._bus = bus
        self._tasks = tasks
        self._encode = encode
        self._on_append = on_append
        self._on_end = on_end
        self._timeline = Timeline()
        self._epoch, self._sequence = -1, -1
        self._generation: tuple[int, int] | None = None
        self._stored: tuple[tuple[int, int], bytes] | None = None
        self._need_key = True
        self._heard = self._loop.time()
        self._tail = TagTail(bus, tasks, stream, self._take, from_newest_key=True)

    async def is_live(self) -> bool:
        """Whether somebody publishes: there are codec headers, or a claim whose headers are on their way."""
        await self._load_header()
        return self._stored is not None or await self._is_claimed()

    async def pull(self, *, linger_s: float, watched: Callable[[], bool]) -> None:
        """Follow the stream until it ends, or nobody has watched it for so long."""
        reading = self._tasks.spawn(f"live-read:{self.stream}", self._tail.run())
        try:
            while not self.ended.is_set() and self._loop.time() - self.wanted_at < linger_s:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CHECK_S):
                        await self.ended.wait()
                if watched():
                    self.wanted_at = self._loop.time()
                await self._end_if_abandoned()
        finally:
            reading.cancel()
            self.end()

    def wanted(self) -> None:
        """Somebody wants it now."""
        self.wanted_at = self._loop.time()

    def look_again(self) -> None:
        """The server was away."""
        self._tail.look_again()

    def end(self) -> None:
        """Nothing more comes."""
        if not self.ended.is_set():
            self.ended.set()
            self._on_end()

    async def _is_claimed(self) -> bool:
        return await Bucket(self._bus.js, PUBLISHERS).get(self.stream) is not None

    async def _end_if_abandoned(self) -> None:
        """Silent for long, and nobody claims to publish it: then nobody will ever end it."""
        if self._loop.time() - self._heard < SILENCE_S:
            return
        self._heard = self._loop.time()
        try:
            if not await self._is_claimed():
                log.info("nobody publishes any more", stream=self.stream)
                self.end()
        except BUS_FAULTS as error:
            log.warning("cannot ask who publishes", stream=self.stream, error=repr(error))

    async def _load_header(self) -> None:
        """Epoch and generation of the codec headers on the bus, and the headers as FLV tags."""
        self._stored = None
        message = await direct.last(self._bus, LIVE_HEADERS.name, LIVE_HEADER.at(stream=self.stream))
        if message is None:
            return
        with contextlib.suppress(TagFormatError):
            header = TagHeader.unpack(message.data)
            self._stored = (header.epoch, header.generation), message.data[HEADER_SIZE:]

    def _take(self, header: TagHeader, message: bytes, pending: int) -> Awaitable[None] | None:
        self._heard = self._loop.time()
        flags = header.flags
        if flags & TagFlags.END:
            # One read from history was followed by a new session.
            if pending == 0 and self._epoch >= 0:
                self.end()
            return None
        if header.epoch == self._epoch and header.sequence - self._sequence & 0xFFFFFFFF > 1:
            self._need_key = True
        if self._need_key and not flags & TagFlags.KEY:
            return None
        tags = message[HEADER_SIZE:]
        generation = header.epoch, header.generation
        if flags & TagFlags.HEADER:
            self.ring.set_header(leading_headers(tags))
            self._generation = generation
        elif generation != self._generation:
            return self._append_behind_headers(header, tags, pending)
        self._append(header, tags, pending, inline=bool(flags & TagFlags.HEADER))
        return None

    async def _append_behind_headers(self, header: TagHeader, tags: bytes, pending: int) -> None:
        """Append the first message of a generation whose codec headers we have not seen go by."""
        generation = header.epoch, header.generation
        self._need_key = True  # should this come to nothing
        if self._stored is None or self._stored[0] != generation:
            await self._load_header()
        if self._stored is None or self._stored[0] != generation:
            return  # a message still to come begins with the headers there are now
        headers = self._stored[1]
        self.ring.set_header(headers)
        self._generation = generation
        self._append(header, stamp(headers, header.dts_ms) + tags, pending, inline=True)

    def _append(self, header: TagHeader, tags: bytes, pending: int, *, inline: bool) -> None:
        self._need_key = False
        self._epoch, self._sequence = header.epoch, header.sequence
        try:
            tags, dts_ms = self._timeline.place(header, tags)
            body = tags if self._encode is None else self._encode(tags)
        except FlvError as error:
            log.warning("unreadable tag message", stream=self.stream, error=str(error))
            self._need_key = True
            return
        self.ring.append(body, dts_ms, key=bool(header.flags & TagFlags.KEY), inline=inline)
        self._on_append(pending)
