"""E-AC-3 frames of fewer than six blocks, joined to access units of six. Sans-I/O.

An encoder at more than about a megabit a second sends frames of one, two or three blocks. A sample of an ISO
file holds six (ETSI TS 102 366, F.6), and so does what every reader here is given.
"""

from __future__ import annotations

from typing import Final

from media import ac3

UNIT_BLOCKS: Final = 6


class Syncframes:
    """The frames of one publisher, in their order."""

    def __init__(self) -> None:
        self.dropped = 0
        """Frames of a unit that did not come out at six blocks."""
        self._waiting: list[bytes] = []
        self._blocks = 0

    def take(self, frame: bytes) -> tuple[bytes, int] | None:
        """A complete access unit, and how many samples of it came before this frame; None while it is not complete.

        What cannot be read goes through alone.
        """
        blocks = ac3.unit_blocks(frame)
        if not self._waiting and blocks in (0, UNIT_BLOCKS):
            return frame, 0
        before = self._blocks
        if not 0 < before + blocks <= UNIT_BLOCKS or not blocks:
            self.dropped += len(self._waiting)
            self._waiting.clear()
            self._blocks = 0
            return self.take(frame)
        self._waiting.append(frame)
        self._blocks += blocks
        if self._blocks < UNIT_BLOCKS:
            return None
        unit = b"".join(self._waiting)
        self._waiting.clear()
        self._blocks = 0
        return unit, before * ac3.BLOCK_SAMPLES
