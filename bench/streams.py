"""Many publishers, each watched over FLV and LL-HLS: CPU of everything, and not one gap."""

from __future__ import annotations

import asyncio
from typing import Final

from bench.hls import HlsPuller
from bench.picture import make_loop
from bench.rtmp import RtmpClient
from bench.stack import Stack, spent
from bench.tables import Table, percentile
from bench.viewers import FlvViewer, Watcher

_SETTLE_S: Final = 5.0
_PIPELINE: Final = ("ingest", "nats", "transmux")
"""Who carries a stream, watched or not."""


async def run(stack: Stack, *, publishers: int = 20, kbps: int = 2_000, seconds: float = 60.0) -> Table:
    """Publish, watch, and count for `seconds`."""
    loop = make_loop(kbps)
    made = await stack.streams(publishers)
    until = asyncio.Event()
    clients = [RtmpClient(rtmp) for _, rtmp in made]
    flvs = [FlvViewer(f"{stack.http}/live/{stream}.flv", loop.frame_ms) for stream, _ in made]
    hlss = [HlsPuller(f"{stack.http}/live/{stream}/source/index.m3u8") for stream, _ in made]
    watchers: list[Watcher] = [*flvs, *hlss]
    async with asyncio.TaskGroup() as group:
        publishing = []
        for client in clients:
            publishing.append(group.create_task(client.publish(loop, 3_600)))
            await asyncio.sleep(loop.duration_ms / 1_000 / publishers / 4)
        await asyncio.sleep(_SETTLE_S)
        watching = [group.create_task(viewer.run(stack.session, until)) for viewer in watchers]
        await asyncio.sleep(_SETTLE_S)
        before = stack.sample()
        await asyncio.sleep(seconds)
        after = stack.sample()
        until.set()
        await asyncio.wait(watching, timeout=10)
        for task in publishing:
            task.cancel()
    cpu = spent(before, after)
    table = Table(
        f"{publishers} publishers × {loop.bitrate / 1e6:.2f} Mbit/s, each with an FLV viewer and an LL-HLS puller",
        ("process", f"CPU s per {seconds:g} s", "share of a core", "memory MB"),
    )
    edges = [edge for puller in hlss for edge in puller.edge_ms]
    tags = [latency for viewer in flvs for latency in viewer.latencies_ms]
    gaps = [f"{viewer.url.rpartition('/live/')[2]}: {gap}" for viewer in watchers for gap in viewer.gaps]
    table.conditions += [
        f"gaps in {seconds:g} s: {len(gaps)}; parts fetched: {sum(puller.parts for puller in hlss)}",
        f"FLV tag latency p50 {percentile(tags, 0.5):.1f}, p99 {percentile(tags, 0.99):.1f} ms; "
        f"LL-HLS edge p50 {percentile(edges, 0.5):.0f}, p95 {percentile(edges, 0.95):.0f} ms",
        f"{' + '.join(_PIPELINE)}: {sum(cpu[kind] for kind in _PIPELINE) * 20 / seconds:.1f} s of CPU per 20 s",
        f"publishers at most {max(client.late_ms for client in clients):.0f} ms late; load made on the same cores",
    ]
    for kind in sorted(cpu):
        table.add(kind, cpu[kind], cpu[kind] / seconds, after.rss[kind] / 1e6)
    table.add("all", sum(cpu.values()), sum(cpu.values()) / seconds, sum(after.rss.values()) / 1e6)
    if gaps:
        table.failures.append(f"{len(gaps)} gaps: {gaps[:5]}")
    return table
