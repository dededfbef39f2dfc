"""Changes of a room's playlist, each with its next version and its event, in the caller's transaction.

The room's version is also its lock: whoever has taken the next one is alone with the playlist. A change that
was made for another version than the caller knew (`expected`) is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from posixpath import basename
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import unquote, urlsplit

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.limits import EVENT_ITEMS_MAX, TITLE_MAX
from bus_schemas.messages.room import PlaybackAction, PlaybackRequested, PlaylistChanged
from bus_schemas.messages.shapes import Item, ItemKind, PlaybackMode, Subtitle, UserRef
from bus_schemas.permissions import Permission
from bus_schemas.subjects import ROOM_COMMAND
from gateway.db.playlist import Change
from gateway.membership import Membership, no_such_room, require
from gateway.names import clean_text
from gateway.playlist_order import Placement, place
from gateway.services import Services
from runtime.clock import now_ms
from runtime.ids import new_id

if TYPE_CHECKING:
    from gateway.db.queries import Connection

ChangeKind = Literal["added", "edited", "moved", "removed", "cleared"]

UNDO_KEPT: Final = 10
"""Changes that can be undone."""
_UNDER_THE_PLAYBACK: Final[frozenset[ChangeKind]] = frozenset({"edited", "removed", "cleared"})
"""Changes by which the item that plays may be gone, or have another length."""
_UNDO_WANTS: Final[dict[str, tuple[Permission, Permission]]] = {
    "added": (Permission.DELETE_MOVIE_SELF, Permission.DELETE_MOVIE_ANY),
    "edited": (Permission.EDIT_MOVIE_SELF, Permission.EDIT_MOVIE_ANY),
    "moved": (Permission.REORDER_PLAYLIST, Permission.REORDER_PLAYLIST),
    "removed": (Permission.ADD_MOVIE, Permission.DELETE_MOVIE_ANY),
    "cleared": (Permission.CLEAR_PLAYLIST, Permission.CLEAR_PLAYLIST),
}
"""What it takes to undo one's own change, and somebody else's."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a new item is."""

    kind: ItemKind
    title: str = ""
    url: str | None = None
    stream: str | None = None
    duration: float | None = None
    subtitles: tuple[Subtitle, ...] = ()


def title_from_url(url: str) -> str:
    """What to call a file without a title: the last piece of its path, else its host."""
    parts = urlsplit(url)
    name = clean_text(unquote(basename(parts.path.rstrip("/"))))
    return (name or parts.hostname or url)[:TITLE_MAX]


async def add_item(services: Services, connection: Connection, member: Membership, draft: Draft) -> Item:
    """Add one item at the end of the top; raises like `add_items`."""
    return (await add_items(services, connection, member, [draft]))[0]


