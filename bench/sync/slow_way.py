"""A way to the stack that takes its time: a TCP relay that delays every piece, both directions, order kept."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_PIECE: Final = 65_536
_WAITING: Final = 64
"""Pieces on their way; more, and the sender waits as behind a full pipe."""


class _Relay:
    def __init__(self, host: str, port: int, rtt_ms: float, jitter_ms: float) -> None:
        self._to = (host, port)
        self._rtt_ms = rtt_ms
        self._jitter_ms = jitter_ms
        self._lot = random.Random(1)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._to)
        except OSError:
            writer.close()
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, back))
                group.create_task(self._carry(there, writer))
        except* (OSError, asyncio.IncompleteReadError):
            pass  # one side went: so does the other
        finally:
            back.close()
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_WAITING)

        async def deliver() -> None:
            while True:
                due, piece = await pieces.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                if not piece:
                    with contextlib.suppress(OSError, RuntimeError):
                        writer.write_eof()
                    return
                writer.write(piece)
                await writer.drain()

        async def take() -> None:
            piece = b"-"
            while piece:
                piece = await reader.read(_PIECE)
                delay = (self._rtt_ms + self._lot.uniform(-self._jitter_ms, self._jitter_ms)) / 2_000
                await pieces.put((loop.time() + delay, piece))

        async with asyncio.TaskGroup() as group:
            group.create_task(deliver())
            group.create_task(take())


@asynccontextmanager
async def slow_way(base: str, rtt_ms: float, jitter_ms: float) -> AsyncIterator[str]:
    """An address that leads to `base` (http://host:port) over so long a way."""
    host, _, port = base.removeprefix("http://").rpartition(":")
    relay = _Relay(host, int(port), rtt_ms, jitter_ms)
    server = await asyncio.start_server(relay.accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
