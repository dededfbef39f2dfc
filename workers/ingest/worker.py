"""Ingest worker: RTMP publishers in, media tags on the bus out; and RTMP players."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from nats.aio.msg import Msg
from pydantic import ValidationError

from bus_schemas.messages.live import PlayRightsChanged, PublisherHeard, StreamControl, StreamLimits
from bus_schemas.streams import PUBLISHERS
from bus_schemas.subjects import LIVE_CONTROL, LIVE_RIGHTS
from runtime.bus import Bus
from runtime.clock import now_ms
from runtime.hooks import Hooks
from runtime.lifecycle import Context
from runtime.logs import get_logger
from runtime.series import StreamSeries
from workers.ingest.acknowledgements import Acknowledgements
from workers.ingest.broadcast import Broadcasts
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

    async def on_control(message: Msg) -> None:
        try:
            order = StreamControl.model_validate_json(message.data)
        except ValidationError as error:
            log.warning("an order does not parse", subject=message.subject, error=str(error))
            return
        publisher = connections.by_stream(order.stream)
        if publisher is not None and order.action == "probe":
            heard = PublisherHeard(stream=order.stream, silent_ms=publisher.silent_ms)
            await message.respond(heard.model_dump_json().encode())
        elif publisher is not None and order.action == "limit":
            publisher.limit(order.limits or StreamLimits())
            if publisher.publication is not None:
                # The newest word on limits counts, a hook's or that of who runs the stream.
                await registry.limit_viewers(publisher.publication.claim, None)
        elif publisher is not None and order.action == "kick":
            log.info("kicked", stream=order.stream, reason=order.reason)
            publisher.kick(order.reason)

    async def on_claim(message: Msg) -> None:
        # Anybody's write to the bucket; only the bucket itself says who holds the stream now.
        publisher = connections.by_stream(message.subject.rsplit(".", 1)[1])
        publication = publisher.publication if publisher is not None else None
        if publication is not None and publication.claim.value.connection.encode() not in message.data:
            await publication.check_claim()

    async def on_reconnect() -> None:
        publications = [p.publication for p in connections.publishers() if p.publication is not None]
        for publication in publications:
            publication.reconnected()
        for publication in publications:
            await publication.check_claim()

    series = StreamSeries(context.metrics, context.settings.metrics.streams, SERIES)
    viewers = StreamSeries(context.metrics, context.settings.metrics.streams, VIEWER_SERIES)
    context.tasks.spawn("stream-series", _show_series(connections, series, viewers))
    await bus.nc.subscribe(LIVE_CONTROL.pattern, cb=on_control)
    await bus.nc.subscribe(f"$KV.{PUBLISHERS.name}.*", cb=on_claim)
    await _follow_rights(bus, connections)
    bus.on_reconnect.append(on_reconnect)
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


async def _follow_rights(bus: Bus, connections: Connections) -> None:
    """Let players ask again when who may play has changed."""

    async def on_rights(message: Msg) -> None:
        try:
            changed = PlayRightsChanged.model_validate_json(message.data)
        except ValidationError as error:
            log.warning("a change of rights does not parse", error=str(error))
            return
        for link in list(connections.open):
            link.player.rights_changed(changed)

    await bus.nc.subscribe(LIVE_RIGHTS.pattern, cb=on_rights)


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