async def add_items(
    services: Services,
    connection: Connection,
    member: Membership,
    drafts: Sequence[Draft],
    *,
    parent: str | None = None,
    before: str | None = None,
    expected: int | None = None,
) -> tuple[Item, ...]:
    """Add items in their order, in front of `before` or at the end; the caller has checked the permission.

    Raises `Refused`: conflict when the room holds as many as it may or is at another version, invalid when
    `parent` is no folder or `before` is no item in it.
    """
    room = member.room.id
    version = await _next_version(services, connection, room, expected)
    tree = await services.playlist.tree(connection, room)
    limit = services.ctx.settings.limits.items_per_room
    if len(tree.nodes) + len(drafts) > limit:
        raise Refused(ErrorCode.CONFLICT, f"The playlist is full: a room holds {limit} items.")
    if parent is None and before is not None and before in tree.nodes:
        parent = tree.nodes[before].parent
    _check_parent(tree.why_not_in(parent, folder=any(draft.kind is ItemKind.FOLDER for draft in drafts)))
    siblings = await services.playlist.siblings(connection, room, parent)
    existing = {item for item, _ in siblings}
    items: list[Item] = []
    moved = False
    for draft in drafts:
        placement = _place(siblings, before)
        item = Item(
            id=new_id(), title=draft.title or (title_from_url(draft.url) if draft.url else "Live"),
            kind=draft.kind, url=draft.url, stream=draft.stream, duration=draft.duration,
            subtitles=draft.subtitles, parent=parent, position=placement.position, added_by=member.ref,
        )  # fmt: skip
        items.append(item)
        moved = moved or bool(placement.others)
        siblings = sorted(
            [*((id_, placement.others.get(id_, at)) for id_, at in siblings), (item.id, placement.position)],
            key=lambda pair: pair[1],
        )
    positions = dict(siblings)
    added = tuple(item.model_copy(update={"position": positions[item.id]}) for item in items)
    as_they_were: tuple[Item, ...] = ()
    if moved:
        as_they_were = await _all_in(services, connection, room, parent)
        others = {id_: at for id_, at in positions.items() if id_ in existing}
        await services.playlist.place(connection, room, others)
    await services.playlist.put(connection, room, added, now_ms())
    change = Change(version, "added", member.user.id, tuple(item.id for item in added), as_they_were)
    await _record(services, connection, room, change)
    await _announce(
        services, connection, room, "added", version, member.ref,
        items=await _all_in(services, connection, room, parent) if moved else added,
    )  # fmt: skip
    return added


async def edit_item(
    services: Services,
    connection: Connection,
    member: Membership,
    before: Item,
    item: Item,
    *,
    expected: int | None = None,
) -> None:
    """Write an item that was read under the room's lock, changed."""
    room = member.room.id
    version = await _next_version(services, connection, room, expected)
    await services.playlist.edit(connection, room, item)
    await _record(services, connection, room, Change(version, "edited", member.user.id, (), (before,)))
    await _announce(services, connection, room, "edited", version, member.ref, items=(item,))


async def learn_duration(
    services: Services, connection: Connection, member: Membership, item_id: str, duration: float
) -> Item:
    """The first length a player found of a file that had none; a known one stays, whoever says otherwise.

    A length decides when the room goes on to the next item: it is taken from those who could send it on anyway, and
    of one's own item. Raises `Refused`: not_found, forbidden.
    """
    room = member.room.id
    await services.rooms.lock(connection, room)
    item = await services.playlist.by_id(connection, room, item_id)
    if item is None:
        raise Refused(ErrorCode.NOT_FOUND, "There is no such item.")
    own = item.added_by.id == member.user.id and Permission.EDIT_MOVIE_SELF in member.permissions
    if not own and Permission.EDIT_MOVIE_ANY not in member.permissions:
        require(member, Permission.PLAY_CONTROL)
    if item.kind is not ItemKind.URL or item.duration is not None:
        return item
    item = item.model_copy(update={"duration": duration})
    version = await _next_version(services, connection, room, None)
    await services.playlist.edit(connection, room, item)
    await _announce(services, connection, room, "edited", version, member.ref, items=(item,))
    return item


async def move_item(
    services: Services,
    connection: Connection,
    member: Membership,
    item_id: str,
    *,
    before: str | None = None,
    parent: str | None = None,
    stay: bool = False,
    expected: int | None = None,
) -> Item:
    """Put an item into `parent` (None: the top), in front of another or at the end.

    `stay`: into the folder of `before`, else where it is. Raises `Refused` not_found, invalid or conflict.
    """
    room = member.room.id
    version = await _next_version(services, connection, room, expected)
    item = await services.playlist.by_id(connection, room, item_id)
    if item is None:
        raise Refused(ErrorCode.NOT_FOUND, "There is no such item.")
    if before == item_id:
        raise _bad("before", "An item cannot stand in front of itself.")
    tree = await services.playlist.tree(connection, room)
    if stay:
        parent = tree.nodes[before].parent if before in tree.nodes else item.parent
    _check_parent(tree.why_not_in(parent, item=item_id))
    siblings = [
        pair for pair in await services.playlist.siblings(connection, room, parent) if pair[0] != item_id
    ]
    placement = _place(siblings, before)
    as_they_were: tuple[Item, ...] = (item,)
    if placement.others:
        as_they_were += await services.playlist.some(connection, room, list(placement.others))
        await services.playlist.place(connection, room, placement.others)
    await services.playlist.place_in(connection, room, item_id, parent, placement.position)
    await _record(services, connection, room, Change(version, "moved", member.user.id, (), as_they_were))
    item = item.model_copy(update={"parent": parent, "position": placement.position})
    whole = await _all_in(services, connection, room, parent) if placement.others else None
    await _announce(services, connection, room, "moved", version, member.ref, item=item, items=whole)
    return item


