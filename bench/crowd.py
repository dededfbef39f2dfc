"""Viewers that only count, in a process of their own, so that the load is not made in the measuring process.

`python -m bench.crowd URL NUMBER` prints a line once all are connected, then for each line on its standard
input one line of JSON: bytes received by each viewer, and why any was closed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from typing import Final

import uvloop

from bench.children import Children
from bench.viewers import CountingViewer
from runtime.lifecycle import raise_file_limit

PER_PROCESS: Final = 1_500
_CONNECTING_AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True)
class Count:
    """What a crowd has received so far."""

    received: list[int]
    closed: list[str]


@dataclass
class Crowd:
    """Many viewers of one address, spread over as few processes as carry them."""

    url: str
    viewers: int
    _processes: Children = field(default_factory=lambda: Children("bench.crowd"))

    async def start(self) -> None:
        """Connect them all."""
        for at in range(0, self.viewers, PER_PROCESS):
            await self._processes.start(self.url, str(min(PER_PROCESS, self.viewers - at)))
        await self._processes.answers()

    async def count(self) -> Count:
        """Bytes of each viewer, and who was closed."""
        self._processes.tell("count")
        received: list[int] = []
        closed: list[str] = []
        for told in await self._processes.answers():
            received += told["received"]
            closed += told["closed"]
        return Count(received, closed)

    async def stop(self) -> None:
        """Go; without the input a crowd ends."""
        await self._processes.stop()


async def _serve(url: str, number: int) -> None:
    viewers = [CountingViewer(url) for _ in range(number)]
    for at in range(0, number, _CONNECTING_AT_ONCE):
        await asyncio.gather(*(viewer.start() for viewer in viewers[at : at + _CONNECTING_AT_ONCE]))
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    _say({"connected": number})
    while await reader.readline():
        closed = [viewer.closed for viewer in viewers if viewer.closed]
        _say({"received": [viewer.bytes for viewer in viewers], "closed": closed})


def _say(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise_file_limit()
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2])))
