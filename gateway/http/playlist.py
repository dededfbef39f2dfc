"""`rooms/{room}/playlist`: what a room watches."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.limits import TITLE_MAX, URL_MAX
from bus_schemas.messages.base import Id, Shape
from bus_schemas.messages.shapes import Item, ItemKind, Subtitle
from bus_schemas.permissions import Permission
from gateway import playlists
from gateway.http.endpoints import Call, Endpoint, add_endpoints
from gateway.http.paging import Page, PageQuery, cut
from gateway.membership import Membership, require
from gateway.names import Title, clean_text, is_control


def _web_address(url: str) -> str:
    if any(character.isspace() or is_control(character) for character in url):
        raise ValueError("an address has no spaces or control characters")
    parts = urlsplit(url)  # Raises ValueError on brackets that are no IPv6 address.
    if parts.scheme.lower() not in {"http", "https"} or not parts.hostname:
        raise ValueError("an address begins with http:// or https:// and names a host")
    _ = parts.port  # Raises ValueError on a port that is none.
    return url


Url = Annotated[
    str, StringConstraints(min_length=1, max_length=URL_MAX, strict=True), AfterValidator(_web_address)
]
Duration = Annotated[float, Field(ge=0, le=10_000_000, allow_inf_nan=False)]


class SubtitleDraft(Shape):
    """A subtitle track."""

    url: Url
    title: Title = ""
    language: Annotated[str, StringConstraints(max_length=35, pattern=r"^[A-Za-z0-9-]*$")] = ""


Subtitles = Annotated[tuple[SubtitleDraft, ...], Field(max_length=32)]


class ItemDraft(Shape):
    """A new item: a file behind a URL, or a stream of this room."""

    kind: ItemKind = ItemKind.URL
    title: Title = ""
    url: Url | None = None
    stream: Id | None = None
    duration: Duration | None = None
    """Seconds, where known: the item ends then, whoever watches."""
    subtitles: Subtitles = ()
    before: Id | None = None
    """The item to stand in front of; absent: at the end."""

    @model_validator(mode="after")
    def _one_source(self) -> ItemDraft:
        if (self.kind is ItemKind.URL) != (self.url is not None):
            raise ValueError("an item of kind url has a url, and no other has")
        if (self.kind is ItemKind.LIVE) != (self.stream is not None):
            raise ValueError("an item of kind live has a stream, and no other has")
        return self


class ItemPatch(Shape):
    """What is absent stays."""

    title: Annotated[str, StringConstraints(max_length=TITLE_MAX, strict=True)] | None = None
    url: Url | None = None
    duration: Duration | None = None
    subtitles: Subtitles | None = None


class ItemMove(Shape):
    """Where the item goes: in front of `before`, or to the end."""

    parent: None = None
    """Folders: there are none yet, so null."""
    before: Id | None = None


class PlaylistPage(Page[Item]):
    """A page of the playlist at `version`."""

    version: int


def _order(item: Item) -> tuple[int, str]:
    return item.position, item.id


def _subtitles(drafts: tuple[SubtitleDraft, ...]) -> tuple[Subtitle, ...]:
    return tuple(Subtitle(url=draft.url, title=draft.title, language=draft.language) for draft in drafts)


def _require_own(member: Membership, item: Item, *, own: Permission, any_item: Permission) -> None:
    """One's own items want less than those of others."""
    if item.added_by.id == member.user.id and member.permissions & own:
        return
    require(member, any_item)


def _no_such_item() -> Refused:
    return Refused(ErrorCode.NOT_FOUND, "There is no such item.")


async def listing(call: Call) -> PlaylistPage:
    """Items in their order."""
    services, query, member = call.services, call.query(PageQuery), await call.membership()
    require(member, Permission.VIEW_PLAYLIST)
    room = member.room.id
    version = await services.playlist.version(services.pool, room)
    found = await services.playlist.page(services.pool, room, after=query.position(), limit=query.limit + 1)
    items, after = cut(found, query.limit, _order)
    return PlaylistPage(items=items, next=after, version=version)


