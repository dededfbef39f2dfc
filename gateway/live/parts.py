"""The live side of a gateway: what its handlers share, built at start, ended with the application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from gateway.live.admission import Admission
from gateway.live.anchors import Anchors
from gateway.live.audience import ViewersPerAddress
from gateway.live.play_requests import answer_plays
from gateway.live.rendition import Renditions
from gateway.live.rights import PlayRights
from gateway.live.sessions import Sessions
from gateway.live.source import LiveSources
from gateway.live.status import consume_status
from gateway.live.stream_keys import repair_keys
from gateway.live.viewer_counts import ViewerCounts
from gateway.services import SERVICES, Services
from runtime.hooks import Hooks


@dataclass(frozen=True, slots=True)
class Live:
    """The parts by name."""

    admission: Admission
    sources: LiveSources
    renditions: Renditions
    anchors: Anchors
    sessions: Sessions
    rights: PlayRights
    viewer_counts: ViewerCounts
    pages_per_address: ViewersPerAddress
    """Open `/live/{stream}/events`."""
    hooks: Hooks


LIVE: Final = web.AppKey("live", Live)


def build(services: Services) -> Live:
    """The parts, idle: they pull what somebody asks for."""
    ctx = services.ctx
    limits = ctx.settings.limits
    hooks = Hooks(ctx.settings.hooks, ctx.node, ctx.tasks, ctx.metrics)
    sessions = Sessions(services, hooks)
    admission = Admission(services, sessions)
    return Live(
        admission=admission,
        sources=LiveSources(ctx.bus, ctx.tasks, ctx.settings.live, ctx.metrics),
        renditions=Renditions(ctx.bus, ctx.tasks, ctx.metrics),
        anchors=Anchors(services.redis),
        sessions=sessions,
        rights=PlayRights(services, admission, sessions),
        viewer_counts=ViewerCounts(sessions),
        pages_per_address=ViewersPerAddress(limits.viewers_per_address if limits.enabled else 0),
        hooks=hooks,
    )


async def live_parts(app: web.Application) -> AsyncIterator[None]:
    """Cleanup context: the long-lived work around the parts."""
    services = app[SERVICES]
    live = app[LIVE]
    tasks = [
        services.ctx.tasks.spawn("live-status", consume_status(services), vital=True),
        services.ctx.tasks.spawn("stream-keys", repair_keys(services)),
        services.ctx.tasks.spawn("viewer-sessions", live.sessions.run(), vital=True),
        services.ctx.tasks.spawn("viewer-counts", live.viewer_counts.run(), vital=True),
        services.ctx.tasks.spawn("play-rights", live.rights.run(), vital=True),
    ]
    heard = [
        await answer_plays(services.ctx.bus, services.ctx.tasks, live.admission, live.sessions, live.rights),
        await live.rights.listen(services.ctx.bus),
    ]
    yield
    if not services.ctx.bus.nc.is_closed:
        for subscription in heard:
            await subscription.unsubscribe()
    for task in tasks:
        task.cancel()
    await live.sessions.close()
    await live.hooks.close()


async def let_go(app: web.Application) -> None:
    """On shutdown: end what would keep the server waiting."""
    app[LIVE].sources.stop()
    app[LIVE].renditions.stop()
    app[LIVE].viewer_counts.stop()
