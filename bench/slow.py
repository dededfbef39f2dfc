"""One viewer throttled to a tenth among healthy ones, and thousands of names nobody has: memory, and who suffers."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from bench.picture import make_loop
from bench.rtmp import RtmpClient
from bench.stack import Stack
from bench.tables import Table
from bench.viewers import FlvViewer

GROWTH_MAX: Final = 20e6
"""Bytes the gateway may grow by while somebody reads slowly."""
NAMES_GROWTH_MAX: Final = 5e6
"""The same over thousands of requests for names nobody has."""
_SETTLE_S: Final = 8.0
_SHARE: Final = 0.1
_TICK_S: Final = 0.1
_NAMES_AT_ONCE: Final = 20


async def read_slowly(url: str, bytes_per_s: float, until: asyncio.Event) -> int:
    """Take so many bytes a second from a small receive buffer; gives how many came until it was closed."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    taken = 0
    with socket.socket() as narrow:
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
        narrow.setblocking(False)
        await loop.sock_connect(narrow, (parts.hostname or "127.0.0.1", parts.port or 80))
        await loop.sock_sendall(narrow, f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        while not until.is_set():
            with contextlib.suppress(ConnectionError):
                data = await loop.sock_recv(narrow, int(bytes_per_s * _TICK_S))
                taken += len(data)
                if data:
                    await asyncio.sleep(_TICK_S)
                    continue
            break
    return taken


async def ask_for_nothing(session: aiohttp.ClientSession, http: str, requests: int) -> list[int]:
    """Ask for so many streams that do not exist; gives the statuses there were."""
    statuses: set[int] = set()

    async def some(number: int) -> None:
        for turn in range(number):
            name = secrets.token_hex(8)
            path = (f"{name}.flv", f"{name}/index.m3u8", f"{name}/source/index.m3u8")[turn % 3]
            async with session.get(f"{http}/live/{path}") as response:
                statuses.add(response.status)
                await response.read()

    await asyncio.gather(*(some(requests // _NAMES_AT_ONCE) for _ in range(_NAMES_AT_ONCE)))
    return sorted(statuses)


async def run(
    stack: Stack, *, viewers: int = 50, kbps: int = 2_000, names: int = 10_000, seconds: float = 300.0
) -> Table:
    """Watch the first gateway's memory while one of its viewers reads a tenth of what he is sent."""
    loop = make_loop(kbps)
    ((stream, rtmp),) = await stack.streams(1)
    base = str(stack.ready["gateways"][0]["http"]).rstrip("/")
    url = f"{base}/live/{stream}.flv"
    until = asyncio.Event()
    healthy = [FlvViewer(url, loop.frame_ms) for _ in range(viewers)]
    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(RtmpClient(rtmp).publish(loop, 36_000))
        await asyncio.sleep(2)
        watching = [group.create_task(viewer.run(stack.session, until)) for viewer in healthy]
        await asyncio.sleep(_SETTLE_S)
        nothing = await ask_for_nothing(stack.session, base, names // 10)
        named = stack.sample().rss["gateway"]
        nothing = sorted({*nothing, *await ask_for_nothing(stack.session, base, names)})
        named = stack.sample().rss["gateway"] - named
        # The ring fills first: it is the stream's, not the slow viewer's.
        await asyncio.sleep(min(35.0, seconds))
        before = stack.sample()
        slow = group.create_task(read_slowly(url, loop.bitrate / 8 * _SHARE, until))
        began, most = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            await asyncio.sleep(1)
            most = max(most, stack.sample().rss["gateway"])
        after = stack.sample()
        until.set()
        await asyncio.wait([*watching, slow], timeout=10)
        publishing.cancel()
    grown = most - before.rss["gateway"]
    gaps = [gap for viewer in healthy for gap in viewer.gaps]
    table = Table(
        f"One viewer at a tenth of {loop.bitrate / 1e6:.2f} Mbit/s among {viewers} healthy ones, {seconds:g} s",
        ("what", "value"),
    )
    table.add("gateway memory before, MB", before.rss["gateway"] / 1e6)
    table.add("gateway memory after, MB", after.rss["gateway"] / 1e6)
    table.add("grown by at most, MB", grown / 1e6)
    table.add("gaps of the healthy", len(gaps))
    table.add("bytes the slow one took, of what was sent", slow.result() / (loop.bitrate / 8 * seconds))
    table.add(f"grown over {names} requests for names nobody has, MB", named / 1e6)
    if grown > GROWTH_MAX:
        table.failures.append(f"the gateway grew by {grown / 1e6:.1f} MB")
    if gaps:
        table.failures.append(f"{len(gaps)} gaps: {gaps[:4]}")
    if nothing != [404]:
        table.failures.append(f"names nobody has were answered with {nothing}")
    if named > NAMES_GROWTH_MAX:
        table.failures.append(f"names nobody has took {named / 1e6:.1f} MB")
    return table
