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

from bench.viewers import CountingViewer
from runtime.lifecycle import raise_file_limit

PER_PROCESS: Final = 1_500
_CONNECTING_AT_ONCE: Final = 50
_DEADLINE_S: Final = 90.0


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
    _processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start(self) -> None:
        """Connect them all."""
        for at in range(0, self.viewers, PER_PROCESS):
            number = str(min(PER_PROCESS, self.viewers - at))
            self._processes.append(
                await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "bench.crowd",
                    self.url,
                    number,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    limit=1 << 20,
                )
            )
        for process in self._processes:
            await self._line(process)

    async def count(self) -> Count:
        """Bytes of each viewer, and who was closed."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(b"count\n")
        received: list[int] = []
        closed: list[str] = []
        for process in self._processes:
            told = json.loads(await self._line(process))
            received += told["received"]
            closed += told["closed"]
        return Count(received, closed)

    async def stop(self) -> None:
        """Go; without the input a crowd ends."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
            await asyncio.wait_for(process.wait(), 20)

    @staticmethod
    async def _line(process: asyncio.subprocess.Process) -> bytes:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), _DEADLINE_S)
        if not line:
            raise RuntimeError("a crowd of viewers ended")
        return line


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
