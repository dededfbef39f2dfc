"""`rooms/{room}/members`: who is there, and what they may."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from aiohttp import web

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.messages.base import Shape
from bus_schemas.messages.room import MemberChanged
from bus_schemas.messages.shapes import Member, Room
from bus_schemas.permissions import Mask, MemberState, Permission, RoomRole
from gateway.db.queries import Connection
from gateway.http.endpoints import Call, Endpoint, add_endpoints
from gateway.http.paging import Page, PageQuery, cut
from gateway.member_changes import MemberChange, check_change, check_kick
from gateway.membership import TURNED_AWAY, Membership, check_place, require
from gateway.online import online_in
from gateway.ownership import hand_over
from runtime.clock import now_ms


class MemberPatch(Shape):
    """What is absent stays. Masks are decimal strings."""

    role: RoomRole | None = None
    state: MemberState | None = None
    added: Mask | None = None
    removed: Mask | None = None


class MembersQuery(PageQuery):
    """Which members; without a state, all that one may see."""

    state: MemberState | None = None
    """`pending` for those who may let people in, `banned` for those who may ban."""


SEES: Final[dict[MemberState, Permission]] = {
    MemberState.ACTIVE: Permission.VIEW_MEMBER_LIST,
    MemberState.PENDING: Permission.APPROVE_MEMBER,
    MemberState.BANNED: Permission.BAN_MEMBER,
}
"""What it takes to see members in each state."""


def _order(member: Membership) -> tuple[int, str]:
    return member.joined_at, member.user.id


async def listing(call: Call) -> Page[Member]:
    """Members in the order they joined, or asked to."""
    services, query = call.services, call.query(MembersQuery)
    asking = await call.membership()
    wanted = query.state or MemberState.ACTIVE
    require(asking, SEES[wanted])
    states = [state for state, bit in SEES.items() if bit & asking.permissions]
    found = await services.members.page(
        services.pool, asking.room.id, after=query.position(), limit=query.limit + 1,
        states=[wanted] if query.state else states,
    )  # fmt: skip
    page, after = cut(found, query.limit, _order)
    online = await online_in(services.ctx.bus.js, asking.room.id)
    items = tuple(
        member.as_member(online=member.user.id in online).model_copy(
            update={"sync": online[member.user.id]} if member.user.id in online else {}
        )
        for member in page
    )
    return Page[Member](items=items, next=after)


async def change(call: Call) -> Member:
    """Another role, state or mask; the role `creator` hands the room over."""
    services, wanted = call.services, call.body(MemberPatch)
    if wanted.role is RoomRole.CREATOR and wanted.model_fields_set == {"role"}:
        room, user = call.id("room"), call.id("user")
        owner = await hand_over(services, room, call.principal, user, call.address)
        return owner.as_member(online=user in await online_in(services.ctx.bus.js, room))
    actor = await call.membership()
    asked = MemberChange(wanted.role, wanted.state, wanted.added, wanted.removed)
    room, user = actor.room.id, call.id("user")
    async with services.pool.acquire() as connection, connection.transaction():
        # The room before the member, as for one who comes in: nobody waits for nobody.
        locked = await services.rooms.lock(connection, room) if asked.state is MemberState.ACTIVE else None
        target = await services.members.lock(connection, room, user)
        if target is None:
            raise _no_such_member()
        check_change(actor, target, asked)
        if locked is not None and target.state is not MemberState.ACTIVE:
            await check_place(services, connection, locked)
        changed = replace(
            target,
            role=asked.role or target.role,
            state=asked.state or target.state,
            added=target.added if asked.added is None else asked.added,
            removed=target.removed if asked.removed is None else asked.removed,
        )
        await services.members.change(
            connection, room, user, role=changed.role, state=changed.state,
            added=changed.added, removed=changed.removed,
        )  # fmt: skip
        banned = changed.state is MemberState.BANNED and target.state is not MemberState.BANNED
        await services.outbox.add(
            connection, room, _event(changed, "left" if banned else "updated", "banned" if banned else None)
        )
        await services.audit.record(
            connection, "room.member_banned" if banned else "room.member_changed",
            actor=actor.user.id, target=f"{room}/{user}", address=call.address,
            detail={
                "role": changed.role.value, "state": changed.state.value,
                "added": str(changed.added), "removed": str(changed.removed),
            },
        )  # fmt: skip
    services.outbox.kick()
    if banned:
        await _end_playing(call, room, user)
    return changed.as_member(online=user in await online_in(services.ctx.bus.js, room))


async def kick(call: Call) -> None:
    """Put a member out, for a while; turn one away who waits; lift a ban."""
    services, actor = call.services, await call.membership()
    room, user = actor.room.id, call.id("user")
    async with services.pool.acquire() as connection, connection.transaction():
        target = await services.members.lock(connection, room, user)
        if target is None:
            raise _no_such_member()
        check_kick(actor, target)
        await services.members.remove(connection, room, user)
        if target.state is not MemberState.BANNED:
            await _shut_out(call, connection, actor.room, user)
            active = target.state is MemberState.ACTIVE
            event = _event(target, "left", "kicked") if active else _event(target, "left", None, TURNED_AWAY)
            await services.outbox.add(connection, room, event)
        await services.audit.record(
            connection, _KICKED[target.state], actor=actor.user.id, target=f"{room}/{user}",
            address=call.address,
        )  # fmt: skip
    services.outbox.kick()
    if target.state is MemberState.ACTIVE:
        await _end_playing(call, room, user)


_KICKED: Final[dict[MemberState, str]] = {
    MemberState.ACTIVE: "room.member_kicked",
    MemberState.PENDING: "room.member_turned_away",
    MemberState.BANNED: "room.member_unbanned",
}
"""What it is called to delete a member of each state."""


async def _shut_out(call: Call, connection: Connection, room: Room, user: str) -> None:
    """Who was put out stays out for a while, so that he is not back at once."""
    cooldown_s = room.settings.kick_cooldown_s
    if cooldown_s is None:
        cooldown_s = call.services.ctx.settings.rooms.kick_cooldown_s
    if cooldown_s:
        await call.services.members.shut_out(connection, room.id, user, now_ms() + cooldown_s * 1000)


async def _end_playing(call: Call, room: str, user: str) -> None:
    """The play tokens a member holds count no more: his players stop with their next playlist."""
    services = call.services
    streams = await services.streams.of_room(services.pool, room)
    await services.tokens.revocations.revoke_play(user, [stream.id for stream in streams])


def _event(
    member: Membership,
    what: Literal["left", "updated"],
    removed: Literal["kicked", "banned"] | None,
    reason: str = "",
) -> MemberChanged:
    shown = member.as_member(online=what == "updated")
    return MemberChanged(
        room=member.room.id, at=now_ms(), change=what, member=shown, removed=removed, reason=reason
    )


def _no_such_member() -> Refused:
    return Refused(ErrorCode.NOT_FOUND, "There is no such member.")


def add_routes(app: web.Application) -> None:
    """Register the resource."""
    errors = (ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN)
    add_endpoints(
        app,
        [
            Endpoint(
                "GET", "rooms/{room}/members", listing, "Members of a room", "members",
                query=MembersQuery, answer=Page[Member], errors=errors,
            ),
            Endpoint(
                "PATCH", "rooms/{room}/members/{user}", change, "Change a member's role, state or rights",
                "members", body=MemberPatch, answer=Member, errors=(*errors, ErrorCode.CONFLICT),
            ),
            Endpoint(
                "DELETE", "rooms/{room}/members/{user}", kick, "Put a member out", "members", errors=errors
            ),
        ],
    )  # fmt: skip
