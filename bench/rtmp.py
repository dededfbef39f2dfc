"""A lean RTMP client for load: publishes one paced loop, or plays and counts."""

from __future__ import annotations

import asyncio
import struct
import time
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from bench.picture import Loop, stamp
from media.flv import TagType

_CHUNK_OUT: Final = 1 << 20
"""Our chunk size: one message is one chunk."""
_DEADLINE_S: Final = 10.0


class RtmpRefusedError(Exception):
    """The server answered with an error, or not at all."""


def _amf(*values: object) -> bytes:
    out = b""
    for value in values:
        if value is None:
            out += b"\x05"
        elif isinstance(value, str):
            out += b"\x02" + struct.pack("!H", len(value)) + value.encode()
        elif isinstance(value, dict):
            out += b"\x03"
            for name, member in value.items():
                out += struct.pack("!H", len(name)) + name.encode() + _amf(member)
            out += b"\x00\x00\x09"
        elif isinstance(value, (int, float)):
            out += b"\x00" + struct.pack("!d", value)
    return out


def _message(chunk_stream: int, kind: int, stream: int, timestamp: int, body: bytes) -> bytes:
    stamp24 = min(timestamp, 0xFFFFFF)
    header = (
        bytes((chunk_stream,))
        + stamp24.to_bytes(3, "big")
        + len(body).to_bytes(3, "big")
        + bytes((kind,))
        + struct.pack("<I", stream)
    )
    return header + (timestamp.to_bytes(4, "big") if stamp24 == 0xFFFFFF else b"") + body


@dataclass
class RtmpClient:
    """One connection, up to an accepted publish or play."""

    url: str
    """`rtmp://host:port/app/name`."""
    sent_bytes: int = 0
    received_bytes: int = 0
    late_ms: float = 0.0
    """The most a send was behind its time."""
    _reader: asyncio.StreamReader = field(init=False)
    _writer: asyncio.StreamWriter = field(init=False)

    async def _open(self) -> str:
        parts = urlsplit(self.url)
        app, _, name = parts.path.lstrip("/").partition("/")
        self._reader, self._writer = await asyncio.open_connection(
            parts.hostname, parts.port or 1935, limit=1 << 20
        )
        self._writer.write(b"\x03" + struct.pack("!II", 0, 0) + b"m" * 1528)
        async with asyncio.timeout(_DEADLINE_S):
            answer = await self._reader.readexactly(1 + 1536 + 1536)
        self._writer.write(answer[1:1537])
        self._writer.write(_message(2, 1, 0, 0, struct.pack("!I", _CHUNK_OUT)))
        tc_url = f"rtmp://{parts.hostname}:{parts.port}/{app}"
        self._command(
            0, "connect", 1, {"app": app, "type": "nonprivate", "flashVer": "bench", "tcUrl": tc_url}
        )
        await self._expect(b"NetConnection.Connect.Success")
        self._command(0, "releaseStream", 2, None, name)
        self._command(0, "FCPublish", 3, None, name)
        self._command(0, "createStream", 4, None)
        await self._expect(b"_result")
        return name

    def _command(self, stream: int, *values: object) -> None:
        self._writer.write(_message(3, 20, stream, 0, _amf(*values)))

    async def _expect(self, text: bytes) -> None:
        seen = b""
        try:
            async with asyncio.timeout(_DEADLINE_S):
                while text not in seen:
                    data = await self._reader.read(65_536)
                    if not data:
                        raise RtmpRefusedError(f"closed while waiting for {text.decode()}: {seen[-80:]!r}")
                    seen += data
                    if b".BadName" in seen or b".Denied" in seen or b".Rejected" in seen:
                        raise RtmpRefusedError(repr(seen[-120:]))
        except TimeoutError:
            raise RtmpRefusedError(f"no {text.decode()} within {_DEADLINE_S} s") from None

    async def publish(
        self,
        loop: Loop,
        seconds: float,
        *,
        started: asyncio.Event | None = None,
        switch: tuple[float, Loop] | None = None,
    ) -> None:
        """Publish the loop again and again in real time; video frames are stamped.

        `switch`: from the first turn after so many seconds on, another loop, its codec headers in front.
        """
        name = await self._open()
        self._command(1, "publish", 5, None, name, "live")
        # Not just its code: the answer to FCPublish has the same one.
        await self._expect(b"onStatus")
        for tag in loop.headers:
            self._send(tag.type, 0, tag.payload)
        begin = time.monotonic()
        base = 0
        if started is not None:
            started.set()
        try:
            while True:
                for tag in loop.tags:
                    due = begin + (base + tag.timestamp_ms) / 1_000
                    wait = due - time.monotonic()
                    if wait > 0.002:
                        await self._writer.drain()
                        await asyncio.sleep(due - time.monotonic())
                    self.late_ms = max(self.late_ms, (time.monotonic() - due) * 1_000)
                    if due - begin > seconds:
                        return
                    payload = (
                        stamp(tag, time.time_ns() // 1_000) if tag.type is TagType.VIDEO else tag.payload
                    )
                    self._send(tag.type, base + tag.timestamp_ms, payload)
                base += loop.duration_ms
                if switch is not None and base >= switch[0] * 1_000:
                    loop, switch = switch[1], None
                    for tag in loop.headers:
                        self._send(tag.type, base, tag.payload)
        finally:
            self.close(name)

    def _send(self, kind: int, timestamp: int, payload: bytes) -> None:
        self.sent_bytes += len(payload)
        self._writer.write(_message(6 if kind == TagType.VIDEO else 4, kind, 1, timestamp, payload))

    def close(self, name: str) -> None:
        """End the publish as encoders do."""
        self._command(1, "FCUnpublish", 6, None, name)
        self._command(1, "deleteStream", 7, None, 1)
        self._writer.close()

    def vanish(self) -> None:
        """Lose the link without a word."""
        self._writer.transport.abort()

    async def play(self, stop: asyncio.Event) -> None:
        """Play until told to stop, counting bytes."""
        name = await self._open()
        self._command(1, "play", 5, None, name)
        while not stop.is_set():
            data = await self._reader.read(262_144)
            if not data:
                raise RtmpRefusedError("closed while playing")
            self.received_bytes += len(data)
        self._writer.close()
