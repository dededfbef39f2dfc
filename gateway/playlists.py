"""Changes of a room's playlist, each with its next version and its event, in the caller's transaction."""

from __future__ import annotations

from posixpath import basename
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import unquote, urlsplit

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.limits import TITLE_MAX
from bus_schemas.messages.room import PlaybackAction, PlaybackRequested, PlaylistChanged
from bus_schemas.messages.shapes import Item, ItemKind, Subtitle, UserRef
from bus_schemas.subjects import ROOM_COMMAND
from gateway.membership import Membership, no_such_room
from gateway.names import clean_text
from gateway.playlist_order import Placement, place
from gateway.services import Services
from runtime.clock import now_ms
from runtime.ids import new_id

if TYPE_CHECKING:
    from gateway.db.queries import Connection

Change = Literal["added", "edited", "moved", "removed", "cleared"]

_UNDER_THE_PLAYBACK: Final[frozenset[Change]] = frozenset({"edited", "removed", "cleared"})
"""Changes by which the item that plays may be gone, or have another length."""


def title_from_url(url: str) -> str:
    """What to call a file without a title: the last piece of its path, else its host."""
    parts = urlsplit(url)
    name = clean_text(unquote(basename(parts.path.rstrip("/"))))
    return (name or parts.hostname or url)[:TITLE_MAX]


async def add_item(
    services: Services,
    connection: Connection,
    member: Membership,
    *,
    kind: ItemKind,
    title: str = "",
    url: str | None = None,
    stream: str | None = None,
    duration: float | None = None,
    subtitles: tuple[Subtitle, ...] = (),
    before: str | None = None,
) -> Item:
    """Add an item in front of `before`, or at the end; the caller has checked the member's permission.

    Raises `Refused`: conflict when the room holds as many as it may, invalid when `before` is no item.
    """
    room = member.room.id
    version = await _next_version(services, connection, room)
    siblings = await services.playlist.positions(connection, room)
    limit = services.ctx.settings.limits.items_per_room
    if len(siblings) >= limit:
        raise Refused(ErrorCode.CONFLICT, f"The playlist is full: a room holds {limit} items.")
    placement = _place(siblings, before)
    item = Item(
        id=new_id(), title=title or (title_from_url(url) if url else "Live"), kind=kind, url=url, stream=stream,
        duration=duration, subtitles=subtitles, position=placement.position, added_by=member.ref,
    )  # fmt: skip
    if placement.others:
        await services.playlist.place(connection, room, placement.others)
    await services.playlist.add(connection, room, item, now_ms())
    await _announce(
        services, connection, room, "added", version, member.ref, item=item, whole=bool(placement.others)
    )
    return item


async def edit_item(services: Services, connection: Connection, member: Membership, item: Item) -> None:
    """Write an item that was read in this transaction, changed."""
    room = member.room.id
    version = await _next_version(services, connection, room)
    await services.playlist.edit(connection, room, item)
    await _announce(services, connection, room, "edited", version, member.ref, item=item)


async def move_item(
    services: Services, connection: Connection, member: Membership, item_id: str, before: str | None
) -> Item:
    """Put an item in front of another, or at the end; raises `Refused` not_found or invalid."""
    room = member.room.id
    version = await _next_version(services, connection, room)
    item = await services.playlist.by_id(connection, room, item_id)
    if item is None:
        raise Refused(ErrorCode.NOT_FOUND, "There is no such item.")
    if before == item_id:
        raise _bad_before("An item cannot stand in front of itself.")
    siblings = [pair for pair in await services.playlist.positions(connection, room) if pair[0] != item_id]
    placement = _place(siblings, before)
    await services.playlist.place(connection, room, {**placement.others, item_id: placement.position})
    item = item.model_copy(update={"position": placement.position})
    await _announce(
        services, connection, room, "moved", version, member.ref, item=item, whole=bool(placement.others)
    )
    return item


async def remove_item(services: Services, connection: Connection, member: Membership, item: Item) -> bool:
    """Remove an item; False if somebody else just did."""
    room = member.room.id
    version = await _next_version(services, connection, room)
    if not await services.playlist.remove(connection, room, item.id):
        return False
    await _announce(services, connection, room, "removed", version, member.ref, item=item)
    return True


async def clear(services: Services, connection: Connection, member: Membership) -> None:
    """Remove all items; an empty playlist stays as it is."""
    room = member.room.id
    version = await _next_version(services, connection, room)
    await services.playlist.clear(connection, room)
    await _announce(services, connection, room, "cleared", version, member.ref, items=())


async def _next_version(services: Services, connection: Connection, room: str) -> int:
    version = await services.playlist.next_version(connection, room)
    if version is None:
        raise no_such_room()
    return version


def _place(siblings: list[tuple[str, int]], before: str | None) -> Placement:
    try:
        return place(siblings, before)
    except KeyError:
        raise _bad_before("There is no such item in this playlist.") from None


def _bad_before(detail: str) -> Refused:
    return Refused(
        ErrorCode.INVALID,
        "The item to stand in front of is not right.",
        errors=[{"path": "before", "detail": detail}],
    )


async def _announce(
    services: Services,
    connection: Connection,
    room: str,
    change: Change,
    version: int,
    by: UserRef,
    *,
    item: Item | None = None,
    items: tuple[Item, ...] | None = None,
    whole: bool = False,
) -> None:
    """`whole`: positions of others changed too, so the event carries all items."""
    if whole:
        limit = services.ctx.settings.limits.items_per_room
        items = tuple(await services.playlist.page(connection, room, after=None, limit=limit))
    event = PlaylistChanged(
        room=room, at=now_ms(), change=change, item=item, items=items, version=version, by=by
    )
    await services.outbox.add(connection, room, event)
    if change in _UNDER_THE_PLAYBACK:
        await ask_to_reconcile(services, connection, room, by)


async def ask_to_reconcile(services: Services, connection: Connection, room: str, by: UserRef) -> None:
    """Let sync look whether what the room plays is still there; it goes with the transaction."""
    request = PlaybackRequested(id=new_id(), room=room, action=PlaybackAction.RECONCILE, by=by)
    await services.outbox.add_message(connection, ROOM_COMMAND, request, room=room)
