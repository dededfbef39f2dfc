"""Streams that begin and end, as the members of their room hear of it."""

from __future__ import annotations

import asyncio
from typing import Final

from bus_schemas.messages.live import LiveEvent, PublisherClaim, StopReason, StreamStarted, StreamStopped
from bus_schemas.messages.room import RoomEvent, StreamStatusChanged
from bus_schemas.messages.shapes import StreamStatus
from bus_schemas.streams import LIVE_STATUS_CONSUMER, PUBLISHERS
from bus_schemas.subjects import LIVE_EVENT, ROOM_EVENT
from gateway.names import clean_text
from gateway.services import Services
from runtime.broker import BusBroker, consuming
from runtime.emit import emit
from runtime.kv import Bucket

CONCURRENCY: Final = 16


def status_change(event: LiveEvent, room: str | None = None) -> StreamStatusChanged | None:
    """What a room is told of a live event, if anything; `room` where the event names none. Pure."""
    what = event.root
    if not isinstance(what, (StreamStarted, StreamStopped)) or (what.room or room) is None:
        return None
    if isinstance(what, StreamStopped) and what.reason is StopReason.REPLACED:
        return None
    status = StreamStatus.LIVE if isinstance(what, StreamStarted) else StreamStatus.OFFLINE
    return StreamStatusChanged(room=what.room or room, at=what.at, stream=what.stream, status=status)


async def consume_status(services: Services) -> None:
    """Turn live events into room events, for ever; all gateways share the work."""
    ctx = services.ctx
    publishers = Bucket(ctx.bus.js, PUBLISHERS)

    async def on_live_event(event: LiveEvent) -> None:
        what = event.root
        room = None
        if isinstance(what, (StreamStarted, StreamStopped)) and what.room is None:
            # Outside rooms; or in the place of another stream, as a hook wanted it, which may be in one.
            row = await services.streams.by_id(services.pool, what.stream)
            room = row.room if row is not None else None
        if isinstance(what, StreamStarted) and what.title is not None:
            await services.streams.set_title(services.pool, what.stream, clean_text(what.title))
        change = status_change(event, room)
        if change is None:
            return
        if change.status is StreamStatus.OFFLINE:
            claim = await publishers.get(change.stream)
            if claim and PublisherClaim.model_validate_json(claim.value).epoch > event.root.epoch:
                return  # a newer session has begun: its own event said so
        # A repeated delivery has the same id, and the stream keeps one.
        msg_id = f"stream-{change.stream}-{event.root.epoch}-{change.status}"
        await emit(ctx.bus, ROOM_EVENT, RoomEvent(change), msg_id=msg_id, room=change.room)

    broker = BusBroker(ctx.bus, ctx.metrics)
    broker.handle(LIVE_EVENT, LIVE_STATUS_CONSUMER, on_live_event, concurrency=CONCURRENCY)
    async with consuming(broker):
        await asyncio.Event().wait()