async def remove_item(
    services: Services,
    connection: Connection,
    member: Membership,
    item: Item,
    *,
    expected: int | None = None,
    for_good: bool = False,
) -> bool:
    """Remove an item, a folder with all that is in it; False if somebody else just did.

    `for_good`: it cannot be undone. Raises `Refused` forbidden for a folder with items of others, by somebody
    who may remove his own only; conflict at another version.
    """
    room = member.room.id
    version = await _next_version(services, connection, room, expected)
    gone: tuple[Item, ...] = (item,)
    if item.kind is ItemKind.FOLDER:
        nodes = (await services.playlist.tree(connection, room)).with_all_below(item.id)
        if any(node.added_by != member.user.id for node in nodes):
            require(member, Permission.DELETE_MOVIE_ANY)
        gone = await services.playlist.some(connection, room, [node.id for node in nodes])
    if not await services.playlist.remove(connection, room, item.id):
        return False
    if not for_good:
        await _record(services, connection, room, Change(version, "removed", member.user.id, (), gone))
    await _announce(services, connection, room, "removed", version, member.ref, item=item, items=gone)
    return True


async def clear(
    services: Services, connection: Connection, member: Membership, *, expected: int | None = None
) -> None:
    """Remove all items; an empty playlist stays as it is."""
    room = member.room.id
    version = await _next_version(services, connection, room, expected)
    limit = services.ctx.settings.limits.items_per_room
    gone = tuple(await services.playlist.page(connection, room, after=None, limit=limit))
    await services.playlist.clear(connection, room)
    await _record(services, connection, room, Change(version, "cleared", member.user.id, (), gone))
    await _announce(services, connection, room, "cleared", version, member.ref, items=())


async def undo(
    services: Services, connection: Connection, member: Membership, *, expected: int | None = None
) -> tuple[Change, int]:
    """Take the last change back; gives it, and the version after.

    Raises `Refused`: conflict where there is none or the playlist is at another version, forbidden.
    """
    room, playlist = member.room.id, services.playlist
    version = await _next_version(services, connection, room, expected)
    change = await playlist.newest_change(connection, room)
    if change is None:
        raise Refused(ErrorCode.CONFLICT, "There is nothing to undo.")
    own, of_others = _UNDO_WANTS[change.change]
    require(member, own if change.by == member.user.id else of_others)
    await playlist.drop_change(connection, room, change.version)
    gone = await _removed_by_undo(services, connection, member, change)
    ids = [item.id for item in change.put]
    if change.change in {"moved", "added"}:  # `put` is where others stood
        for item in change.put:
            await playlist.place_in(connection, room, item.id, item.parent, item.position)
    elif ids:
        await playlist.put(connection, room, change.put, now_ms())
    back = await playlist.some(connection, room, ids)
    kind: ChangeKind = "edited"
    match change.change:
        case "added":
            kind = "removed"
        case "removed" | "cleared":
            kind = "added"
        case "moved":
            kind = "moved"
    items: tuple[Item, ...] | None = gone if kind == "removed" else back
    if kind == "removed" and back:
        items = None  # others have other positions too: the list is to be read again
    await _announce(services, connection, room, kind, version, member.ref, items=items, undo=True)
    return change, version


