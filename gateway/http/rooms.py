"""`rooms`: make, list, show, change, delete, join, leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from aiohttp import web
from pydantic import Field, StringConstraints

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.limits import PENDING_MAX
from bus_schemas.messages.base import Shape
from bus_schemas.messages.room import MemberChanged, SettingsChanged
from bus_schemas.messages.shapes import Member, Room, RoomSettings, UserRef
from bus_schemas.permissions import EVERYTHING, PRESET_DEFAULTS, MemberState, Permission, Preset, RoomRole
from gateway import membership as rooms
from gateway.auth.sessions import check_account
from gateway.db.queries import Connection
from gateway.http.endpoints import Call, Endpoint, add_endpoints
from gateway.http.paging import Page, PageQuery, cut
from gateway.membership import ID_MAX, Membership, no_such_room, require
from gateway.names import RoomName
from gateway.online import counts_of
from gateway.ownership import check_rooms
from gateway.playlists import ask_to_reconcile, set_mode
from gateway.role_defaults import changed_role_defaults
from gateway.room_deletion import delete_room
from runtime.clock import now_ms
from runtime.ids import new_id

RoomPassword = Annotated[str, StringConstraints(max_length=256, strict=True)]
"""1 to 256 characters; an empty one means none."""
InvitationCode = Annotated[str, StringConstraints(min_length=1, max_length=ID_MAX, strict=True)]


class RoomDraft(Shape):
    """A new room; `settings` come on top of what the preset sets."""

    name: RoomName
    password: RoomPassword | None = Field(default=None, repr=False)
    hidden: bool = False
    settings: RoomSettings = RoomSettings()
    preset: Preset = Preset.TOGETHER


class RoomPatch(Shape):
    """What is absent stays; of `settings` likewise, and of its `role_defaults`. A null password is none."""

    name: RoomName | None = None
    password: RoomPassword | None = Field(default=None, repr=False)
    hidden: bool | None = None
    settings: RoomSettings | None = None
    preset: Preset | None = None
    """Sets the role defaults that a new room of this preset has; those in `settings` come on top."""


class RoomQuery(PageQuery):
    """`query` finds names that contain it, in whatever case."""

    query: Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00]*$")] = ""


class RoomListed(Room):
    """A room in a list."""

    online: int | None
    """How many are in it now; null where that cannot be told at the moment."""


class RoomShowQuery(Shape):
    """What somebody outside a hidden room shows to see it."""

    invitation: InvitationCode | None = None


class JoinRequest(Shape):
    """For those who are not members yet: the room's password, or an invitation instead."""

    password: RoomPassword | None = Field(default=None, repr=False)
    invitation: InvitationCode | None = None


class Joined(Shape):
    """The room, and who one is in it: with state `pending`, somebody has to let him in first."""

    room: Room
    member: Member


def _order(room: Room) -> tuple[int, str]:
    return room.created_at, room.id


async def create(call: Call) -> Room:
    """Make a room; the caller is its creator."""
    services, wanted = call.services, call.body(RoomDraft)
    user = await services.accounts.by_id(services.pool, call.principal.user.id)
    if user is None:
        raise Refused(ErrorCode.UNAUTHENTICATED, "The account is gone.")
    check_account(user)
    if user.guest:
        raise Refused(ErrorCode.FORBIDDEN, "Guests may not make rooms: sign in with an account.")
    defaults = changed_role_defaults(_preset_of(wanted.preset), wanted.settings.role_defaults, EVERYTHING)
    password_hash = await services.passwords.hash(wanted.password) if wanted.password else None
    room = Room(
        id=new_id(),
        name=wanted.name,
        hidden=wanted.hidden,
        has_password=password_hash is not None,
        creator=UserRef(id=user.id, username=user.username),
        settings=wanted.settings.model_copy(update={"role_defaults": defaults}),
        created_at=now_ms(),
    )
    async with services.pool.acquire() as connection, connection.transaction():
        await check_rooms(services, connection, user.id)
        await services.rooms.add(connection, room, password_hash)
        await services.members.add(connection, room.id, user.id, RoomRole.CREATOR, room.created_at)
        if room.settings.mode is not RoomSettings().mode:
            await set_mode(services, connection, room.id, room.settings.mode, None)
    services.outbox.kick()
    return room


