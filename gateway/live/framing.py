"""How bytes of a live stream are wrapped for the connection they go to. Pure."""

from __future__ import annotations

from enum import StrEnum

from gateway.ws.frames import frame as socket_frame

_BINARY = 0x2


class Framing(StrEnum):
    """What stands around the bytes of one write."""

    PLAIN = "plain"
    """Nothing: HTTP/1.0, whose body ends with the connection."""
    CHUNKED = "chunked"
    """HTTP's chunked coding."""
    SOCKET = "socket"
    """A binary WebSocket message."""


def framed(body: bytes, framing: Framing) -> bytes:
    """The body as one write; nothing for nothing."""
    if framing is Framing.CHUNKED:
        return chunk(body)
    if framing is Framing.SOCKET:
        return socket_frame(body, _BINARY) if body else b""
    return body


def chunk(body: bytes) -> bytes:
    """The body as one chunk of HTTP's chunked coding (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(body), body) if body else b""
