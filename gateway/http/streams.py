"""Live streams as a resource: made, described, given another key, taken away."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import BaseModel, Field

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.messages.base import Id
from bus_schemas.messages.live import PlayRightsChanged, StreamControl
from bus_schemas.messages.shapes import Item, ItemKind
from bus_schemas.permissions import Permission, SiteRole
from bus_schemas.streams import PUBLISHERS, STREAM_KEYS
from bus_schemas.subjects import LIVE_CONTROL
from gateway import playlists
from gateway.auth.principal import bearer_token
from gateway.db.queries import Connection
from gateway.db.streams import StreamRow
from gateway.http.endpoints import Call, Endpoint, add_endpoints
from gateway.http.paging import Page, PageQuery, cut
from gateway.http.stream_view import PlayTokenShown, StreamShown, shown
from gateway.live.admission import issue_play_token, no_such_stream
from gateway.live.liveness import offline
from gateway.live.stream_keys import hash_key, put_key
from gateway.membership import Membership, membership, require
from gateway.names import Title
from gateway.play_rights import tell_rights
from gateway.stream_keys import close_streams
from runtime.clock import now_ms
from runtime.emit import emit
from runtime.ids import new_id, new_secret
from runtime.kv import Bucket
from runtime.settings import Settings

RTMP_PORT: Final = 1935


class RoomStreamDraft(BaseModel):
    """A stream to be made in a room, with an item on its playlist."""

    title: Title = ""


class StreamDraft(BaseModel):
    """A stream to be made outside rooms."""

    title: Title = ""
    private: bool = False
    """Whether only its owner may play it."""


class NewStream(BaseModel):
    """A stream with its key, which is shown this once."""

    stream: Id
    rtmp_url: str
    """Where to publish; encoders ask for the key beside it."""
    stream_key: str
    item: Item | None = None
    """Its item on the room's playlist."""


class LimitsChange(BaseModel):
    """Limits within those of the site; 0: the site's own."""

    bitrate_kbps: int | None = Field(default=None, ge=0, lt=1 << 31)
    """Averaged over some seconds."""
    access_unit_bytes: int | None = Field(default=None, ge=0, lt=1 << 31)
    """Of one frame."""
    duration_s: int | None = Field(default=None, ge=0, lt=1 << 31)
    """Of one publish."""
    viewers: int | None = Field(default=None, ge=0, lt=1 << 31)
    """Over all gateways and protocols."""


class StreamChange(BaseModel):
    """What is to be another; what is left out stays."""

    title: Title | None = None
    private: bool | None = None
    limits: LimitsChange | None = None


async def create_in_room(call: Call) -> NewStream:
    """Make a stream and its playlist item."""
    services, member = call.services, await call.membership()
    require(member, Permission.PUBLISH_LIVE)
    draft = call.body(RoomStreamDraft)
    await _check_count(call)
    row, key = _new_row(call, draft.title, room=member.room.id, private=False)
    async with services.pool.acquire() as connection, connection.transaction():
        await services.streams.add(connection, row)
        draft_item = playlists.Draft(ItemKind.LIVE, title=row.title, stream=row.id)
        item = await playlists.add_item(services, connection, member, draft_item)
        await services.audit.record(
            connection, "stream.created", actor=row.owner, target=row.id, address=call.address
        )
    services.outbox.kick()
    await put_key(services, row)
    return NewStream(stream=row.id, rtmp_url=rtmp_url(call), stream_key=key, item=item)


async def create(call: Call) -> NewStream:
    """Make a stream outside rooms."""
    services = call.services
    if call.principal.user.guest:
        raise Refused(ErrorCode.FORBIDDEN, "Guests cannot make streams: sign in with an account.")
    draft = call.body(StreamDraft)
    await _check_count(call)
    row, key = _new_row(call, draft.title, room=None, private=draft.private)
    async with services.pool.acquire() as connection, connection.transaction():
        await services.streams.add(connection, row)
        await services.audit.record(
            connection, "stream.created", actor=row.owner, target=row.id, address=call.address
        )
    services.outbox.kick()
    await put_key(services, row)
    return NewStream(stream=row.id, rtmp_url=rtmp_url(call), stream_key=key)


async def show(call: Call) -> StreamShown:
    """Describe a stream; a restricted one to those who may play it."""
    services = call.services
    row = await _row(call)
    token = None
    if row.restricted:
        bearer = bearer_token(call.request)
        if bearer is None:
            raise Refused(ErrorCode.UNAUTHENTICATED, "This stream is private: sign in first.")
        issued = await issue_play_token(services, row.id, await services.tokens.verify(bearer))
        token = PlayTokenShown(token=issued.token, expires_at=issued.expires_at) if issued else None
    bearer = bearer_token(call.request)
    running = bearer is not None and await _runs(call, row, bearer)
    return (await shown(call, [row], token=token, private=running))[0]