async def _listed(call: Call, rooms: Sequence[Room]) -> tuple[RoomListed, ...]:
    online = await counts_of(call.services.ctx.bus, [room.id for room in rooms])
    return tuple(
        RoomListed(**dict(room), online=None if online is None else online.get(room.id, 0)) for room in rooms
    )


async def public(call: Call) -> Page[RoomListed]:
    """Rooms that are not hidden, newest first."""
    query = call.query(RoomQuery)
    found = await call.services.rooms.page(
        call.services.pool, query=query.query, after=query.position(), limit=query.limit + 1
    )
    items, after = cut(found, query.limit, _order)
    return Page[RoomListed](items=await _listed(call, items), next=after)


async def mine(call: Call) -> Page[RoomListed]:
    """Rooms one is a member of, newest first."""
    query = call.query(PageQuery)
    found = await call.services.rooms.page_of(
        call.services.pool, call.principal.user.id, after=query.position(), limit=query.limit + 1
    )
    items, after = cut(found, query.limit, _order)
    return Page[RoomListed](items=await _listed(call, items), next=after)


async def show(call: Call) -> Room:
    """One room; a hidden one is not found by those who are not in it and have no invitation."""
    services, room_id, user = call.services, call.id("room"), call.principal.user.id
    member = await services.members.find(services.pool, room_id, user)
    if member is not None and member.state is not MemberState.BANNED:
        return member.room
    room = await services.rooms.by_id(services.pool, room_id)
    if room is None:
        raise no_such_room()
    if room.hidden:
        code = call.query(RoomShowQuery).invitation
        if member is not None or code is None or not await rooms.may_look_in(services, room_id, user, code):
            raise no_such_room()
    return room


async def change(call: Call) -> Room:
    """Rename, hide, set; each field wants its own permission."""
    services, wanted = call.services, call.body(RoomPatch)
    member = await call.membership()
    given = wanted.model_fields_set
    if given & {"name", "hidden", "settings", "preset"}:
        require(member, Permission.SET_ROOM_SETTINGS)
    if "password" in given:
        require(member, Permission.SET_ROOM_PASSWORD)
    password_hash = await services.passwords.hash(wanted.password) if wanted.password else None
    async with services.pool.acquire() as connection, connection.transaction():
        room = await services.rooms.lock(connection, member.room.id)
        if room is None:
            raise no_such_room()
        changed = _changed(room, wanted, member)
        if "password" in given:
            await services.rooms.set_password(connection, room.id, password_hash)
            changed = changed.model_copy(update={"has_password": password_hash is not None})
        await services.rooms.change(connection, changed)
        before, after = room.settings, changed.settings
        if (before.wait, before.live_delay_ms) != (after.wait, after.live_delay_ms):
            await ask_to_reconcile(
                services, connection, room.id, member.ref, old_live_delay_ms=before.live_delay_ms
            )
        if wanted.settings is not None and "mode" in wanted.settings.model_fields_set:
            await set_mode(services, connection, room.id, after.mode, member.ref)
        if before.guest_access and not after.guest_access:
            await _put_guests_out(call, connection, room.id)
        if before.approval and not after.approval:
            await _let_in(call, connection, changed)
        await services.outbox.add(
            connection,
            room.id,
            SettingsChanged(room=room.id, at=now_ms(), settings=changed, by=member.ref),
        )
    services.outbox.kick()
    return changed


