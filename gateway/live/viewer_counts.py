"""Viewer counts pushed: to the stream's page as server-sent events, and to whoever else is told of changes.

Each second the counts of the streams somebody wants to know of are read, all in one question.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from bus_schemas.viewers import Protocol
from gateway.live.sessions import Sessions

READ_S: Final = 1.0
WATCHERS_A_SECOND: Final = 300
"""Pages of a stream that are told each second; with more of them each waits longer, at most `SLOWEST_S`."""
SLOWEST_S: Final = 5.0

Counts = dict[Protocol, int]


class ViewerCounts:
    """What is known of the streams that are followed; `run` keeps it up to date."""

    def __init__(self, sessions: Sessions) -> None:
        self.sources: list[Callable[[], set[str]]] = []
        """Who else wants counts, asked each second: streams by id."""
        self.on_change: list[Callable[[str, Counts], None]] = []
        """Told of each change of a followed stream, and of its first count unless that is none."""
        self.stopped = False
        self._sessions = sessions
        self._loop = asyncio.get_running_loop()
        self._watchers: Counter[str] = Counter()
        self._known: dict[str, Counts] = {}
        self._changed: dict[str, asyncio.Future[None]] = {}
        self._told: dict[str, float] = {}
        self._news: set[str] = set()
        """Streams whose pages are still to be told of a change."""

    @contextmanager
    def watch(self, stream: str) -> Iterator[None]:
        """Follow the stream meanwhile."""
        self._watchers[stream] += 1
        try:
            yield
        finally:
            self._watchers[stream] -= 1
            if not self._watchers[stream]:
                del self._watchers[stream]
                self._changed.pop(stream, None)
                self._told.pop(stream, None)

    async def next(self, stream: str, known: Counts | None, deadline_s: float) -> Counts | None:
        """The counts once they are others than `known`; after the deadline, or at the end, as they are."""
        try:
            async with asyncio.timeout(deadline_s):
                while not self.stopped and (stream not in self._known or self._known[stream] == known):
                    await asyncio.shield(self._changed.setdefault(stream, self._loop.create_future()))
        except TimeoutError:
            pass
        return self._known.get(stream)

    async def run(self) -> None:
        """Read and tell, for ever."""
        while True:
            await self._read()
            await asyncio.sleep(READ_S)

    def stop(self) -> None:
        """Let go of all who wait: this gateway goes."""
        self.stopped = True
        for stream in list(self._changed):
            self._wake(stream)

    async def _read(self) -> None:
        followed = set(self._watchers).union(*(source() for source in self.sources))
        counted = await self._sessions.counts_of(sorted(followed))
        before, self._known = self._known, counted
        now = self._loop.time()
        for stream, counts in counted.items():
            if before.get(stream) != counts:
                self._news.add(stream)
            if before.get(stream, {}) != counts:
                for callback in self.on_change:
                    callback(stream, counts)
        self._news &= counted.keys()
        for stream in list(self._news):
            waits = min(SLOWEST_S, self._watchers.get(stream, 0) / WATCHERS_A_SECOND)
            if now - self._told.get(stream, -SLOWEST_S) >= waits:
                self._news.discard(stream)
                if stream in self._watchers:
                    self._told[stream] = now
                self._wake(stream)

    def _wake(self, stream: str) -> None:
        if (changed := self._changed.pop(stream, None)) is not None and not changed.done():
            changed.set_result(None)
