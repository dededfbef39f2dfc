"""Supervised tasks. They need a loop, but no clock and no network."""

import asyncio

import pytest

from runtime.metrics import Metrics
from runtime.tasks import Tasks


async def test_a_task_that_fails_is_counted_by_its_kind() -> None:
    """None dies unseen; the part of the name after a colon is not a label."""
    metrics = Metrics()
    tasks = Tasks(metrics)

    async def fail() -> None:
        raise RuntimeError("no")

    await asyncio.wait([tasks.spawn("room:abc", fail())])

    assert b'matinee_tasks_failed_total{task="room"} 1.0' in metrics.render()
    assert len(tasks) == 0


@pytest.mark.parametrize("vital", [True, False])
async def test_only_a_vital_task_stops_the_process(vital: bool) -> None:
    """The process is told of the failure it cannot live with."""
    told: list[str] = []
    tasks = Tasks(Metrics(), lambda name, error: told.append(f"{name}: {error}"))

    async def fail() -> None:
        raise RuntimeError("no")

    await asyncio.wait([tasks.spawn("pull", fail(), vital=vital)])
    await asyncio.sleep(0)

    assert told == (["pull: no"] if vital else [])


async def test_cancelling_waits_for_all() -> None:
    """Each gets to clean up, and none is left."""
    tasks = Tasks(Metrics())
    cleaned: list[int] = []

    async def wait(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(number)

    for number in range(3):
        tasks.spawn(f"wait:{number}", wait(number))
    await asyncio.sleep(0)

    await tasks.cancel()

    assert sorted(cleaned) == [0, 1, 2]
    assert len(tasks) == 0


async def test_a_task_gives_its_result() -> None:
    """`spawn` is no more than a task with an owner."""

    async def answer() -> int:
        return 42

    assert await Tasks(Metrics()).spawn("answer", answer()) == 42
