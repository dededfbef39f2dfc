"""Streams: who owns them, in which room, and the hash of the key that publishes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bus_schemas.messages.live import StreamLimits
from gateway.db.queries import Connection, Queryable, load

if TYPE_CHECKING:
    from asyncpg import Record


NO_LIMITS: Final = StreamLimits()


@dataclass(frozen=True, slots=True)
class StreamRow:
    """One stream."""

    id: str
    room: str | None
    owner: str
    title: str
    key_hash: str
    """SHA-256 of its key, hexadecimal."""
    created_at: int
    private: bool
    """Asked for when it was made."""
    restricted: bool
    """Whether playing it takes a play token: it is private, or its room is (hidden, by password, by approval)."""
    limits: StreamLimits = NO_LIMITS


class Streams:
    """The table `streams`."""

    def __init__(self) -> None:
        self._sql = load("streams")

    async def by_id(self, db: Queryable, stream: str) -> StreamRow | None:
        """One stream."""
        row = await db.fetchrow(self._sql["by_id"], stream)
        return _stream_of(row) if row else None

    async def of_room(self, db: Queryable, room: str) -> list[StreamRow]:
        """The streams of a room, oldest first."""
        return [_stream_of(row) for row in await db.fetch(self._sql["of_room"], room)]

    async def page(self, db: Queryable, *, after: str, limit: int) -> list[StreamRow]:
        """All streams by id; `restricted` leaves their rooms out of account."""
        return [_stream_of(row) for row in await db.fetch(self._sql["page"], after, limit)]

    async def count_of(self, db: Queryable, owner: str) -> int:
        """How many a user owns."""
        return int(await db.fetchval(self._sql["count_of"], owner))

    async def add(self, connection: Connection, row: StreamRow) -> None:
        """A new stream."""
        await connection.execute(
            self._sql["add"],
            row.id,
            row.room,
            row.owner,
            row.title,
            row.key_hash,
            row.private,
            row.created_at,
        )

    async def of_owner(self, db: Queryable, owner: str, *, after: str, limit: int) -> list[StreamRow]:
        """A user's streams by id."""
        return [_stream_of(row) for row in await db.fetch(self._sql["of_owner"], owner, after, limit)]

    async def some(self, db: Queryable, streams: list[str]) -> list[StreamRow]:
        """Those of these that there are."""
        return [_stream_of(row) for row in await db.fetch(self._sql["some"], streams)]

    async def of_rooms(self, db: Queryable, rooms: list[str]) -> list[tuple[str, str]]:
        """Room and id of every stream of these rooms."""
        return [(row["room"], row["id"]) for row in await db.fetch(self._sql["of_rooms"], rooms)]

    async def edit(self, db: Queryable, row: StreamRow) -> bool:
        """Write title, privacy and limits; False if there is no such stream any more."""
        limits = row.limits.model_dump_json(exclude={"v"}, exclude_defaults=True)
        return bool(await db.fetchval(self._sql["edit"], row.id, row.title, row.private, limits))

    async def set_title(self, db: Queryable, stream: str, title: str) -> None:
        """Another title."""
        await db.execute(self._sql["set_title"], stream, title)

    async def set_key(self, db: Queryable, stream: str, before: str, after: str) -> bool:
        """Put another key's hash in place of `before`; False if that is no longer the stream's."""
        return bool(await db.fetchval(self._sql["set_key"], stream, before, after))

    async def remove(self, connection: Connection, stream: str) -> str | None:
        """Delete it; the hash of its key, or None if there is no such stream."""
        found: str | None = await connection.fetchval(self._sql["remove"], stream)
        return found

    async def items(self, db: Queryable, room: str, stream: str) -> list[str]:
        """Ids of the room's playlist items that play it."""
        return [row["id"] for row in await db.fetch(self._sql["items"], room, stream)]


def _stream_of(row: Record) -> StreamRow:
    return StreamRow(
        id=row["id"],
        room=row["room"],
        owner=row["owner"],
        title=row["title"],
        key_hash=row["key_hash"],
        created_at=row["created_at"],
        private=row["private"],
        restricted=row["restricted"],
        limits=StreamLimits.model_validate_json(row["limits"]),
    )
