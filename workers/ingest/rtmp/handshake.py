"""The RTMP handshake (RTMP 1.0, 5.2) from the server's side: simple, or with digests where C1 carries one.

C0+C1 in, S0+S1+S2 out, C2 in. In the simple form the content proves nothing and is not compared: some
encoders send a C2 that echoes something else. A C1 with a digest (HMAC-SHA256 over the other 1504 bytes,
at a place its own bytes name, after or before the key block: two schemas) gets S1 with one at the same
schema, and S2 signed over C1's: peers that play H.264 as Flash did, and ffmpeg, check both.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from workers.ingest.rtmp.errors import RemoteProtocolError

VERSION: Final = 3
PACKET_SIZE: Final = 1536
"""C1, C2, S1 and S2, bytes (5.2.3)."""
C0_C1_SIZE: Final = 1 + PACKET_SIZE
DIGEST_SIZE: Final = 32

_SHARED: Final = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
_PLAYER: Final = b"Genuine Adobe Flash Player 001"
_SERVER: Final = b"Genuine Adobe Flash Media Server 001"
_SERVER_VERSION: Final = bytes((4, 5, 0, 1))
"""Below 3 in its first byte, peers take S1 for a simple one and check nothing."""
_BLOCKS: Final = (8 + 764, 8)
"""Where the digest block begins, by schema: behind the key block, or before it."""
_OFFSETS: Final = 764 - 4 - DIGEST_SIZE


def check_version(first: int) -> None:
    """Raises `RemoteProtocolError` unless C0 asks for plain RTMP; the first byte exposes other protocols."""
    if first != VERSION:
        raise RemoteProtocolError(f"not RTMP: first byte {first}, expected version {VERSION}")


def answer(c1: bytes, nonce: bytes) -> bytes:
    """S0+S1+S2 for a C1 of `PACKET_SIZE` bytes; `nonce`, at least one byte, is repeated as random bytes."""
    random = (nonce * (PACKET_SIZE // len(nonce) + 1))[: PACKET_SIZE - 8]
    found = find_digest(c1, _PLAYER)
    if found is None:
        return bytes((VERSION,)) + bytes(8) + random + c1[:4] + bytes(4) + c1[8:]
    schema, digest = found
    s1 = sign(bytes(4) + _SERVER_VERSION + random, schema, _SERVER)
    seal = hmac.digest(_SERVER + _SHARED, digest, hashlib.sha256)
    s2 = random[: PACKET_SIZE - DIGEST_SIZE]
    return bytes((VERSION,)) + s1 + s2 + hmac.digest(seal, s2, hashlib.sha256)


def find_digest(packet: bytes, key: bytes) -> tuple[int, bytes] | None:
    """Schema (0: digest behind the key, 1: before it) and digest of a C1 or S1; None where it carries none."""
    for schema in range(len(_BLOCKS)):
        at = _digest_at(packet, schema)
        digest = packet[at : at + DIGEST_SIZE]
        if hmac.compare_digest(_digest(packet, at, key), digest):
            return schema, digest
    return None


def sign(packet: bytes, schema: int, key: bytes) -> bytes:
    """The packet with its digest put where `schema` and its own bytes say."""
    at = _digest_at(packet, schema)
    return packet[:at] + _digest(packet, at, key) + packet[at + DIGEST_SIZE :]


def _digest_at(packet: bytes, schema: int) -> int:
    block = _BLOCKS[schema]
    return block + 4 + sum(packet[block : block + 4]) % _OFFSETS


def _digest(packet: bytes, at: int, key: bytes) -> bytes:
    return hmac.digest(key, packet[:at] + packet[at + DIGEST_SIZE :], hashlib.sha256)
