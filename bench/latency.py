"""How far behind the publisher: FLV tags with few viewers, first key frame of a joiner, LL-HLS edge."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from bench.hls import HlsPuller
from bench.picture import make_loop
from bench.rtmp import RtmpClient
from bench.stack import Stack
from bench.tables import Table, percentile
from bench.viewers import FIRST_TAGS, FlvViewer

JOIN_MS: Final = 200.0
_GOP_S: Final = 4.0


async def run(
    stack: Stack, *, viewers: int = 10, joins: int = 40, kbps: int = 2_000, seconds: float = 20.0
) -> Table:
    """Measure FLV and LL-HLS at once, then joins at random moments of a 4 s GOP."""
    loop = make_loop(kbps, gop_s=_GOP_S)
    ((stream, rtmp),) = await stack.streams(1)
    flv, hls = f"{stack.http}/live/{stream}.flv", f"{stack.http}/live/{stream}/source/index.m3u8"
    started, until = asyncio.Event(), asyncio.Event()
    watchers = [FlvViewer(flv, loop.frame_ms) for _ in range(viewers)]
    puller = HlsPuller(hls)
    joiners: list[FlvViewer] = []
    publisher = RtmpClient(rtmp)
    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(publisher.publish(loop, 600, started=started))
        async with asyncio.timeout(15):
            await started.wait()
        await asyncio.sleep(_GOP_S)
        watching = [group.create_task(viewer.run(stack.session, until)) for viewer in watchers]
        watching.append(group.create_task(puller.run(stack.session, until)))
        await asyncio.sleep(seconds)
        for _ in range(joins):
            joiner, enough = FlvViewer(flv, loop.frame_ms), asyncio.Event()
            joiners.append(joiner)
            joining = group.create_task(joiner.run(stack.session, enough))
            await asyncio.sleep(0.4 + random.random() * 0.2)
            enough.set()
            await joining
        until.set()
        await asyncio.wait(watching, timeout=5)
        publishing.cancel()
    table = Table("Latency behind the publisher", ("what", "p50 ms", "p95 ms", "p99 ms", "samples"))
    table.conditions += [
        f"one stream of {loop.bitrate / 1e6:.2f} Mbit/s, {loop.fps} fps, GOP {_GOP_S:g} s",
        f"{viewers} FLV viewers, one LL-HLS puller",
        "each video frame carries its time of sending (SEI); the publisher was at most "
        f"{publisher.late_ms:.0f} ms late with a frame",
    ]
    tags = [latency for viewer in watchers for latency in viewer.latencies_ms]
    keys = [joiner.first_key_s * 1_000 for joiner in joiners if joiner.first_key_s is not None]
    for name, values in (
        ("FLV tag, send → receive", tags),
        ("FLV join → first key frame", keys),
        ("LL-HLS part fetched, newest frame's age", puller.edge_ms),
    ):
        table.add(
            name, percentile(values, 0.5), percentile(values, 0.95), percentile(values, 0.99), len(values)
        )
    gaps = [gap for viewer in (*watchers, *joiners) for gap in viewer.gaps] + puller.gaps
    if gaps:
        table.failures.append(f"gaps: {gaps[:4]}")
    orders = {
        tuple(tag for tag in joiner.first_tags if tag != "audio")[: len(FIRST_TAGS)] for joiner in joiners
    }
    if orders != {tuple(FIRST_TAGS)}:
        table.failures.append(f"first tags of joiners: {sorted(orders)}")
    if percentile(keys, 0.95) > JOIN_MS:
        table.failures.append(f"first key frame p95 {percentile(keys, 0.95):.0f} ms")
    if len(keys) < joins:
        table.failures.append(f"{joins - len(keys)} joiners saw no key frame within 0.4 s")
    return table
