"""Rooms."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from bus_schemas.messages.shapes import Room, RoomSettings, UserRef
from gateway.db.queries import Connection, Queryable, load

if TYPE_CHECKING:
    from asyncpg import Record


def room_of(row: Record) -> Room:
    """The shape, from the columns every statement here selects."""
    return Room(
        id=row["room_id"],
        name=row["room_name"],
        hidden=row["hidden"],
        has_password=row["has_password"],
        creator=UserRef(id=row["creator_id"], username=row["creator_username"]),
        settings=RoomSettings.model_validate_json(row["settings"]),
        created_at=row["room_created_at"],
    )


def like(query: str) -> str:
    """A LIKE pattern that finds `query` as it is, wildcards in it included."""
    escaped = query.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


class Rooms:
    """The table `rooms`."""

    def __init__(self) -> None:
        self._sql = load("rooms")

    async def by_id(self, db: Queryable, room: str) -> Room | None:
        """One room."""
        row = await db.fetchrow(self._sql["by_id"], room)
        return room_of(row) if row else None

    async def with_password(self, db: Queryable, room: str) -> tuple[Room, str | None] | None:
        """One room and the hash of its password."""
        row = await db.fetchrow(self._sql["by_id"], room)
        return (room_of(row), row["password_hash"]) if row else None

    async def lock(self, connection: Connection, room: str) -> Room | None:
        """One room, changed by nobody else until the transaction ends."""
        row = await connection.fetchrow(self._sql["lock"], room)
        return room_of(row) if row else None

    async def add(self, connection: Connection, room: Room, password_hash: str | None) -> None:
        """A new room; its creator's membership is the caller's to add."""
        await connection.execute(
            self._sql["add"],
            room.id,
            room.name,
            room.hidden,
            password_hash,
            room.creator.id,
            room.settings.model_dump_json(),
            room.created_at,
        )

    async def change(self, connection: Connection, room: Room) -> None:
        """Write name, hidden and settings."""
        await connection.execute(
            self._sql["change"], room.id, room.name, room.hidden, room.settings.model_dump_json()
        )

    async def set_password(self, connection: Connection, room: str, password_hash: str | None) -> None:
        """Set the password; None takes it away."""
        await connection.execute(self._sql["set_password"], room, password_hash)

    async def hand_over(self, connection: Connection, room: str, user: str) -> None:
        """Make somebody else the creator; the roles of the two are the caller's to change."""
        await connection.execute(self._sql["hand_over"], room, user)

    async def touch(self, db: Queryable, rooms: Collection[str], now_ms: int, unless_since: int) -> None:
        """Somebody is in these rooms; where that was written since `unless_since`, nothing is."""
        await db.execute(self._sql["touch"], list(rooms), now_ms, unless_since)

    async def idle(self, db: Queryable, since: int, limit: int) -> list[str]:
        """Rooms in which nobody was and nothing was done since then, the longest abandoned first."""
        return [row["id"] for row in await db.fetch(self._sql["idle"], since, limit)]

    async def remove(self, connection: Connection, room: str) -> bool:
        """Delete the room and all that is in it; False if there is none."""
        return bool(await connection.fetchval(self._sql["remove"], room))

    async def page(
        self, db: Queryable, *, query: str, after: tuple[int, str] | None, limit: int
    ) -> list[Room]:
        """Rooms that are not hidden, newest first, whose name contains `query` in whatever case."""
        at, room = after or (1 << 62, "")
        rows = await db.fetch(self._sql["page"], like(query), at, room, limit)
        return [room_of(row) for row in rows]

    async def page_of(
        self, db: Queryable, user: str, *, after: tuple[int, str] | None, limit: int
    ) -> list[Room]:
        """Rooms the user is an active member of, newest first."""
        at, room = after or (1 << 62, "")
        rows = await db.fetch(self._sql["page_of"], user, at, room, limit)
        return [room_of(row) for row in rows]

    async def created_by(self, db: Queryable, user: str) -> list[str]:
        """Ids of the rooms the user created."""
        return [row["id"] for row in await db.fetch(self._sql["created_by"], user)]

    async def stream_keys(self, db: Queryable, room: str) -> list[tuple[str, str]]:
        """Id and key hash of each stream of the room."""
        rows: list[Any] = await db.fetch(self._sql["stream_keys"], room)
        return [(row["id"], row["key_hash"]) for row in rows]
