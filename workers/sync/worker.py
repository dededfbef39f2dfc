"""Sync worker: playback commands in, one agreed playback state a room out. Any worker serves any room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from bus_schemas.streams import SYNC_CONSUMER
from bus_schemas.subjects import ROOM_COMMAND
from runtime import postgres
from runtime.broker import BusBroker, consuming
from runtime.bus import Bus
from runtime.clock import now_ms
from runtime.emit import answer
from runtime.lifecycle import Context
from runtime.metrics import Metrics
from runtime.settings import SyncSettings
from workers.sync.commands import Commands
from workers.sync.playback import Lead
from workers.sync.store import BucketPresences, BucketRooms, PostgresPlaylists, ScheduledDeadlines


def make_broker(bus: Bus, metrics: Metrics, commands: Commands, settings: SyncSettings) -> BusBroker:
    """The worker's subscriptions."""
    broker = BusBroker(bus, metrics)
    broker.handle(ROOM_COMMAND, SYNC_CONSUMER, commands.on_requested, concurrency=settings.concurrency)
    broker.collect_dead()
    return broker


@asynccontextmanager
async def app(ctx: Context) -> AsyncIterator[None]:
    """Entered when commands are taken, left when those begun are done."""
    settings = ctx.settings.sync
    pool = await postgres.connect(ctx.settings.postgres_dsn.get_secret_value(), application="matinee-sync")
    try:
        commands = Commands(
            BucketRooms(ctx.bus),
            PostgresPlaylists(pool),
            ScheduledDeadlines(ctx.bus),
            BucketPresences(ctx.bus),
            partial(answer, ctx.bus),
            ctx.metrics,
            Lead(settings.lead_min_ms, settings.lead_max_ms),
            now_ms,
        )
        async with consuming(make_broker(ctx.bus, ctx.metrics, commands, settings)):
            yield
    finally:
        await pool.close()
