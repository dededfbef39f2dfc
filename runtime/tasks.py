"""Supervised tasks: none is forgotten, none dies unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from runtime.logs import get_logger
from runtime.metrics import Metrics

log = get_logger("tasks")
T = TypeVar("T")


class Tasks:
    """The tasks of one owner: held, named, logged when they fail, cancelled together.

    `on_failure` is told of a task spawned as `vital` that ended by an error: the process cannot go
    on without it, so `lifecycle` stops it and its supervisor starts another.
    """

    def __init__(
        self, metrics: Metrics, on_failure: Callable[[str, BaseException], None] | None = None
    ) -> None:
        self._metrics = metrics
        self._on_failure = on_failure
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, name: str, work: Coroutine[Any, Any, T], *, vital: bool = False) -> asyncio.Task[T]:
        """Run `work` until it ends; its error is logged and counted."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(lambda done: self._ended(done, vital))
        return task

    def _ended(self, task: asyncio.Task[Any], vital: bool) -> None:
        self._running.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        name = task.get_name()
        self._metrics.counter("matinee_tasks_failed_total").labels(name.partition(":")[0]).inc()
        log.error("task failed", task=name, vital=vital, exc_info=error)
        if vital and self._on_failure is not None:
            self._on_failure(name, error)

    async def cancel(self, deadline_s: float = 5.0) -> None:
        """Cancel all and wait for them, at most `deadline_s`."""
        running = [task for task in self._running if task is not asyncio.current_task()]
        for task in running:
            task.cancel()
        if running:
            _, left = await asyncio.wait(running, timeout=deadline_s)
            for task in left:
                log.error("task does not stop", task=task.get_name())

    def __len__(self) -> int:
        return len(self._running)
