"""Work done one after the other: a connection's commands, its chat, a room's changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from runtime.tasks import Tasks

LANE_MAX: Final = 64

Work = Callable[[], Awaitable[None]]


class Lane:
    """A bounded queue that has a task only while there is something in it."""

    __slots__ = ("_busy", "_limit", "_name", "_tasks", "_waiting")

    def __init__(self, tasks: Tasks, name: str, limit: int = LANE_MAX) -> None:
        self._tasks = tasks
        self._name = name
        self._limit = limit
        self._waiting: deque[Work] = deque()
        self._busy = False

    def offer(self, work: Work) -> bool:
        """Do it after what came before; False, and not done, if too much waits already."""
        if len(self._waiting) >= self._limit:
            return False
        self._waiting.append(work)
        if not self._busy:
            self._busy = True
            self._tasks.spawn(self._name, self._run())
        return True

    def clear(self) -> None:
        """Forget what has not begun."""
        self._waiting.clear()

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._waiting.popleft()()
        finally:
            self._busy = False
