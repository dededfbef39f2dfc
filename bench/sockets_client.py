"""A light WebSocket client (RFC 6455) for load: text frames in and out, nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Callable
from typing import Any, Final, cast
from urllib.parse import urlsplit

_TEXT: Final = 1
_CLOSE: Final = 8
_PING: Final = 9
_PONG: Final = 10


def _frame(opcode: int, payload: bytes) -> bytes:
    mask = os.urandom(4)
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    else:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    repeated = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")
    return head + mask + masked


class LightSocket(asyncio.Protocol):
    """One connection; `on_text` gets each text frame as bytes, at the moment it is complete."""

    def __init__(self, url: str, token: str, on_text: Callable[[LightSocket, bytes], None]) -> None:
        self._url = urlsplit(url)
        self._token = token
        self._on_text = on_text
        self._buffer = bytearray()
        self._open = False
        self._transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: str | None = None

    async def connect(self) -> None:
        """Connect and upgrade."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, self._url.hostname or "127.0.0.1", self._url.port or 80)
        await asyncio.wait_for(self.opened, 20)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        # uvloop's transports are not asyncio.Transport by class, only by what they do
        self._transport = transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {self._url.path} HTTP/1.1\r\nHost: {self._url.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: matinee.v1, bearer.{self._token}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Cut into frames."""
        self._buffer += data
        if not self._open:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            status = bytes(self._buffer[9:12])
            del self._buffer[: end + 4]
            self._open = True
            if status != b"101":
                self.opened.set_exception(RuntimeError(f"upgrade refused: {status.decode()}"))
                return
            self.opened.set_result(None)
        while (frame := self._next()) is not None:
            opcode, payload = frame
            if opcode == _TEXT:
                self._on_text(self, payload)
            elif opcode == _PING:
                self._write(_PONG, payload)
            elif opcode == _CLOSE:
                self.closed = f"close {int.from_bytes(payload[:2], 'big')}"

    def _next(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, at = buffer[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(buffer[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(buffer[2:10], "big"), 10
        if len(buffer) < at + size:
            return None
        frame = buffer[0] & 0x0F, bytes(buffer[at : at + size])
        del buffer[: at + size]
        return frame

    def send(self, frame: dict[str, Any]) -> None:
        """Send a JSON text frame."""
        self._write(_TEXT, json.dumps(frame).encode())

    def _write(self, opcode: int, payload: bytes) -> None:
        if self._transport is not None:
            self._transport.write(_frame(opcode, payload))

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember that the server went, unless we did."""
        if self._transport is not None and self.closed is None:
            self.closed = repr(exc) if exc else "closed by the server"

    def close(self) -> None:
        """Go."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
