"""Viewers: many that only count, and a few that look inside."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final, Protocol, cast
from urllib.parse import urlsplit

import aiohttp

from bench.picture import is_key, read_stamp
from media.flv import PREVIOUS_TAG_SIZE, TAG_HEADER_SIZE, Tag, TagType

_FLV_HEADER: Final = 13
_FIRST_TAGS_KEPT: Final = 12


class CountingViewer(asyncio.BufferedProtocol):
    """Takes bytes into one shared scratch buffer and counts them: the cheapest honest reader."""

    _scratch: Final = memoryview(bytearray(1 << 18))

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self.bytes = 0
        self.status = 0
        self.closed: str | None = None
        self._transport: asyncio.Transport | None = None

    async def start(self) -> None:
        """Connect and ask."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, self._url.hostname or "127.0.0.1", self._url.port or 80)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        # uvloop's transports are not asyncio.Transport by class, only by what they do
        self._transport = transport = cast("asyncio.Transport", transport)
        transport.write(f"GET {self._url.path} HTTP/1.1\r\nHost: {self._url.netloc}\r\n\r\n".encode())

    def get_buffer(self, _sizehint: int) -> memoryview:
        """The same scratch for everyone."""
        return self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        """Count; look only at the status line."""
        if not self.status:
            self.status = int(bytes(self._scratch[9:12]))
        self.bytes += nbytes

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember that the server went, unless we did."""
        if self._transport is not None:
            self.closed = repr(exc) if exc else "closed by the server"

    def stop(self) -> None:
        """Go."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()


FIRST_TAGS: Final = ["onMetaData", "onClock", "audio header", "video header", "key frame"]
"""What a joiner gets first, in this order; audio frames that came before the key frame may stand before it."""


def name_of(kind: TagType, payload: bytes) -> str:
    """What an FLV tag of H.264 or AAC is."""
    if kind is TagType.SCRIPT:
        return payload[3 : 3 + int.from_bytes(payload[1:3], "big")].decode("utf-8", "replace")
    if kind is TagType.AUDIO:
        return "audio header" if payload[1:2] == b"\0" else "audio"
    if payload[1:2] == b"\0":
        return "video header"
    return "key frame" if payload[0] >> 4 == 1 else "frame"


class Watcher(Protocol):
    """Anything that watches one URL until told to stop, and notes what it missed."""

    url: str
    gaps: list[str]

    async def run(self, session: aiohttp.ClientSession, until: asyncio.Event) -> None:
        """Watch."""


@dataclass
class FlvViewer:
    """Reads tags, with the time each took from the publisher's send, and checks that none is missing."""

    url: str
    frame_ms: float
    connected_at: float = 0.0
    first_key_s: float | None = None
    latencies_ms: list[float] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    tags: int = 0
    first_tags: list[str] = field(default_factory=list)
    settle_s: float = 1.0
    """Frames of the instant start are older than the moment of joining and say nothing of latency."""
    _last_dts: int | None = None

    async def run(self, session: aiohttp.ClientSession, until: asyncio.Event) -> None:
        """Watch until told to stop; the server closing first is a gap."""
        self.connected_at = time.monotonic()
        try:
            async with session.get(
                self.url, timeout=aiohttp.ClientTimeout(total=None, sock_read=20)
            ) as response:
                if response.status != 200:
                    self.gaps.append(f"status {response.status}")
                    return
                buffer = bytearray()
                skip = _FLV_HEADER
                async for chunk in response.content.iter_any():
                    buffer += chunk
                    if skip and len(buffer) >= skip:
                        del buffer[:skip]
                        skip = 0
                    if not skip:
                        self._take(buffer)
                    if until.is_set():
                        return
        except (aiohttp.ClientError, TimeoutError) as exc:
            self.gaps.append(repr(exc))
            return
        if not until.is_set():
            self.gaps.append("closed by the server")

    def _take(self, buffer: bytearray) -> None:
        at = 0
        now_us = time.time_ns() // 1_000
        while len(buffer) - at >= TAG_HEADER_SIZE + PREVIOUS_TAG_SIZE:
            size = int.from_bytes(buffer[at + 1 : at + 4], "big")
            end = at + TAG_HEADER_SIZE + size + PREVIOUS_TAG_SIZE
            if end > len(buffer):
                break
            dts = int.from_bytes(buffer[at + 4 : at + 7], "big") | buffer[at + 7] << 24
            self._see(
                TagType(buffer[at] & 31),
                dts,
                bytes(buffer[at + TAG_HEADER_SIZE : end - PREVIOUS_TAG_SIZE]),
                now_us,
            )
            at = end
        del buffer[:at]

    def _see(self, kind: TagType, dts: int, payload: bytes, now_us: int) -> None:
        self.tags += 1
        if len(self.first_tags) < _FIRST_TAGS_KEPT:
            self.first_tags.append(name_of(kind, payload))
        if kind is not TagType.VIDEO or len(payload) < 2 or payload[1] != 1:
            return
        since = time.monotonic() - self.connected_at
        if self.first_key_s is None and is_key(Tag(kind, dts, payload)):
            self.first_key_s = since
        if self._last_dts is not None and not 0 <= dts - self._last_dts <= self.frame_ms * 1.6:
            self.gaps.append(f"DTS {self._last_dts} → {dts}")
        self._last_dts = dts
        if since > self.settle_s and (sent := read_stamp(payload[:80])) is not None:
            self.latencies_ms.append((now_us - sent) / 1_000)
