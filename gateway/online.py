"""Who is in a room now, from the presence of all gateways."""

from __future__ import annotations

import asyncio

from nats.js import JetStreamContext
from pydantic import ValidationError

from bus_schemas.messages.room import Presence
from bus_schemas.messages.shapes import SyncReport
from bus_schemas.streams import PRESENCE
from runtime.kv import Bucket


async def online_in(js: JetStreamContext, room: str) -> dict[str, SyncReport]:
    """Ids of the users with an open connection, and how well they keep to the room."""
    bucket = Bucket(js, PRESENCE)
    keys = await bucket.keys(f"{room}.*")
    online: dict[str, SyncReport] = {}
    for entry in await asyncio.gather(*(bucket.get(key) for key in keys)):
        if entry is None:
            continue
        try:
            presence = Presence.model_validate_json(entry.value)
        except ValidationError:
            continue  # Of a newer gateway: its own members will know.
        for member in presence.members:
            online[member.user.id] = SyncReport(drift_ms=member.drift_ms, buffering=member.buffering)
    return online
