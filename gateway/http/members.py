"""`rooms/{room}/members`: who is there, and what they may."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from aiohttp import web

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.messages.base import Shape
from bus_schemas.messages.room import MemberChanged
from bus_schemas.messages.shapes import Member
from bus_schemas.permissions import Mask, MemberState, Permission, RoomRole
from gateway.http.endpoints import Call, Endpoint, add_endpoints
from gateway.http.paging import Page, PageQuery, cut
from gateway.member_changes import MemberChange, check_change, check_kick
from gateway.membership import Membership, require
from gateway.online import online_in
from runtime.clock import now_ms


class MemberPatch(Shape):
    """What is absent stays. Masks are decimal strings."""

    role: RoomRole | None = None
    state: MemberState | None = None
    added: Mask | None = None
    removed: Mask | None = None


def _order(member: Membership) -> tuple[int, str]:
    return member.joined_at, member.user.id


async def listing(call: Call) -> Page[Member]:
    """Members in the order they joined."""
    services, query = call.services, call.query(PageQuery)
    asking = await call.membership()
    require(asking, Permission.VIEW_MEMBER_LIST)
    found = await services.members.page(
        services.pool, asking.room.id, after=query.position(), limit=query.limit + 1
    )
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
    """Another role, state or mask."""
    services, actor = call.services, await call.membership()
    wanted = call.body(MemberPatch)
    asked = MemberChange(wanted.role, wanted.state, wanted.added, wanted.removed)
    room, user = actor.room.id, call.id("user")
    async with services.pool.acquire() as connection, connection.transaction():
        target = await services.members.lock(connection, room, user)
        if target is None:
            raise _no_such_member()
        check_change(actor, target, asked)
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
    """Put a member out; he may join again unless he is banned."""
    services, actor = call.services, await call.membership()
    room, user = actor.room.id, call.id("user")
    async with services.pool.acquire() as connection, connection.transaction():
        target = await services.members.lock(connection, room, user)
        if target is None:
            raise _no_such_member()
        check_kick(actor, target)
        await services.members.remove(connection, room, user)
        await services.outbox.add(connection, room, _event(target, "left", "kicked"))
        await services.audit.record(
            connection, "room.member_kicked", actor=actor.user.id, target=f"{room}/{user}",
            address=call.address,
        )  # fmt: skip
    services.outbox.kick()
    await _end_playing(call, room, user)


async def _end_playing(call: Call, room: str, user: str) -> None:
    """The play tokens a member holds count no more: his players stop with their next playlist."""
    services = call.services
    streams = await services.streams.of_room(services.pool, room)
    await services.tokens.revocations.revoke_play(user, [stream.id for stream in streams])


def _event(
    member: Membership, what: Literal["left", "updated"], removed: Literal["kicked", "banned"] | None
) -> MemberChanged:
    shown = member.as_member(online=what == "updated")
    return MemberChanged(room=member.room.id, at=now_ms(), change=what, member=shown, removed=removed)


def _no_such_member() -> Refused:
    return Refused(ErrorCode.NOT_FOUND, "There is no such member.")


def add_routes(app: web.Application) -> None:
    """Register the resource."""
    errors = (ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN)
    add_endpoints(
        app,
        [
            Endpoint(
                "GET", "rooms/{room}/members", listing, "Members of a room", "members", query=PageQuery,
                answer=Page[Member], errors=errors,
            ),
            Endpoint(
                "PATCH", "rooms/{room}/members/{user}", change, "Change a member's role, state or rights",
                "members", body=MemberPatch, answer=Member, errors=errors,
            ),
            Endpoint(
                "DELETE", "rooms/{room}/members/{user}", kick, "Put a member out", "members", errors=errors
            ),
        ],
    )  # fmt: skip
