"""An encoder as far as the bus sees it: tags, headers and parts of a stream, put there by a test."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from bus_schemas.messages.live import PublisherClaim
from bus_schemas.parts import PartFlags
from bus_schemas.streams import LIVE_HEADERS, PUBLISHERS
from bus_schemas.subjects import HLS_INIT, HLS_PART, LIVE_HEADER, LIVE_TAGS_DELTA, LIVE_TAGS_KEY
from bus_schemas.tags import TagFlags, TagHeader
from runtime.bus import Bus
from runtime.kv import Bucket
from tests.unit.gateway.live_sources import HEADERS, init_header, inter_frame, key_frame, part_header
from workers.transmux.output import InitReady, Output

FRAME_MS = 40
WITHIN = 20.0
"""For the bus to take a message."""


@dataclass
class Encoder:
    """One publish session of a stream at 25 frames a second. Sequences and timestamps go on by themselves."""

    bus: Bus
    stream: str
    epoch: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    headers: bytes = HEADERS
    generation: int = 0
    dts: int = 1_000
    sequence: int = 0
    flags: TagFlags = TagFlags.NONE
    """Of the next message, beside its own."""
    padding: int = 0
    """Bytes more in each frame."""

    async def begin(self, *, frames: int = 1) -> list[bytes]:
        """Headers, and the first frames; gives the tags of each message."""
        await self.put_header()
        self.flags |= TagFlags.HEADER
        return await self.send(frames, key=True)

    async def put_header(self) -> None:
        """What ingest leaves for those who join later."""
        header = TagHeader(TagFlags.HEADER, self.generation, self.sequence, self.epoch, self.dts, 0)
        await self.bus.js.publish(
            LIVE_HEADER.at(stream=self.stream), header.pack() + self.headers, timeout=WITHIN
        )

    async def send(self, frames: int = 1, *, key: bool = False, paced: bool = False) -> list[bytes]:
        """So many frames, the first a key frame or not; gives the tags of each message."""
        sent = []
        for number in range(frames):
            sent.append(await self._send(key and number == 0))
            if paced:
                await asyncio.sleep(FRAME_MS / 1_000)
        return sent

    async def _send(self, key: bool) -> bytes:
        body = b"%s %d %d" % (self.stream.encode(), self.epoch, self.sequence)
        body = bytes(self.padding) + body
        tags = (key_frame if key else inter_frame)(self.dts, body)
        flags, self.flags = self.flags | (TagFlags.KEY if key else TagFlags.NONE), TagFlags.NONE
        if flags & TagFlags.HEADER:
            tags = self.headers + tags
        subject = LIVE_TAGS_KEY if key else LIVE_TAGS_DELTA
        await self.bus.js.publish(
            subject.at(stream=self.stream), self._header(flags).pack() + tags, timeout=WITHIN
        )
        self.sequence += 1
        self.dts += FRAME_MS
        return tags

    async def end(self) -> None:
        """The publisher ends on purpose."""
        header = self._header(TagFlags.END)
        await self.bus.js.publish(LIVE_TAGS_DELTA.at(stream=self.stream), header.pack(), timeout=WITHIN)
        await self.bus.js.purge_stream(LIVE_HEADERS.name, subject=LIVE_HEADER.at(stream=self.stream))

    async def claim(self) -> None:
        """Say in `PUBLISHERS` that somebody publishes."""
        claim = PublisherClaim(
            stream=self.stream, epoch=self.epoch, node="n1", connection="c1", at=self.epoch
        )
        await Bucket(self.bus.js, PUBLISHERS).put(self.stream, claim.model_dump_json().encode())

    def _header(self, flags: int) -> TagHeader:
        arrival_us = time.time_ns() // 1_000
        return TagHeader(flags, self.generation, self.sequence, self.epoch, self.dts, arrival_us)


@dataclass
class Packager:
    """A transmux worker as far as the bus sees it: segments of ten parts of 0.2 s."""

    bus: Bus
    stream: str
    next: tuple[int, int] = (0, 0)

    async def put_init(self, number: int = 0) -> bytes:
        """The init segment; gives its bytes."""
        body = b"ftyp+moov of init %d" % number
        subject = HLS_INIT.at(stream=self.stream, rendition="source", generation=str(number))
        await self.bus.js.publish(subject, init_header(number).pack() + body, timeout=WITHIN)
        return body

    async def cut(self, parts: int = 1) -> list[bytes]:
        """So many parts more; gives their bytes."""
        bodies = []
        for _ in range(parts):
            msn, part = self.next
            target = 2 if msn or part == 9 else 0
            header = part_header(msn, part, last=part == 9, target=target)
            bodies.append(b"moof+mdat %s %d.%d " % (self.stream.encode(), msn, part) * 50)
            subject = HLS_PART.at(stream=self.stream, rendition="source")
            await self.bus.js.publish(subject, header.pack() + bodies[-1], timeout=WITHIN)
            self.next = (msn, part + 1) if part < 9 else (msn + 1, 0)
        return bodies

    async def end(self) -> None:
        """The stream is over."""
        header = part_header(*self.next, end=True)
        assert header.flags & PartFlags.END
        await self.bus.js.publish(
            HLS_PART.at(stream=self.stream, rendition="source"), header.pack(), timeout=WITHIN
        )


async def put_made(bus: Bus, stream: str, made: Iterable[Output]) -> None:
    """Init segments and parts as a packager made them, which can be played."""
    for one in made:
        if isinstance(one, InitReady):
            number = str(one.header.init)
            subject = HLS_INIT.at(stream=stream, rendition="source", generation=number)
        else:
            subject = HLS_PART.at(stream=stream, rendition="source")
        await bus.js.publish(subject, one.message(), timeout=WITHIN)
