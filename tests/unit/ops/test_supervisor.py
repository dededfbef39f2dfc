"""The watch of the supervisor. It needs a loop, but no clock and no network."""

import asyncio
from pathlib import Path

import pytest

from ops.supervisor import Ready, Supervisor, UpOptions
from runtime.settings import Settings


async def announce(_: Ready) -> None:
    """Nobody listens."""


@pytest.mark.parametrize("turns", range(6))
async def test_the_watch_ends_when_told_to_in_whatever_moment(tmp_path: Path, turns: int) -> None:
    """Also where a child ended in that very moment: a timeout of Python 3.11 must not swallow it."""
    supervisor = Supervisor(Settings(), UpOptions(tmp_path, {}), announce)
    watching = supervisor._tasks.spawn("watch", supervisor._watch())
    for _ in range(6):
        await asyncio.sleep(0)

    supervisor._wake.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    watching.cancel()
    for _ in range(6):
        await asyncio.sleep(0)
    ended = watching.done()
    watching.cancel()

    assert ended