async def list_own(call: Call) -> Page[StreamShown]:
    """The caller's streams."""
    services, query = call.services, call.query(PageQuery)
    position = query.position()
    rows = await services.streams.of_owner(
        services.pool, call.principal.user.id, after=position[1] if position else "", limit=query.limit + 1
    )
    page, after = cut(rows, query.limit, lambda row: (0, row.id))
    return Page[StreamShown](items=tuple(await shown(call, list(page), private=True)), next=after)


async def change(call: Call) -> StreamShown:
    """Another title, other limits, private or not; limits hold at once, for viewers from the next one on."""
    services = call.services
    row, _ = await _managed(call)
    draft = call.body(StreamChange)
    asked = draft.limits.model_dump(exclude_none=True) if draft.limits is not None else {}
    _check_limits(services.ctx.settings, asked)
    changed = replace(
        row,
        title=row.title if draft.title is None else draft.title,
        private=row.private if draft.private is None else draft.private,
        limits=row.limits.model_copy(update=asked),
    )
    async with services.pool.acquire() as connection, connection.transaction():
        if not await services.streams.edit(connection, changed):
            raise no_such_stream()
        await services.audit.record(
            connection,
            "stream.changed",
            actor=call.principal.user.id,
            target=row.id,
            address=call.address,
        )
    services.outbox.kick()
    await put_key(services, changed)
    if changed.private != row.private:
        await tell_rights(services.ctx.bus, PlayRightsChanged(stream=row.id))
    if changed.limits != row.limits:
        order = StreamControl(stream=row.id, action="limit", limits=changed.limits)
        await emit(services.ctx.bus, LIVE_CONTROL, order, stream=row.id)
    now = await services.streams.by_id(services.pool, row.id) or changed
    return (await shown(call, [now], private=True))[0]


def _check_limits(settings: Settings, asked: dict[str, int]) -> None:
    site = {
        "bitrate_kbps": settings.ingest.max_bitrate_kbps,
        "access_unit_bytes": settings.ingest.max_access_unit_bytes,
        "duration_s": settings.ingest.max_duration_s,
        "viewers": settings.limits.viewers_per_stream,
    }
    errors = [
        {"path": f"limits.{name}", "detail": f"the site allows at most {site[name]}"}
        for name, value in asked.items()
        if site[name] and value > site[name]
    ]
    if errors:
        raise Refused(ErrorCode.INVALID, "Some limits are over the site's.", errors=errors)


async def _runs(call: Call, row: StreamRow, bearer: str) -> bool:
    """Whether who asks runs the stream; somebody whose token is no good any more does not."""
    try:
        principal = await call.services.tokens.verify(bearer)
        user = principal.user
        if row.owner == user.id or user.role is not SiteRole.USER:
            return True
        if row.room is None:
            return False
        member = await membership(call.services, row.room, principal)
        require(member, Permission.SET_ROOM_SETTINGS)
    except Refused:
        return False
    return True


async def rotate_key(call: Call) -> NewStream:
    """Put another key in place of the stream's; who publishes by the old one goes on until he stops or is kicked."""
    services = call.services
    row, _ = await _managed(call)
    key = new_secret()
    async with services.pool.acquire() as connection, connection.transaction():
        if not await services.streams.set_key(connection, row.id, row.key_hash, hash_key(key)):
            raise Refused(ErrorCode.CONFLICT, "The key was changed just now by somebody else.")
        await services.audit.record(
            connection,
            "stream.key_rotated",
            actor=call.principal.user.id,
            target=row.id,
            address=call.address,
        )
    services.outbox.kick()
    await Bucket(services.ctx.bus.js, STREAM_KEYS).delete(row.key_hash)
    await put_key(services, replace(row, key_hash=hash_key(key)))
    return NewStream(stream=row.id, rtmp_url=rtmp_url(call), stream_key=key)


async def remove(call: Call) -> None:
    """Delete a stream with its playlist items; who publishes it is put off."""
    services = call.services
    row, member = await _managed(call)
    await close_streams(services, [(row.id, row.key_hash)], "stream deleted")
    async with services.pool.acquire() as connection, connection.transaction():
        if member is not None:
            await _remove_items(call, connection, member, row.id)
        await services.streams.remove(connection, row.id)
        await services.audit.record(
            connection, "stream.deleted", actor=call.principal.user.id, target=row.id, address=call.address
        )
    services.outbox.kick()
    await tell_rights(services.ctx.bus, PlayRightsChanged(stream=row.id))


