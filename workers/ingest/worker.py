"""Ingest worker: RTMP publishers in, media tags on the bus out; and RTMP players."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from runtime.clock import now_ms
from runtime.hooks import Hooks
from runtime.lifecycle import Context
from runtime.logs import get_logger
from runtime.series import StreamSeries
from workers.ingest.acknowledgements import Acknowledgements
from workers.ingest.broadcast import Broadcasts
from workers.ingest.missing_jobs import MissingJobs
from workers.ingest.orders import Orders
from workers.ingest.pacer import Pacer
from workers.ingest.player import PlayerSurroundings
from workers.ingest.publication import Surroundings
from workers.ingest.publish_hooks import PublishHooks
from workers.ingest.registry import Registry
from workers.ingest.server import Connections
from workers.ingest.tls import HANDSHAKE_S, Certificate

log = get_logger("ingest")

VIEWER_SERIES: Final = ("matinee_stream_viewers",)
SERIES: Final = ("matinee_stream_bitrate_bps", "matinee_stream_fps", "matinee_stream_gaps")
SHOW_S: Final = 1.0
RECONNECT_S: Final = 3.0
"""How long a stopping worker serves those whom it asked to connect again."""


@asynccontextmanager
async def make_app(context: Context) -> AsyncIterator[None]:
    """Listen for publishers; leaving it closes them without ending their streams."""
    bus, settings = context.bus, context.settings.ingest
    registry = Registry(bus, context.node, settings.on_conflict_limit, now_ms)
    acknowledgements = Acknowledgements(bus)
    await acknowledgements.listen()
    hooks = Hooks(context.settings.hooks, context.node, context.tasks, context.metrics)
    pacer = Pacer()
    context.tasks.spawn("pacer", pacer.run())
    around = Surroundings(
        bus,
        registry,
        acknowledgements,
        pacer,
        context.tasks,
        context.metrics,
        context.node,
        settings.statistics_s,
        PublishHooks(hooks),
    )
    broadcasts = Broadcasts(bus, context.tasks, context.settings.live, context.metrics)
    hooks_s = hooks.timeout_s if hooks.asks("on_play") else 0.0
    players = PlayerSurroundings(bus, context.tasks, context.metrics, broadcasts, hooks_s)
    connections = Connections(around, players, settings, limits=context.settings.limits.enabled)

    series = StreamSeries(context.metrics, context.settings.metrics.streams, SERIES)
    viewers = StreamSeries(context.metrics, context.settings.metrics.streams, VIEWER_SERIES)
    context.tasks.spawn("stream-series", _show_series(connections, series, viewers))
    context.tasks.spawn("missing-jobs", MissingJobs(bus).run())
    await Orders(bus, registry, connections).listen()
    servers = await _listen(context, connections)
    try:
        yield
    finally:
        for server in servers:
            server.close()
        broadcasts.stop()
        await connections.drain(min(RECONNECT_S, context.settings.drain_s / 2))
        await hooks.close()


async def _listen(context: Context, connections: Connections) -> list[asyncio.Server]:
    """The RTMP port and, where there is a certificate, the RTMPS port; both shared (SO_REUSEPORT)."""
    loop, settings = asyncio.get_running_loop(), context.settings.ingest
    servers = [
        await loop.create_server(connections, settings.host, settings.rtmp_port, reuse_port=True),
    ]
    if settings.tls_certificate:
        certificate = Certificate(settings.tls_certificate, settings.tls_key)
        context.tasks.spawn("certificate", certificate.follow())
        servers.append(
            await loop.create_server(
                connections,
                settings.host,
                settings.rtmps_port,
                reuse_port=True,
                ssl=certificate.context,
                ssl_handshake_timeout=HANDSHAKE_S,
            )
        )
    for name, server in zip(("rtmp", "rtmps"), servers, strict=False):
        host, port = server.sockets[0].getsockname()[:2]
        context.addresses[name] = f"{host}:{port}"
    return servers


async def _show_series(connections: Connections, series: StreamSeries, viewers: StreamSeries) -> None:
    """Bring the series of the streams published and played here up to date, for ever."""
    while True:
        rows = {}
        for publisher in connections.publishers():
            publication = publisher.publication
            measured = publication.measured if publication is not None else None
            if measured is not None:
                seconds = max(measured.interval_ms, 1) / 1_000
                rows[measured.stream] = (
                    measured.bytes * 8 / seconds,
                    measured.video_frames / seconds,
                    float(measured.gaps),
                )
        series.show(rows)
        playing = Counter(link.player.stream for link in connections.open if link.player.playing)
        viewers.show({stream: (float(count),) for stream, count in playing.items()})
        await asyncio.sleep(SHOW_S)
