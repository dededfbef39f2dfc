"""Bus messages that follow a database change: written in its transaction, relayed by any gateway.

The row is deleted in the transaction that published it. A gateway that dies in between leaves the row,
another publishes it again under the same `Nats-Msg-Id`, and the stream keeps one. An advisory lock lets
one gateway relay at a time, so a room's events keep the order of their rows.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Final, TypeVar

from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js.errors import APIError
from pydantic import BaseModel, ValidationError

from bus_schemas.messages.room import (
    ChatDeleted,
    ChatPosted,
    MemberChanged,
    PlaybackChanged,
    PlaylistChanged,
    RoomDeleted,
    RoomEvent,
    SettingsChanged,
    StreamStatusChanged,
)
from bus_schemas.subjects import ROOM_EVENT, Subject
from gateway.db.queries import DATABASE_FAILURES, Connection, load
from gateway.play_rights import rights_after, tell_rights
from runtime import trace
from runtime.bus import Bus
from runtime.emit import MSG_ID, STREAM
from runtime.logs import get_logger
from runtime.metrics import Metrics
from runtime.postgres import Pool

log = get_logger("outbox")

M = TypeVar("M", bound=BaseModel)
Event = (
    PlaybackChanged
    | PlaylistChanged
    | MemberChanged
    | ChatPosted
    | ChatDeleted
    | StreamStatusChanged
    | SettingsChanged
    | RoomDeleted
)

BATCH: Final = 100
SWEEP_S: Final = 1.0
"""How often rows left by others are looked for; own rows go as soon as they are committed."""
RELAY_DEADLINE_S: Final = 8.0
RETRY_S: Final = 0.2
_ROOM: Final = ROOM_EVENT.template.partition("{")[0]
_LOCK: Final = 0x6F757462
"""Advisory lock, "outb"."""


class Outbox:
    """`add` within a transaction, `kick` after its commit."""

    def __init__(self, pool: Pool, bus: Bus, metrics: Metrics) -> None:
        self._pool = pool
        self._bus = bus
        self._sql = load("outbox")
        self._waiting = metrics.gauge("matinee_outbox_waiting")
        self._kicked = asyncio.Event()

    async def add(self, connection: Connection, room: str, event: Event) -> None:
        """Write an event of the room; it goes out once the transaction is committed, or never."""
        body = event.model_dump_json()
        await self._insert(connection, ROOM_EVENT, ROOM_EVENT.at(room=room), body)

    async def add_message(
        self, connection: Connection, subject: Subject[M], message: M, **tokens: str
    ) -> None:
        """The same for any message of a stream; raises ValueError for a bad token."""
        await self._insert(connection, subject, subject.at(**tokens), message.model_dump_json())

    def kick(self) -> None:
        """Relay now what is committed: call it after the transaction."""
        self._kicked.set()

    async def relay(self) -> None:
        """Relay, for ever: at each kick, and what others left at each sweep."""
        while True:
            try:
                async with asyncio.timeout(SWEEP_S):
                    await self._kicked.wait()
            except TimeoutError:
                pass  # The sweep.
            self._kicked.clear()
            try:
                async with asyncio.timeout(RELAY_DEADLINE_S):
                    while await self.relay_batch() == BATCH:
                        pass
            except (NatsError, APIError, *DATABASE_FAILURES) as exc:  # fmt: skip
                log.warning("outbox waits", error=repr(exc))
                await asyncio.sleep(RETRY_S)
                self._kicked.set()

    async def relay_batch(self) -> int:
        """Publish the oldest rows, at most `BATCH`, and delete them; how many there were."""
        if not await self._pool.fetchval(self._sql["any"]):
            self._waiting.set(0)
            return 0
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            rows = await connection.fetch(self._sql["oldest"], BATCH)
            self._waiting.set(len(rows))
            for row in rows:
                headers = {
                    MSG_ID: row["id"],
                    STREAM: row["stream"],
                    trace.HEADER: row["traceparent"],
                }
                try:
                    await self._bus.js.publish(row["subject"], row["body"].encode(), headers=headers)
                except MaxPayloadError:
                    # It would never go, and nothing behind it either.
                    log.error(
                        "outbox row over the bus's limit given up", subject=row["subject"], id=row["id"]
                    )
                await self._tell_rights(row["subject"], row["body"])
            if rows:
                await connection.execute(self._sql["delete"], [row["number"] for row in rows])
        return len(rows)

    async def _tell_rights(self, subject: str, body: str) -> None:
        """Whoever relays a room's event also tells those who serve its viewers."""
        if not subject.startswith(_ROOM):
            return
        try:
            changed = rights_after(RoomEvent.model_validate_json(body))
        except ValidationError:
            return  # Of a newer gateway's making, which looks after its own.
        if changed is not None:
            await tell_rights(self._bus, changed)

    async def _insert(
        self, connection: Connection, subject: Subject[RoomEvent] | Subject[M], where: str, body: str
    ) -> None:
        assert subject.stream is not None, "only what a stream keeps can be acknowledged"
        await connection.execute(
            self._sql["add"], uuid.uuid4().hex, where, subject.stream, body, trace.current()
        )
