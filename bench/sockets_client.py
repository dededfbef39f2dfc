"""A light WebSocket client (RFC 6455) for load: text frames in and out, nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
from collections.abc import Callable
from typing import Any, Final, cast
from urllib.parse import urlsplit

TEXT: Final = 1
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10


def upgrade_request(host: str, path: str, key: str, token: str) -> bytes:
    """The handshake of a client (RFC 6455, 4.1) with its token as a second subprotocol."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: matinee.v1, bearer.{token}\r\n\r\n"
    ).encode()


def parse(payload: bytes) -> dict[str, Any]:
    """A text frame as JSON."""
    frame: dict[str, Any] = json.loads(payload)
    return frame


def client_frame(opcode: int, payload: bytes) -> bytes:
    """A whole frame, masked as a client's must be (RFC 6455, 5.3), of at most 65,535 bytes."""
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

    async def connect(self, *, receive_buffer: int = 0) -> None:
        """Connect and upgrade; `receive_buffer` in bytes, 0 for what the system gives."""
        loop = asyncio.get_running_loop()
        raw = socket.socket()
        raw.setblocking(False)
        if receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await loop.sock_connect(raw, (self._url.hostname or "127.0.0.1", self._url.port or 80))
        await loop.create_connection(lambda: self, sock=raw)
        async with asyncio.timeout(20):
            await self.opened

    def read(self, *, on: bool) -> None:
        """Go on reading, or stop."""
        assert self._transport is not None
        if on:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        # uvloop's transports are not asyncio.Transport by class, only by what they do
        self._transport = transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(upgrade_request(self._url.netloc, self._url.path, key, self._token))

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
            if opcode == TEXT:
                self._on_text(self, payload)
            elif opcode == PING:
                self._write(PONG, payload)
            elif opcode == CLOSE:
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
        self._write(TEXT, json.dumps(frame).encode())

    def _write(self, opcode: int, payload: bytes) -> None:
        if self._transport is not None:
            self._transport.write(client_frame(opcode, payload))

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember that the server went, unless we did."""
        if self._transport is not None and self.closed is None:
            self.closed = repr(exc) if exc else "closed by the server"

    def close(self) -> None:
        """Go."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
