"""Chat history, read only: chat writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bus_schemas.messages.shapes import ChatMessage, UserRef
from gateway.db.queries import Queryable, load

if TYPE_CHECKING:
    from asyncpg import Record


class Messages:
    """The table `messages`."""

    def __init__(self) -> None:
        self._sql = load("messages")

    async def newest(self, db: Queryable, room: str, limit: int) -> list[ChatMessage]:
        """The last messages, the newest last."""
        return await self._page(db, room, None, limit)

    async def before(self, db: Queryable, room: str, message: str, limit: int) -> list[ChatMessage] | None:
        """The messages in front of one, the newest last; None where the room has no such message."""
        number: int | None = await db.fetchval(self._sql["number_of"], room, message)
        return None if number is None else await self._page(db, room, number, limit)

    async def _page(self, db: Queryable, room: str, before: int | None, limit: int) -> list[ChatMessage]:
        rows = await db.fetch(self._sql["page"], room, before, limit)
        return [_message_of(row) for row in reversed(rows)]


def _message_of(row: Record) -> ChatMessage:
    return ChatMessage(
        id=row["id"],
        user=UserRef(id=row["user_id"], username=row["username"]),
        text=row["text"],
        at=row["at"],
        reply_to=row["reply_to"],
    )
