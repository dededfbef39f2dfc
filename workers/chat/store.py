"""The messages: numbered and stored once, however often they are sent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import asyncpg

from bus_schemas.messages.room import ChatSubmitted
from bus_schemas.messages.shapes import ChatMessage, UserRef
from runtime.postgres import Pool
from runtime.sql import queries
from workers.chat.history import KEPT, forgettable_before, prune_due


class RoomGone(Exception):
    """There is no such room, or no longer."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A message that is safe."""

    message: ChatMessage
    posted: bool
    """It is known to be among the room's events."""


class Messages(Protocol):
    """Where messages are kept."""

    async def add(self, id_: str, submitted: ChatSubmitted, text: str, now_ms: int) -> Stored:
        """Store the text under this id, or give what was stored before for the same client_id of a day.

        Raises `RoomGone`.
        """

    async def mark_posted(self, id_: str) -> None:
        """The event is on the bus."""

    async def remove(self, room: str, id_: str) -> bool:
        """Take a message away for good; False where the room has none of that id. Twice is once."""


class PostgresMessages:
    """`Messages` in the table of that name."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = queries(Path(__file__).with_name("queries.sql"))

    async def add(self, id_: str, submitted: ChatSubmitted, text: str, now_ms: int) -> Stored:
        """One statement for a new message, two for a resend."""
        who = (submitted.room, submitted.user.id, submitted.client_id)
        oldest = forgettable_before(now_ms)
        while True:
            try:
                row = await self._pool.fetchrow(
                    self._sql["add"], id_, submitted.room, submitted.user.id, submitted.user.username, text,
                    submitted.client_id, submitted.reply_to, now_ms,
                )  # fmt: skip
            except asyncpg.ForeignKeyViolationError as error:
                raise RoomGone(submitted.room) from error
            if row is not None:
                if prune_due(row["number"]):
                    await self._pool.execute(self._sql["prune"], submitted.room, oldest, KEPT)
                return _stored(row)
            row = await self._pool.fetchrow(self._sql["sent_before"], *who)
            if row is not None and row["at"] >= oldest:
                return _stored(row)
            # Its day is over (or it was pruned just now): the client_id is free, and this is a new message.
            await self._pool.execute(self._sql["release_client_id"], *who, oldest)

    async def mark_posted(self, id_: str) -> None:
        """Touches no index."""
        await self._pool.execute(self._sql["mark_posted"], id_)

    async def remove(self, room: str, id_: str) -> bool:
        """The row stays, without its text, so that a resend does not bring the message back."""
        return bool(await self._pool.fetchval(self._sql["remove"], room, id_))


def _stored(row: asyncpg.Record) -> Stored:
    message = ChatMessage(
        id=row["id"],
        user=UserRef(id=row["user_id"], username=row["username"]),
        text=row["text"],
        at=row["at"],
        reply_to=row["reply_to"],
    )
    return Stored(message, row["posted"])