async def add(call: Call) -> Item:
    """Add an item; a title is taken from the address where none is given."""
    services, wanted, member = call.services, call.body(ItemDraft), await call.membership()
    require(member, Permission.ADD_MOVIE)
    async with services.pool.acquire() as connection, connection.transaction():
        if wanted.stream is not None and not await services.playlist.stream_is_of(
            connection, wanted.stream, member.room.id
        ):
            raise Refused(
                ErrorCode.INVALID, "Some values are not right.",
                errors=[{"path": "stream", "detail": "no stream of this room"}],
            )  # fmt: skip
        item = await playlists.add_item(
            services, connection, member, kind=wanted.kind, title=wanted.title, url=wanted.url,
            stream=wanted.stream, duration=wanted.duration, subtitles=_subtitles(wanted.subtitles),
            before=wanted.before,
        )  # fmt: skip
    services.outbox.kick()
    return item


async def edit(call: Call) -> Item:
    """Another title, address, duration or subtitles."""
    services, wanted, member = call.services, call.body(ItemPatch), await call.membership()
    async with services.pool.acquire() as connection, connection.transaction():
        await services.rooms.lock(connection, member.room.id)
        item = await services.playlist.by_id(connection, member.room.id, call.id("item"))
        if item is None:
            raise _no_such_item()
        _require_own(member, item, own=Permission.EDIT_MOVIE_SELF, any_item=Permission.EDIT_MOVIE_ANY)
        changed = _edited(item, wanted)
        await playlists.edit_item(services, connection, member, changed)
    services.outbox.kick()
    return changed


def _edited(item: Item, wanted: ItemPatch) -> Item:
    given = wanted.model_fields_set
    update: dict[str, object] = {}
    if wanted.url is not None:
        if item.kind is not ItemKind.URL:
            raise Refused(
                ErrorCode.INVALID, "Some values are not right.",
                errors=[{"path": "url", "detail": "only an item of kind url has one"}],
            )  # fmt: skip
        update["url"] = wanted.url
    if wanted.title is not None:
        title = clean_text(wanted.title)
        url = wanted.url or item.url
        update["title"] = title or (playlists.title_from_url(url) if url else item.title)
    if "duration" in given:
        update["duration"] = wanted.duration
    if wanted.subtitles is not None:
        update["subtitles"] = _subtitles(wanted.subtitles)
    return item.model_copy(update=update)


async def move(call: Call) -> Item:
    """Put an item somewhere else."""
    services, wanted, member = call.services, call.body(ItemMove), await call.membership()
    require(member, Permission.REORDER_PLAYLIST)
    async with services.pool.acquire() as connection, connection.transaction():
        item = await playlists.move_item(services, connection, member, call.id("item"), wanted.before)
    services.outbox.kick()
    return item


async def remove(call: Call) -> None:
    """Take an item off."""
    services, member = call.services, await call.membership()
    async with services.pool.acquire() as connection, connection.transaction():
        item = await services.playlist.by_id(connection, member.room.id, call.id("item"))
        if item is None:
            raise _no_such_item()
        _require_own(member, item, own=Permission.DELETE_MOVIE_SELF, any_item=Permission.DELETE_MOVIE_ANY)
        if not await playlists.remove_item(services, connection, member, item):
            raise _no_such_item()
    services.outbox.kick()


async def clear(call: Call) -> None:
    """Take all items off."""
    services, member = call.services, await call.membership()
    require(member, Permission.CLEAR_PLAYLIST)
    async with services.pool.acquire() as connection, connection.transaction():
        await playlists.clear(services, connection, member)
    services.outbox.kick()


def add_routes(app: web.Application) -> None:
    """Register the resource."""
    errors = (ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN)
    add_endpoints(
        app,
        [
            Endpoint(
                "GET", "rooms/{room}/playlist", listing, "The playlist", "playlist", query=PageQuery,
                answer=PlaylistPage, errors=errors,
            ),
            Endpoint(
                "POST", "rooms/{room}/playlist", add, "Add an item", "playlist", body=ItemDraft,
                answer=Item, status=201, errors=(*errors, ErrorCode.CONFLICT),
            ),
            Endpoint("DELETE", "rooms/{room}/playlist", clear, "Clear the playlist", "playlist", errors=errors),
            Endpoint(
                "PATCH", "rooms/{room}/playlist/{item}", edit, "Edit an item", "playlist", body=ItemPatch,
                answer=Item, errors=errors,
            ),
            Endpoint(
                "DELETE", "rooms/{room}/playlist/{item}", remove, "Remove an item", "playlist", errors=errors
            ),
            Endpoint(
                "POST", "rooms/{room}/playlist/{item}/move", move, "Move an item", "playlist",
                body=ItemMove, answer=Item, errors=errors,
            ),
        ],
    )  # fmt: skip
