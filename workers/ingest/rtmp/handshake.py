"""The simple RTMP handshake (RTMP 1.0, 5.2) from the server's side.

C0+C1 in, S0+S1+S2 out, C2 in. Its content proves nothing and is not compared: OBS, ffmpeg and
librtmp all accept the simple form, and some send a C2 that echoes something else.
"""

from __future__ import annotations

from typing import Final

from workers.ingest.rtmp.errors import RemoteProtocolError

VERSION: Final = 3
PACKET_SIZE: Final = 1536
"""C1, C2, S1 and S2, bytes (5.2.3)."""
C0_C1_SIZE: Final = 1 + PACKET_SIZE
_RANDOM_SIZE: Final = PACKET_SIZE - 8


def check_version(first: int) -> None:
    """Raises `RemoteProtocolError` unless C0 asks for plain RTMP; the first byte exposes other protocols."""
    if first != VERSION:
        raise RemoteProtocolError(f"not RTMP: first byte {first}, expected version {VERSION}")


def answer(c1: bytes, nonce: bytes) -> bytes:
    """S0+S1+S2 for a C1 of `PACKET_SIZE` bytes; `nonce`, at least one byte, is repeated to fill S1."""
    repeats = _RANDOM_SIZE // len(nonce) + 1
    s1 = bytes(8) + (nonce * repeats)[:_RANDOM_SIZE]
    s2 = c1[:4] + bytes(4) + c1[8:]
    return bytes((VERSION,)) + s1 + s2
