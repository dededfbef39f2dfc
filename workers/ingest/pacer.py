"""When media is read and tag messages go out: at once while few publish, in turns while many do.

Each packet of each publisher wakes this process, and each write to the bus one at both ends; with fifty publishers
the wake-ups, and the caches that are cold at each of them, cost more than the media. So from so many publications on
the process rests between turns: what came meanwhile is read in one go, what all have ready goes out as one write, and
the audio that has waited for a video frame is looked after by the same turn instead of a timer for each stream.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

from runtime.clock import now_us

TURNS: Final = ((32, 0.015), (8, 0.01))
"""Above so many publications, a turn each so many seconds: the longest that a message waits for others. Up to the
least of them nothing waits: their latency is worth more than their wake-ups."""
FEW: Final = TURNS[-1][0]
WATCH_S: Final = 0.01
"""How often audio that waits is looked at while few publish."""


def turn_s(publications: int) -> float:
    """The length of a turn, s; 0 where nothing waits for one."""
    return next((seconds for more_than, seconds in TURNS if publications > more_than), 0.0)


class Waiting(Protocol):
    """A publication as the pacer sees it."""

    def on_turn(self, now_us: int, next_us: int) -> None:
        """Give what has waited its time by the next turn, µs since 1970; awaits nothing."""


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
        began = time.monotonic()
        while True:
            turn = turn_s(len(self._all))
            if turn:
                await self._rest(began + turn)
                began = time.monotonic()
            else:
                await self._wait()
            self._wake.clear()
            now = now_us()
            following = now + int((turn or WATCH_S) * 1e6)
            for publication in tuple(self._all):
                publication.on_turn(now, following)
            ready, self._ready = self._ready, []
            for sender in ready:
                await sender.send()

    async def _wait(self) -> None:
        """Until somebody has something, or audio is to be looked at."""
        if not self._all:
            await self._wake.wait()
            return
        look = asyncio.get_running_loop().call_later(WATCH_S, self._wake.set)
        await self._wake.wait()
        look.cancel()

    async def _rest(self, until: float) -> None:
        """Stand still with the whole process, so that the sockets fill, then read them all.

        To wait for the loop instead would be to serve each packet as it comes.
        """
        await asyncio.sleep(0)  # what was sent in this turn is written first
        pause = until - time.monotonic()
        if pause > 0:
            time.sleep(pause)  # noqa: ASYNC251 - that is the point
        await asyncio.sleep(0)
