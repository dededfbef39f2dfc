"""`rooms/{room}/playlist`: what a room watches."""

from __future__ import annotations

from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import AfterValidator, Field, RootModel, StringConstraints, model_validator

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.limits import EVENT_ITEMS_MAX, LEARNED_DURATION_MAX_S, TITLE_MAX, URL_MAX
from bus_schemas.messages.base import EpochMs, Id, Shape
from bus_schemas.messages.shapes import Item, ItemKind, Subtitle, UserRef
from bus_schemas.permissions import Permission
from gateway import playlists
from gateway.http.endpoints import Call, Endpoint, add_endpoints
from gateway.http.paging import Page, PageQuery, cut
from gateway.membership import Membership, require
from gateway.names import Title, clean_text, is_control
from gateway.playlists import Draft


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
Duration = Annotated[float, Field(ge=0, le=10_000_000, allow_inf_nan=False, strict=True)]


class SubtitleDraft(Shape):
    """A subtitle track."""

    url: Url
    title: Title = ""
    language: Annotated[str, StringConstraints(max_length=35, pattern=r"^[A-Za-z0-9-]*$")] = ""


Subtitles = Annotated[tuple[SubtitleDraft, ...], Field(max_length=32)]


Version = Annotated[int, Field(ge=0, lt=1 << 53)]


class ItemContent(Shape):
    """What a new item is: a file behind a URL, a stream of this room, or a folder."""

    kind: ItemKind = ItemKind.URL
    title: Title = ""
    url: Url | None = None
    stream: Id | None = None
    duration: Duration | None = None
    """Seconds, where known: the item ends then, whoever watches."""
    subtitles: Subtitles = ()

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        _check_source(self)
        return self


def _check_source(item: ItemContent) -> None:
    if (item.kind is ItemKind.URL) != (item.url is not None):
        raise ValueError("an item of kind url has a url, and no other has")
    if (item.kind is ItemKind.LIVE) != (item.stream is not None):
        raise ValueError("an item of kind live has a stream, and no other has")
    if item.kind is ItemKind.FOLDER and not item.title:
        raise ValueError("a folder has a title")
    if item.kind is ItemKind.FOLDER and (item.duration is not None or item.subtitles):
        raise ValueError("a folder has neither duration nor subtitles")