async def _removed_by_undo(
    services: Services, connection: Connection, member: Membership, change: Change
) -> tuple[Item, ...]:
    """What was added goes, with what has come into it since, if the member may remove that."""
    if not change.remove:
        return ()
    room = member.room.id
    tree = await services.playlist.tree(connection, room)
    nodes = {node.id: node for added in change.remove for node in tree.with_all_below(added)}
    if any(node.added_by != member.user.id for node in nodes.values()):
        require(member, Permission.DELETE_MOVIE_ANY)
    gone = await services.playlist.some(connection, room, list(nodes))
    await services.playlist.remove_all(connection, room, list(change.remove))
    return gone


async def _next_version(
    services: Services, connection: Connection, room: str, expected: int | None = None
) -> int:
    version = await services.playlist.next_version(connection, room)
    if version is None:
        raise no_such_room()
    if expected is not None and expected != version - 1:
        raise Refused(
            ErrorCode.CONFLICT,
            f"The playlist moved on: based on version {expected}, now it is {version - 1}.",
        )
    return version


async def _record(services: Services, connection: Connection, room: str, change: Change) -> None:
    await services.playlist.record(connection, room, change, now_ms(), UNDO_KEPT)


async def _all_in(
    services: Services, connection: Connection, room: str, parent: str | None
) -> tuple[Item, ...]:
    siblings = await services.playlist.siblings(connection, room, parent)
    return await services.playlist.some(connection, room, [item for item, _ in siblings])


def _place(siblings: list[tuple[str, int]], before: str | None) -> Placement:
    try:
        return place(siblings, before)
    except KeyError:
        raise _bad("before", "There is no such item in this folder of the playlist.") from None


def _check_parent(why_not: str | None) -> None:
    if why_not is not None:
        raise _bad("parent", why_not)


def _bad(path: str, detail: str) -> Refused:
    return Refused(ErrorCode.INVALID, "The item cannot go there.", errors=[{"path": path, "detail": detail}])


async def _announce(
    services: Services,
    connection: Connection,
    room: str,
    change: ChangeKind,
    version: int,
    by: UserRef,
    *,
    item: Item | None = None,
    items: tuple[Item, ...] | None = None,
    undo: bool = False,
) -> None:
    """One alone is the event's `item`; too many are neither."""
    if items is not None and len(items) == 1 and change != "cleared":
        item, items = items[0], None
    elif items is not None and len(items) > EVENT_ITEMS_MAX:
        item, items = None, None
    event = PlaylistChanged(
        room=room, at=now_ms(), change=change, item=item, items=items, version=version, by=by, undo=undo
    )
    await services.outbox.add(connection, room, event)
    if change in _UNDER_THE_PLAYBACK:
        await ask_to_reconcile(services, connection, room, by)


async def ask_to_reconcile(
    services: Services,
    connection: Connection,
    room: str,
    by: UserRef,
    *,
    old_live_delay_ms: int | None = None,
) -> None:
    """Let sync look whether what the room plays fits playlist and settings; it goes with the transaction."""
    request = PlaybackRequested(
        id=new_id(), room=room, action=PlaybackAction.RECONCILE, by=by, old_live_delay_ms=old_live_delay_ms
    )
    await services.outbox.add_message(connection, ROOM_COMMAND, request, room=room)


async def set_mode(
    services: Services, connection: Connection, room: str, mode: PlaybackMode, by: UserRef | None
) -> None:
    """Let sync set what follows when an item ends; it goes with the transaction. `by` is None as a room begins."""
    request = PlaybackRequested(id=new_id(), room=room, action=PlaybackAction.MODE, mode=mode, by=by)
    await services.outbox.add_message(connection, ROOM_COMMAND, request, room=room)
