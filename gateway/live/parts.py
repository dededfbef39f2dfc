"""The live side of a gateway: what its handlers share, built at start, ended with the application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from gateway.live.admission import Admission
from gateway.live.audience import TELL_S, SharedCounts, ViewersPerAddress
from gateway.live.rendition import Renditions
from gateway.live.source import LiveSources
from gateway.live.status import consume_status
from gateway.live.stream_keys import repair_keys
from gateway.services import SERVICES, Services


@dataclass(frozen=True, slots=True)
class Live:
    """The parts by name."""

    admission: Admission
    sources: LiveSources
    renditions: Renditions
    counts: SharedCounts
    viewers_per_address: ViewersPerAddress

    def viewers_here(self, stream: str) -> int:
        """Viewers of a stream at this gateway, over all protocols."""
        return self.sources.viewers(stream) + self.renditions.viewers(stream)


LIVE: Final = web.AppKey("live", Live)


def build(services: Services) -> Live:
    """The parts, idle: they pull what somebody asks for."""
    ctx = services.ctx
    limits = ctx.settings.limits
    return Live(
        admission=Admission(services),
        sources=LiveSources(ctx.bus, ctx.tasks, ctx.settings.live, ctx.metrics),
        renditions=Renditions(ctx.bus, ctx.tasks, ctx.metrics),
        counts=SharedCounts(services.redis, ctx.node),
        viewers_per_address=ViewersPerAddress(limits.viewers_per_address if limits.enabled else 0),
    )


async def live_parts(app: web.Application) -> AsyncIterator[None]:
    """Cleanup context: the long-lived work around the parts."""
    services = app[SERVICES]
    live = app[LIVE]
    tasks = [
        services.ctx.tasks.spawn("live-status", consume_status(services), vital=True),
        services.ctx.tasks.spawn("stream-keys", repair_keys(services)),
        services.ctx.tasks.spawn("audience", _tell(live)),
    ]
    yield
    for task in tasks:
        task.cancel()


async def let_go(app: web.Application) -> None:
    """On shutdown: end what would keep the server waiting."""
    app[LIVE].sources.stop()
    app[LIVE].renditions.stop()


async def _tell(live: Live) -> None:
    while True:
        await asyncio.sleep(TELL_S)
        streams = live.sources.streams() | live.renditions.streams()
        await live.counts.tell({stream: live.viewers_here(stream) for stream in streams})
