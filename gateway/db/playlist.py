"""Playlist items of rooms. Every change takes the room's next `version`, which is also the room's lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from bus_schemas.messages.shapes import Item, ItemKind, Subtitle, UserRef
from gateway.db.queries import Connection, Queryable, load

if TYPE_CHECKING:
    from asyncpg import Record


class Playlist:
    """The table `playlist_items`, and `rooms.playlist_version`."""

    def __init__(self) -> None:
        self._sql = load("playlist")
        self._subtitles = TypeAdapter(tuple[Subtitle, ...])

    async def page(
        self, db: Queryable, room: str, *, after: tuple[int, str] | None, limit: int
    ) -> list[Item]:
        """Items in their order."""
        position, item = after or (-(1 << 31), "")
        rows = await db.fetch(self._sql["page"], room, position, item, limit)
        return [self._item_of(row) for row in rows]

    async def version(self, db: Queryable, room: str) -> int:
        """The version the playlist stands at; 0 where there is no such room."""
        return int(await db.fetchval(self._sql["version"], room) or 0)

    async def next_version(self, connection: Connection, room: str) -> int | None:
        """Take the room's lock and its next version; None where there is no such room."""
        found: int | None = await connection.fetchval(self._sql["next_version"], room)
        return found

    async def by_id(self, db: Queryable, room: str, item: str) -> Item | None:
        """One item of the room."""
        row = await db.fetchrow(self._sql["by_id"], room, item)
        return self._item_of(row) if row else None

    async def positions(self, connection: Connection, room: str) -> list[tuple[str, int]]:
        """Id and position of every item, in order."""
        return [(row["id"], row["position"]) for row in await connection.fetch(self._sql["positions"], room)]

    async def add(self, connection: Connection, room: str, item: Item, now_ms: int) -> None:
        """A new item, at its position."""
        await connection.execute(
            self._sql["add"],
            item.id,
            room,
            item.parent,
            item.position,
            item.title,
            item.kind.value,
            item.url,
            item.stream,
            item.duration,
            self._subtitles.dump_json(item.subtitles).decode(),
            item.added_by.id,
            item.added_by.username,
            now_ms,
        )

    async def edit(self, connection: Connection, room: str, item: Item) -> None:
        """Write title, url, duration and subtitles."""
        await connection.execute(
            self._sql["edit"],
            room,
            item.id,
            item.title,
            item.url,
            item.duration,
            self._subtitles.dump_json(item.subtitles).decode(),
        )

    async def place(self, connection: Connection, room: str, positions: dict[str, int]) -> None:
        """Write positions by id."""
        await connection.execute(self._sql["place"], room, list(positions), list(positions.values()))

    async def remove(self, connection: Connection, room: str, item: str) -> bool:
        """Delete one; False if there is none."""
        return bool(await connection.fetchval(self._sql["remove"], room, item))

    async def clear(self, connection: Connection, room: str) -> int:
        """Delete all; how many there were."""
        return len(await connection.fetch(self._sql["clear"], room))

    async def stream_is_of(self, db: Queryable, stream: str, room: str) -> bool:
        """Whether the stream was made in this room."""
        return bool(await db.fetchval(self._sql["stream_is_of"], stream, room))

    def _item_of(self, row: Record) -> Item:
        return Item(
            id=row["id"],
            title=row["title"],
            kind=ItemKind(row["kind"]),
            url=row["url"],
            stream=row["stream"],
            duration=row["duration"],
            subtitles=self._subtitles.validate_json(row["subtitles"]),
            parent=row["parent"],
            position=row["position"],
            added_by=UserRef(id=row["added_by"], username=row["added_by_username"]),
        )
