"""Processes that make a load beside the measuring one: a line goes in, a line of JSON comes out."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from typing import Any, Final

_DEADLINE_S: Final = 90.0
_END_S: Final = 20.0
_LINE_MAX: Final = 32 << 20


@dataclass
class Children:
    """Processes of one module of ours. Each ends with its standard input."""

    module: str
    _processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """One more."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self.module,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_MAX,
        )
        self._processes.append(process)
        return process

    def tell(self, line: str) -> None:
        """Give all of them a line."""
        for process in self._processes:
            tell(process, line)

    async def answers(self) -> list[Any]:
        """The next line of each, as JSON; raises RuntimeError when one has ended."""
        return [json.loads(await self._line(process)) for process in self._processes]

    async def stop(self) -> None:
        """End all."""
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()
        for process in self._processes:
            async with asyncio.timeout(_END_S):
                await process.wait()
        self._processes.clear()

    async def _line(self, process: asyncio.subprocess.Process) -> bytes:
        assert process.stdout is not None
        async with asyncio.timeout(_DEADLINE_S):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process of {self.module} ended")
        return line


def tell(process: asyncio.subprocess.Process, line: str) -> None:
    """Give one process a line."""
    assert process.stdin is not None
    process.stdin.write(line.encode() + b"\n")
