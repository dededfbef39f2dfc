"""Bytes that have arrived and were not yet understood."""

from __future__ import annotations


class ReceiveBuffer:
    """Keeps what a parser could not use yet, and knows how much it waits for.

    When nothing is kept, `feed` hands the caller's own bytes back, so a whole read is parsed
    without being copied first. `want` spares the parser attempts that cannot succeed: a
    message of 8 MB that comes a byte at a time costs one comparison a byte.
    """

    __slots__ = ("_kept", "_want")

    def __init__(self) -> None:
        self._kept = bytearray()
        self._want = 0

    def __len__(self) -> int:
        return len(self._kept)

    def feed(self, data: bytes) -> bytes | bytearray | None:
        """All bytes to parse now, or None while fewer than wanted are here."""
        kept = self._kept
        if not kept:
            if len(data) >= self._want:
                return data
            kept += data
            return None
        kept += data
        return kept if len(kept) >= self._want else None

    def keep(self, source: bytes | bytearray, used: int, want: int) -> None:
        """After parsing `used` bytes of what `feed` returned: keep the rest until `want` bytes are there."""
        if source is self._kept:
            del self._kept[:used]
        elif used < len(source):
            self._kept += memoryview(source)[used:]
        self._want = want
