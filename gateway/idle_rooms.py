"""Rooms in which nobody was for long: who is where is written down, and what is abandoned goes, if the site says so."""

from __future__ import annotations

import asyncio
from typing import Final

from bus_schemas.streams import PUBLISHERS
from gateway.db.queries import DATABASE_FAILURES
from gateway.http.problems import AWAY
from gateway.online import counts_of
from gateway.room_deletion import delete_room
from gateway.services import Services
from gateway.ws.channel import Channel
from gateway.ws.hub import Hub
from runtime import direct
from runtime.clock import now_ms
from runtime.logs import get_logger

log = get_logger("idle_rooms")

NOTE_S: Final = 60.0
"""How often it is looked who is where."""
NOTED_MS: Final = 3_600_000
"""What was written so lately is not written again: days are counted, not minutes."""
SWEEP_S: Final = 3_600.0
BATCH: Final = 100
BATCHES_MAX: Final = 50
DAY_MS: Final = 86_400_000
_LOCK: Final = 0x69646C65
"""Advisory lock, "idle"."""


class IdleRooms:
    """Notes the rooms people are in, and deletes those where nobody was for `rooms.idle_days`."""

    def __init__(self, services: Services, hub: Hub) -> None:
        self._services = services
        self._hub = hub
        self._visited: set[str] = set()
        hub.on_open.append(self._opened)

    def _opened(self, channel: Channel) -> None:
        self._visited.add(channel.room)

    async def note(self) -> None:
        """Write down where people are, for ever."""
        while True:
            await asyncio.sleep(NOTE_S)
            visited = self._visited | {channel.room for channel in self._hub.channels() if channel.seats}
            if not visited:
                continue
            try:
                now = now_ms()
                await self._services.rooms.touch(self._services.pool, visited, now, now - NOTED_MS)
            except DATABASE_FAILURES as exc:
                log.warning("who is where is written later", error=repr(exc))
            else:
                self._visited.clear()

    async def expire(self) -> None:
        """Delete what is abandoned, for ever; nothing where the site keeps all rooms."""
        days = self._services.ctx.settings.rooms.idle_days
        while days:
            try:
                for _ in range(BATCHES_MAX):
                    if await self.sweep(now_ms() - days * DAY_MS) < BATCH:
                        break
            except AWAY as exc:
                log.warning("abandoned rooms are left for later", error=repr(exc))
            await asyncio.sleep(SWEEP_S)

    async def sweep(self, since: int) -> int:
        """Look at the rooms abandoned since then (epoch ms), at most `BATCH`; how many there were.

        0 while another gateway does it. Raises what database and bus raise: who cannot be asked whether somebody
        is there deletes nothing.
        """
        services = self._services
        async with services.pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
                return 0
            idle = await services.rooms.idle(connection, since, BATCH)
            for room_id in idle:
                if await self._is_used(room_id):
                    await services.rooms.touch(services.pool, [room_id], now_ms(), now_ms())
                    continue
                room = await services.rooms.by_id(services.pool, room_id)
                if room is not None and await delete_room(services, room_id, room.name, None, why="idle"):
                    log.info("abandoned room deleted", room=room_id)
        return len(idle)

    async def _is_used(self, room: str) -> bool:
        """Whether somebody is in it, or publishes one of its streams."""
        bus = self._services.ctx.bus
        online = await counts_of(bus, [room])
        if online is None:
            raise TimeoutError("nobody says who is online")
        if online.get(room):
            return True
        streams = await self._services.streams.of_room(self._services.pool, room)
        subjects = [f"$KV.{PUBLISHERS.name}.{stream.id}" for stream in streams]
        stored = await direct.last_of_each(bus, PUBLISHERS.stream, *subjects)
        return any(message.data for message in stored)