class ItemDraft(ItemContent):
    """A new item, or with `items` several in their order, all of them or none."""

    parent: Id | None = None
    """The folder it goes into; absent: that of `before`, else the top."""
    before: Id | None = None
    """The item to stand in front of; absent: at the end."""
    version: Version | None = None
    """The playlist's version this is based on: another one now is a conflict. `If-Match` says the same."""
    items: Annotated[tuple[ItemContent, ...], Field(min_length=1, max_length=EVENT_ITEMS_MAX)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.items is None:
            _check_source(self)
        elif self.model_fields_set - {"items", "parent", "before", "version"}:
            raise ValueError("beside items there is parent, before and version only")
        return self


class ItemsAdded(Shape):
    """The answer to several at once."""

    items: tuple[Item, ...]


class Added(RootModel[Item | ItemsAdded]):
    """The new item; or, where `items` were given, all of them."""


class ItemPatch(Shape):
    """What is absent stays."""

    title: Annotated[str, StringConstraints(max_length=TITLE_MAX, strict=True)] | None = None
    url: Url | None = None
    duration: Duration | None = None
    subtitles: Subtitles | None = None
    version: Version | None = None
    """As of an addition."""


class ItemMove(Shape):
    """Where the item goes: in front of `before`, or to the end."""

    parent: Id | None = None
    """The folder it goes into, null for the top; absent: that of `before`, else the one it is in."""
    before: Id | None = None
    version: Version | None = None
    """As of an addition."""


class LearnedDuration(Shape):
    """What a player found to be a file's length."""

    duration: Annotated[float, Field(ge=0.5, le=LEARNED_DURATION_MAX_S, allow_inf_nan=False, strict=True)]
    """Seconds. Taken once, of an item that has none; else nothing changes."""


class PlaylistUndo(Shape):
    """Taking the last change back."""

    version: Version | None = None
    """As of an addition."""


class PlaylistUndone(Shape):
    """What was taken back: the kind of the change, and whose it was; `version` is that of now."""

    change: str
    by: Id
    version: int


class Play(Shape):
    """An item the room came to, by its title then; it may be gone since."""

    item: Id
    title: str
    kind: ItemKind
    at: EpochMs
    by: UserRef | None
    """Null: the item before it had ended."""


class PlaylistPage(Page[Item]):
    """A page of the playlist at `version`."""

    version: int


FIRST_PLAY: Final = ((1 << 62) - 1, 0)
"""Later than any."""


def _based_on(call: Call, version: int | None = None) -> int | None:
    """The playlist's version a change is based on, by its body or by `If-Match`."""
    given = call.request.headers.get("If-Match", "*").strip().removeprefix("W/").strip('"')
    if given == "*":
        return version
    if not (given.isascii() and given.isdigit() and len(given) <= 15):
        raise Refused(
            ErrorCode.INVALID, "Some values are not right.",
            errors=[{"path": "If-Match", "detail": "a version of the playlist, or *"}],
        )  # fmt: skip
    return int(given)


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


async def history(call: Call) -> Page[Play]:
    """What the room played, newest first."""
    services, query, member = call.services, call.query(PageQuery), await call.membership()
    require(member, Permission.VIEW_PLAYLIST)
    before = FIRST_PLAY
    if (position := query.position()) is not None:
        if not position[1].isdigit() or len(position[1]) > 15:
            raise Refused(ErrorCode.INVALID, "Some values are not right.")
        before = (position[0], int(position[1]))
    found = await services.playlist.plays(services.pool, member.room.id, before=before, limit=query.limit + 1)
    rows, after = cut(found, query.limit, lambda play: (play.at, str(play.revision)))
    plays = tuple(Play(item=row.item, title=row.title, kind=row.kind, at=row.at, by=row.by) for row in rows)
    return Page[Play](items=plays, next=after)


async def add(call: Call) -> Added:
    """Add an item, or several; a title is taken from the address where none is given."""
    services, wanted, member = call.services, call.body(ItemDraft), await call.membership()
    require(member, Permission.ADD_MOVIE)
    contents: tuple[ItemContent, ...] = (wanted,) if wanted.items is None else wanted.items
    async with services.pool.acquire() as connection, connection.transaction():
        for number, content in enumerate(contents):
            if content.stream is not None and not await services.playlist.stream_is_of(
                connection, content.stream, member.room.id
            ):
                path = "stream" if wanted.items is None else f"items.{number}.stream"
                raise Refused(
                    ErrorCode.INVALID, "Some values are not right.",
                    errors=[{"path": path, "detail": "no stream of this room"}],
                )  # fmt: skip
        drafts = [
            Draft(
                content.kind, title=content.title, url=content.url, stream=content.stream,
                duration=content.duration, subtitles=_subtitles(content.subtitles),
            )
            for content in contents
        ]  # fmt: skip
        items = await playlists.add_items(
            services, connection, member, drafts, parent=wanted.parent, before=wanted.before,
            expected=_based_on(call, wanted.version),
        )  # fmt: skip
    services.outbox.kick()
    return Added(items[0] if wanted.items is None else ItemsAdded(items=items))


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
        await playlists.edit_item(
            services, connection, member, item, changed, expected=_based_on(call, wanted.version)
        )
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
    if item.kind is ItemKind.FOLDER and (wanted.duration is not None or wanted.subtitles):
        raise Refused(
            ErrorCode.INVALID, "Some values are not right.",
            errors=[{"path": "duration" if wanted.duration is not None else "subtitles",
                     "detail": "a folder has none"}],
        )  # fmt: skip
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
        item = await playlists.move_item(
            services, connection, member, call.id("item"), before=wanted.before, parent=wanted.parent,
            stay="parent" not in wanted.model_fields_set, expected=_based_on(call, wanted.version),
        )  # fmt: skip
    services.outbox.kick()
    return item


async def learn(call: Call) -> Item:
    """Say how long a file is whose length nobody knew."""
    services, wanted, member = call.services, call.body(LearnedDuration), await call.membership()
    limit = services.ctx.settings.limits.commands_per_second
    services.limits.take_now("learn", f"{member.room.id}.{member.user.id}", limit)
    async with services.pool.acquire() as connection, connection.transaction():
        item = await playlists.learn_duration(services, connection, member, call.id("item"), wanted.duration)
    services.outbox.kick()
    return item


async def undo(call: Call) -> PlaylistUndone:
    """Take the last change of the playlist back, whoever made it, if one may."""
    services, wanted, member = call.services, call.body(PlaylistUndo), await call.membership()
    async with services.pool.acquire() as connection, connection.transaction():
        change, version = await playlists.undo(
            services, connection, member, expected=_based_on(call, wanted.version)
        )
    services.outbox.kick()
    return PlaylistUndone(change=change.change, by=change.by, version=version)


async def remove(call: Call) -> None:
    """Take an item off."""
    services, member = call.services, await call.membership()
    async with services.pool.acquire() as connection, connection.transaction():
        item = await services.playlist.by_id(connection, member.room.id, call.id("item"))
        if item is None:
            raise _no_such_item()
        _require_own(member, item, own=Permission.DELETE_MOVIE_SELF, any_item=Permission.DELETE_MOVIE_ANY)
        if not await playlists.remove_item(services, connection, member, item, expected=_based_on(call)):
            raise _no_such_item()
    services.outbox.kick()


async def clear(call: Call) -> None:
    """Take all items off."""
    services, member = call.services, await call.membership()
    require(member, Permission.CLEAR_PLAYLIST)
    async with services.pool.acquire() as connection, connection.transaction():
        await playlists.clear(services, connection, member, expected=_based_on(call))
    services.outbox.kick()


def add_routes(app: web.Application) -> None:
    """Register the resource."""
    errors = (ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN)
    changing = (*errors, ErrorCode.CONFLICT, ErrorCode.INVALID)
    add_endpoints(
        app,
        [
            Endpoint(
                "GET", "rooms/{room}/playlist", listing, "The playlist", "playlist", query=PageQuery,
                answer=PlaylistPage, errors=errors,
            ),
            Endpoint(
                "POST", "rooms/{room}/playlist", add, "Add an item, or several", "playlist", body=ItemDraft,
                answer=Added, status=201, errors=changing,
            ),
            Endpoint(
                "DELETE", "rooms/{room}/playlist", clear, "Clear the playlist", "playlist", errors=changing
            ),
            Endpoint(
                "GET", "rooms/{room}/playlist/history", history, "What the room played", "playlist",
                query=PageQuery, answer=Page[Play], errors=errors,
            ),
            Endpoint(
                "POST", "rooms/{room}/playlist/undo", undo, "Take the last change back", "playlist",
                body=PlaylistUndo, answer=PlaylistUndone, errors=changing,
            ),
            Endpoint(
                "PATCH", "rooms/{room}/playlist/{item}", edit, "Edit an item", "playlist", body=ItemPatch,
                answer=Item, errors=changing,
            ),
            Endpoint(
                "DELETE", "rooms/{room}/playlist/{item}", remove, "Remove an item", "playlist", errors=changing
            ),
            Endpoint(
                "POST", "rooms/{room}/playlist/{item}/duration", learn, "Report a file's length", "playlist",
                body=LearnedDuration, answer=Item, errors=(*errors, ErrorCode.RATE_LIMITED),
            ),
            Endpoint(
                "POST", "rooms/{room}/playlist/{item}/move", move, "Move an item", "playlist",
                body=ItemMove, answer=Item, errors=changing,
            ),
        ],
    )  # fmt: skip
