"""Chat worker: submitted messages and danmaku in, filtered and numbered ones out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from bus_schemas.messages.room import DanmakuPosted, RoomEvent
from bus_schemas.streams import CHAT_CONSUMER, CHAT_DELETE_CONSUMER, DANMAKU_CONSUMER
from bus_schemas.subjects import CHAT_DELETE, CHAT_SUBMIT, DANMAKU, DANMAKU_SUBMIT, ROOM_EVENT
from runtime import postgres
from runtime.broker import BusBroker, consuming
from runtime.bus import Bus
from runtime.clock import now_ms
from runtime.emit import answer, emit
from runtime.ids import new_id
from runtime.lifecycle import Context
from runtime.metrics import Metrics
from runtime.settings import ChatSettings
from workers.chat.rules import Filter
from workers.chat.store import PostgresMessages
from workers.chat.submissions import Submissions


class BusRoom:
    """`Room` on the bus: both streams republish to the gateways that have members of the room."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def event(self, room: str, event: RoomEvent, msg_id: str) -> None:
        """Returns once the stream has it."""
        await emit(self._bus, ROOM_EVENT, event, msg_id=msg_id, room=room)

    async def danmaku(self, room: str, danmaku: DanmakuPosted, msg_id: str) -> None:
        """Returns once the stream has it."""
        await emit(self._bus, DANMAKU, danmaku, msg_id=msg_id, room=room)


def make_broker(bus: Bus, metrics: Metrics, submissions: Submissions, settings: ChatSettings) -> BusBroker:
    """The worker's subscriptions."""
    broker = BusBroker(bus, metrics)
    at_once = settings.concurrency
    broker.handle(CHAT_SUBMIT, CHAT_CONSUMER, submissions.on_chat, concurrency=at_once)
    broker.handle(CHAT_DELETE, CHAT_DELETE_CONSUMER, submissions.on_delete, concurrency=at_once)
    broker.handle(DANMAKU_SUBMIT, DANMAKU_CONSUMER, submissions.on_danmaku, concurrency=at_once)
    broker.collect_dead()
    return broker


@asynccontextmanager
async def app(ctx: Context) -> AsyncIterator[None]:
    """Entered when submissions are taken, left when those begun are done."""
    settings = ctx.settings.chat
    pool = await postgres.connect(ctx.settings.postgres_dsn.get_secret_value(), application="matinee-chat")
    try:
        submissions = Submissions(
            PostgresMessages(pool),
            BusRoom(ctx.bus),
            partial(answer, ctx.bus),
            Filter(settings.blocked_words),
            ctx.metrics,
            now_ms,
            new_id,
        )
        async with consuming(make_broker(ctx.bus, ctx.metrics, submissions, settings)):
            yield
    finally:
        await pool.close()