def _changed(room: Room, wanted: RoomPatch, member: Membership) -> Room:
    update: dict[str, object] = {}
    if wanted.name is not None:
        update["name"] = wanted.name
    if wanted.hidden is not None:
        update["hidden"] = wanted.hidden
    settings = wanted.settings or RoomSettings()
    parts = {name: getattr(settings, name) for name in settings.model_fields_set}
    if "role_defaults" in parts or wanted.preset is not None:
        defaults = _preset_of(wanted.preset) | settings.role_defaults
        parts["role_defaults"] = changed_role_defaults(
            room.settings.role_defaults, defaults, member.permissions
        )
    if parts:
        update["settings"] = room.settings.model_copy(update=parts)
    return room.model_copy(update=update)


def _preset_of(preset: Preset | None) -> dict[RoomRole, int]:
    """The role defaults of a preset; none of none."""
    return {} if preset is None else {role: int(mask) for role, mask in PRESET_DEFAULTS[preset].items()}


async def _put_guests_out(call: Call, connection: Connection, room: str) -> None:
    services = call.services
    for guest in await services.members.guests(connection, room):
        await services.members.remove(connection, room, guest.user.id)
        event = MemberChanged(
            room=room, at=now_ms(), change="left", member=guest.as_member(), removed="kicked",
            reason="guests are no longer let in",
        )  # fmt: skip
        await services.outbox.add(connection, room, event)


async def _let_in(call: Call, connection: Connection, room: Room) -> None:
    """Nobody has to wait any more: those who did are in, as many as there are places."""
    services, limit = call.services, room.settings.member_limit
    places = max(0, limit - await services.members.count(connection, room.id)) if limit else PENDING_MAX
    for member in await services.members.let_in(connection, room.id, places):
        event = MemberChanged(room=room.id, at=now_ms(), change="updated", member=member.as_member())
        await services.outbox.add(connection, room.id, event)


async def remove(call: Call) -> None:
    """Delete the room with all that is in it."""
    services, member = call.services, await call.membership()
    require(member, Permission.DELETE_ROOM)
    if not await delete_room(services, member.room.id, member.room.name, member.ref, address=call.address):
        raise no_such_room()


async def join(call: Call) -> Joined:
    """Become a member, or one who waits to be let in; harmless for one who is."""
    wanted = call.body(JoinRequest)
    member = await rooms.join(
        call.services, call.id("room"), call.principal, wanted.password, wanted.invitation
    )
    return Joined(room=member.room, member=member.as_member())


async def leave(call: Call) -> None:
    """Be a member no more."""
    await rooms.leave(call.services, call.id("room"), call.principal)


def add_routes(app: web.Application) -> None:
    """Register the resource."""
    unknown, denied, conflict = ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN, ErrorCode.CONFLICT
    add_endpoints(
        app,
        [
            Endpoint(
                "POST", "rooms", create, "Make a room", "rooms", body=RoomDraft, answer=Room, status=201,
                errors=(denied, conflict),
            ),
            Endpoint(
                "GET", "rooms", public, "Rooms that are not hidden, newest first", "rooms",
                query=RoomQuery, answer=Page[RoomListed], access="anybody",
            ),
            Endpoint(
                "GET", "rooms/mine", mine, "Rooms one is a member of", "rooms", query=PageQuery,
                answer=Page[RoomListed],
            ),
            Endpoint(
                "GET", "rooms/{room}", show, "One room", "rooms", query=RoomShowQuery, answer=Room,
                errors=(unknown,),
            ),
            Endpoint(
                "PATCH", "rooms/{room}", change, "Change a room", "rooms", body=RoomPatch, answer=Room,
                errors=(unknown, denied),
            ),
            Endpoint("DELETE", "rooms/{room}", remove, "Delete a room", "rooms", errors=(unknown, denied)),
            Endpoint(
                "POST", "rooms/{room}/join", join, "Become a member", "rooms", body=JoinRequest,
                answer=Joined, errors=(unknown, denied, conflict, ErrorCode.RATE_LIMITED),
            ),
            Endpoint(
                "POST", "rooms/{room}/leave", leave, "Be a member no more", "rooms",
                errors=(unknown, denied, conflict),
            ),
        ],
    )  # fmt: skip
