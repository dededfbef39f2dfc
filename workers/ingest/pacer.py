"""When tag messages go out: at once while few publish, together a hundred times a second while many do.

Each write to the bus wakes a process at both ends, and with fifty publishers those wake-ups cost more
than the media. So what all publications have ready in one turn goes out as one write, and the audio that
has waited for a video frame is looked after by the same turn instead of a timer for each stream.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from runtime.clock import now_us

TURN_S: Final = 0.01
"""The longest that a message waits for others."""
FEW: Final = 8
"""Up to so many publications nothing waits: their latency is worth more than their wake-ups."""


class Waiting(Protocol):
    """A publication as the pacer sees it."""

    def on_turn(self, now_us: int) -> None:
        """Give what has waited its time by now, µs since 1970; awaits nothing."""


class Ready(Protocol):
    """Somebody with messages to send."""

    async def send(self) -> None:
        """Put them on their way; waits at most where the connection takes no more. Raises nothing."""


class Pacer:
    """One for the process; `run` for as long as it serves."""

    def __init__(self) -> None:
        self._all: set[Waiting] = set()
        self._ready: list[Ready] = []
        self._wake = asyncio.Event()

    def add(self, publication: Waiting) -> None:
        """Give it turns from now on."""
        self._all.add(publication)
        self._wake.set()

    def remove(self, publication: Waiting) -> None:
        """No more turns."""
        self._all.discard(publication)

    def ready(self, sender: Ready) -> None:
        """It has messages; to be said once until they were sent."""
        self._ready.append(sender)
        if len(self._all) <= FEW:  # else the turn takes it
            self._wake.set()

    async def run(self) -> None:
        """Give turns, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            if self._all:
                turn = loop.call_later(TURN_S, self._wake.set)
                await self._wake.wait()
                turn.cancel()
            else:
                await self._wake.wait()
            self._wake.clear()
            now = now_us()
            for publication in tuple(self._all):
                publication.on_turn(now)
            ready, self._ready = self._ready, []
            for sender in ready:
                await sender.send()
