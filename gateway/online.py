"""Who is in a room now, and how many in each of many, from the presence of all gateways."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from nats.js import JetStreamContext
from pydantic import ValidationError

from bus_schemas.messages.room import Presence
from bus_schemas.messages.shapes import SyncReport
from bus_schemas.streams import PRESENCE
from gateway.http.problems import AWAY
from runtime import direct
from runtime.bus import Bus
from runtime.kv import Bucket
from runtime.logs import get_logger

log = get_logger("online")

ROOMS_AT_ONCE: Final = 50
"""One answer holds 1,024 entries: room for twenty gateways a room."""
COUNTS_S: Final = 1.0
"""A list of rooms is not kept waiting for its counts."""


async def online_in(js: JetStreamContext, room: str) -> dict[str, SyncReport]:
    """Ids of the users with an open connection, and how well they keep to the room."""
    bucket = Bucket(js, PRESENCE)
    keys = await bucket.keys(f"{room}.*")
    online: dict[str, SyncReport] = {}
    for entry in await asyncio.gather(*(bucket.get(key) for key in keys)):
        if entry is None:
            continue
        presence = _presence_of(entry.value)
        for member in presence.members if presence is not None else ():
            online[member.user.id] = SyncReport(drift_ms=member.drift_ms, buffering=member.buffering)
    return online


async def counts_of(bus: Bus, rooms: Sequence[str]) -> dict[str, int] | None:
    """How many are in each of these rooms, those with nobody left out; None where the bus does not say."""
    present: dict[str, set[str]] = {}
    beyond: dict[str, int] = {}
    try:
        for start in range(0, len(rooms), ROOMS_AT_ONCE):
            patterns = [f"$KV.{PRESENCE.name}.{room}.*" for room in rooms[start : start + ROOMS_AT_ONCE]]
            for stored in await direct.last_of_each(bus, PRESENCE.stream, *patterns, deadline_s=COUNTS_S):
                presence = _presence_of(stored.data)
                if presence is not None:
                    users = present.setdefault(presence.room, set())
                    users.update(member.user.id for member in presence.members)
                    beyond[presence.room] = beyond.get(presence.room, 0) + presence.guests_beyond
    except AWAY as exc:
        log.warning("nobody says who is online", error=repr(exc))
        return None
    return {room: len(users) + beyond[room] for room, users in present.items()}


def _presence_of(body: bytes) -> Presence | None:
    try:
        return Presence.model_validate_json(body) if body else None
    except ValidationError:
        return None  # Of a newer gateway: its own members will know.
