"""One stream to many FLV viewers: CPU of the gateway, who was slow, who was closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp

from bench.crowd import Crowd
from bench.picture import make_loop
from bench.rtmp import RtmpClient
from bench.stack import Sample, Stack, spent
from bench.tables import Table, percentile
from bench.viewers import FlvViewer

_SETTLE_S: Final = 4.0
_SLOW_SHARE: Final = 0.9
"""A viewer who got less than this share of the median is called slow."""


async def run(stack: Stack, *, viewers: int = 500, kbps: int = 2_000, seconds: float = 10.0) -> Table:
    """Measure Matinee: all viewers on the first gateway."""
    ((stream, rtmp),) = await stack.streams(1)
    gateway = stack.ready["gateways"][0]
    url = f"{str(gateway['http']).rstrip('/')}/live/{stream}.flv"
    return await measure(
        "Matinee", rtmp, url, stack.sample, stack.session, viewers=viewers, kbps=kbps, seconds=seconds
    )


async def measure(
    name: str,
    publish_url: str,
    view_url: str,
    sample: Callable[[], Sample],
    session: aiohttp.ClientSession,
    *,
    viewers: int,
    kbps: int,
    seconds: float,
) -> Table:
    """Publish to any server, let `viewers` count bytes from its HTTP-FLV, look at its processes for `seconds`."""
    loop = make_loop(kbps)
    started = asyncio.Event()
    publisher = RtmpClient(publish_url)
    table = Table(
        f"{name}, HTTP-FLV fan-out: {viewers} viewers × {loop.bitrate / 1e6:.2f} Mbit/s",
        ("process", f"CPU s per {seconds:g} s", "memory MB"),
    )
    crowd = Crowd(view_url, viewers)
    watcher = FlvViewer(view_url, loop.frame_ms, settle_s=_SETTLE_S)
    until = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(publisher.publish(loop, 600, started=started))
        async with asyncio.timeout(15):
            await started.wait()
        await asyncio.sleep(1)
        await crowd.start()
        watching = group.create_task(watcher.run(session, until))
        await asyncio.sleep(_SETTLE_S)
        before, counted = sample(), await crowd.count()
        await asyncio.sleep(seconds)
        after, counts = sample(), await crowd.count()
        received = [now - start for now, start in zip(counts.received, counted.received, strict=True)]
        closed = counts.closed
        until.set()
        await crowd.stop()
        await asyncio.wait([watching], timeout=5)
        publishing.cancel()
    median = percentile(received, 0.5)
    slow = sum(1 for count in received if count < median * _SLOW_SHARE)
    latencies = watcher.latencies_ms
    table.conditions += [
        f"{viewers} viewers received {median * 8 / seconds / 1e6:.2f} Mbit/s each (median)",
        f"slow: {slow}, closed: {len(closed)}",
        f"tag latency among them: p50 {percentile(latencies, 0.5):.1f} ms, p99 {percentile(latencies, 0.99):.1f} ms "
        f"({len(latencies)} frames of one viewer more)",
        "load made on the same cores, by processes of its own",
    ]
    for kind, cpu in sorted(spent(before, after).items()):
        table.add(kind, cpu, after.rss[kind] / 1e6)
    if slow or closed or median * 8 / seconds < loop.bitrate * _SLOW_SHARE:
        table.failures.append(
            f"{slow} slow, {len(closed)} closed {closed[:2]}, median {median * 8 / seconds:.0f} bit/s"
        )
    return table