async def kick(call: Call) -> None:
    """Put the publisher off; with the same key he may come back."""
    services = call.services
    row, _ = await _managed(call)
    if await Bucket(services.ctx.bus.js, PUBLISHERS).get(row.id) is None:
        raise offline(row.id)
    order = StreamControl(stream=row.id, reason="kicked")
    await emit(services.ctx.bus, LIVE_CONTROL, order, stream=row.id)
    async with services.pool.acquire() as connection, connection.transaction():
        await services.audit.record(
            connection, "stream.kicked", actor=call.principal.user.id, target=row.id, address=call.address
        )
    services.outbox.kick()


def rtmp_url(call: Call) -> str:
    """Where encoders publish to: as set, else the host the client reached us by."""
    settings = call.services.ctx.settings.gateway
    if settings.public_rtmp_url:
        return settings.public_rtmp_url.rstrip("/")
    host = urlsplit(call.services.addresses.origin(call.request, settings.public_url)).hostname or "localhost"
    host = f"[{host}]" if ":" in host else host
    port = "" if settings.rtmp_port == RTMP_PORT else f":{settings.rtmp_port}"
    return f"rtmp://{host}{port}/live"


async def _row(call: Call) -> StreamRow:
    row = await call.services.streams.by_id(call.services.pool, call.id("stream"))
    if row is None:
        raise no_such_stream()
    return row


async def _managed(call: Call) -> tuple[StreamRow, Membership | None]:
    """The stream, if the caller runs it: its owner, who may set the room's settings, the site's admins."""
    row = await _row(call)
    user = call.principal.user
    member = None
    if row.room is not None:
        member = await membership(call.services, row.room, call.principal)
        if row.owner != user.id:
            require(member, Permission.SET_ROOM_SETTINGS)
    elif row.owner != user.id and user.role is SiteRole.USER:
        if row.private:
            raise no_such_stream()
        raise Refused(ErrorCode.FORBIDDEN, "The stream is somebody else's.")
    return row, member


async def _check_count(call: Call) -> None:
    limit = call.services.ctx.settings.limits.streams_per_user
    if await call.services.streams.count_of(call.services.pool, call.principal.user.id) >= limit:
        raise Refused(ErrorCode.CONFLICT, f"You have {limit} streams already: delete one first.")


async def _remove_items(call: Call, connection: Connection, member: Membership, stream: str) -> None:
    services, room = call.services, member.room.id
    for item_id in await services.streams.items(connection, room, stream):
        item = await services.playlist.by_id(connection, room, item_id)
        if item is not None:
            await playlists.remove_item(services, connection, member, item, for_good=True)


def _new_row(call: Call, title: str, *, room: str | None, private: bool) -> tuple[StreamRow, str]:
    key = new_secret()
    row = StreamRow(
        id=new_id(), room=room, owner=call.principal.user.id, title=title, key_hash=hash_key(key),
        created_at=now_ms(), private=private, restricted=private,
    )  # fmt: skip
    return row, key


def add_routes(app: web.Application) -> None:
    """Register the resource."""
    unknown, denied, conflict = ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN, ErrorCode.CONFLICT
    add_endpoints(
        app,
        [
            Endpoint(
                "POST", "rooms/{room}/streams", create_in_room, "Make a stream in a room", "streams",
                body=RoomStreamDraft, answer=NewStream, status=201, errors=(unknown, denied, conflict),
            ),
            Endpoint(
                "POST", "streams", create, "Make a stream outside rooms", "streams", body=StreamDraft,
                answer=NewStream, status=201, errors=(denied, conflict),
            ),
            Endpoint(
                "GET", "streams/{stream}", show, "One stream, where to play it, with a play token",
                "streams", answer=StreamShown, access="anybody",
                errors=(unknown, denied, ErrorCode.UNAUTHENTICATED),
            ),
            Endpoint(
                "GET", "streams", list_own, "The caller's streams", "streams", query=PageQuery,
                answer=Page[StreamShown],
            ),
            Endpoint(
                "PATCH", "streams/{stream}", change, "Another title, other limits", "streams",
                body=StreamChange, answer=StreamShown, errors=(unknown, denied),
            ),
            Endpoint(
                "POST", "streams/{stream}/rotate-key", rotate_key, "Another key", "streams",
                answer=NewStream, errors=(unknown, denied, conflict),
            ),
            Endpoint(
                "DELETE", "streams/{stream}", remove, "Delete a stream", "streams", errors=(unknown, denied)
            ),
            Endpoint(
                "DELETE", "streams/{stream}/publisher", kick, "Put the publisher off", "streams",
                errors=(unknown, denied, ErrorCode.STREAM_OFFLINE),
            ),
        ],
    )  # fmt: skip
