"""Playlist items of rooms. Every change takes the room's next `version`, which is also the room's lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from bus_schemas.messages.shapes import Item, ItemKind, Subtitle, UserRef
from gateway.db.queries import Connection, Queryable, load
from gateway.playlist_tree import Node, Tree

if TYPE_CHECKING:
    from asyncpg import Record


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a playlist, and what undoes it."""

    version: int
    change: str
    by: str
    """Id of the user."""
    remove: tuple[str, ...]
    put: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Played:
    """An item a room came to, as sync wrote it down."""

    item: str
    title: str
    kind: ItemKind
    at: int
    revision: int
    by: UserRef | None


class Playlist:
    """The tables `playlist_items` and `playlist_changes`, `rooms.playlist_version`; sync's `plays`, read only."""

    def __init__(self) -> None:
        self._sql = load("playlist")
        self._subtitles = TypeAdapter(tuple[Subtitle, ...])
        self._items = TypeAdapter(tuple[Item, ...])
        self._ids = TypeAdapter(tuple[str, ...])

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

    async def siblings(self, connection: Connection, room: str, parent: str | None) -> list[tuple[str, int]]:
        """Id and position of all in a folder, or at the top, in order."""
        rows = await connection.fetch(self._sql["siblings"], room, parent)
        return [(row["id"], row["position"]) for row in rows]

    async def tree(self, connection: Connection, room: str) -> Tree:
        """All items by their folders."""
        rows = await connection.fetch(self._sql["tree"], room)
        return Tree(Node(row["id"], row["parent"], row["folder"], row["added_by"]) for row in rows)

    async def some(self, connection: Connection, room: str, ids: Sequence[str]) -> tuple[Item, ...]:
        """Those of these items that are there."""
        return tuple(self._item_of(row) for row in await connection.fetch(self._sql["some"], room, ids))

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

    async def place_in(
        self, connection: Connection, room: str, item: str, parent: str | None, position: int
    ) -> None:
        """Write an item's folder and position."""
        await connection.execute(self._sql["place_in"], room, item, parent, position)

    async def put(self, connection: Connection, room: str, items: tuple[Item, ...], now_ms: int) -> None:
        """Write items as they are given, new or not; a live one whose stream is gone stays away."""
        body = self._items.dump_json(items).decode()
        await connection.execute(self._sql["put"], room, body, now_ms)

    async def remove_all(self, connection: Connection, room: str, ids: Sequence[str]) -> None:
        """Delete these, and what is in them."""
        await connection.execute(self._sql["remove_all"], room, ids)

    async def record(self, connection: Connection, room: str, change: Change, now_ms: int, kept: int) -> None:
        """Keep what undoes a change, and of those before it the newest only."""
        await connection.execute(
            self._sql["record_change"],
            room,
            change.version,
            change.change,
            change.by,
            now_ms,
            self._ids.dump_json(change.remove).decode(),
            self._items.dump_json(change.put).decode(),
        )
        await connection.execute(self._sql["forget_changes"], room, kept)

    async def newest_change(self, connection: Connection, room: str) -> Change | None:
        """The last change that can be undone."""
        row = await connection.fetchrow(self._sql["newest_change"], room)
        if row is None:
            return None
        remove, put = self._ids.validate_json(row["remove"]), self._items.validate_json(row["put"])
        return Change(row["version"], row["change"], row["by_id"], remove, put)

    async def drop_change(self, connection: Connection, room: str, version: int) -> None:
        """It is undone."""
        await connection.execute(self._sql["drop_change"], room, version)

    async def plays(self, db: Queryable, room: str, *, before: tuple[int, int], limit: int) -> list[Played]:
        """What the room came to, newest first, from before this time and revision."""
        found = []
        for row in await db.fetch(self._sql["plays"], room, *before, limit):
            by = UserRef(id=row["by_id"], username=row["by_username"] or "") if row["by_id"] else None
            kind = ItemKind(row["kind"])
            found.append(Played(row["item"], row["title"], kind, row["at"], row["revision"], by))
        return found

    async def has_played(self, db: Queryable, room: str) -> bool:
        """Whether the room ever came to an item."""
        return bool(await db.fetchval(self._sql["has_played"], room))

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
