"""Handing a room over: one creator before, one after, in one transaction."""

from __future__ import annotations

from dataclasses import replace

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.messages.room import MemberChanged, SettingsChanged
from bus_schemas.messages.shapes import UserRef
from bus_schemas.permissions import RoomRole, SiteRole
from gateway.auth.principal import Principal
from gateway.db.queries import Connection
from gateway.member_changes import check_transfer
from gateway.membership import Membership, no_such_room
from gateway.services import Services
from runtime.clock import now_ms


async def hand_over(
    services: Services, room_id: str, principal: Principal, user: str, address: str
) -> Membership:
    """Make `user` the creator of the room, the creator until now an admin; everybody is told.

    Raises `Refused`: not_found for an unknown room or member, forbidden unless the caller is its creator or root of
    the site, conflict where the other has as many rooms as one may have.
    """
    async with services.pool.acquire() as connection, connection.transaction():
        room = await services.rooms.lock(connection, room_id)
        actor = await services.members.find(connection, room_id, principal.user.id)
        account = await services.accounts.by_id(connection, principal.user.id)
        root = account is not None and account.role is SiteRole.ROOT
        if room is None or (room.hidden and actor is None and not root):
            raise no_such_room()
        target = await services.members.lock(connection, room_id, user)
        if target is None:
            raise Refused(ErrorCode.NOT_FOUND, "There is no such member.")
        check_transfer(actor, target, site_root=root)
        if target.role is RoomRole.CREATOR:
            return target
        await check_rooms(services, connection, user)
        before = await services.members.lock(connection, room_id, room.creator.id)
        room = room.model_copy(update={"creator": target.ref})
        await services.rooms.hand_over(connection, room_id, user)
        roles = [(replace(target, room=room), RoomRole.CREATOR)]
        if before is not None:
            roles.append((replace(before, room=room), RoomRole.ADMIN))
        changed = [await _change_role(services, connection, member, role) for member, role in reversed(roles)]
        by = UserRef(id=principal.user.id, username=principal.user.username)
        event = SettingsChanged(room=room_id, at=now_ms(), settings=room, by=by)
        await services.outbox.add(connection, room_id, event)
        await services.audit.record(
            connection, "room.handed_over", actor=principal.user.id, target=f"{room_id}/{user}", address=address,
            detail={"before": before.user.id if before is not None else ""},
        )  # fmt: skip
    services.outbox.kick()
    return changed[-1]


async def check_rooms(services: Services, connection: Connection, user: str) -> None:
    """Raises `Refused` conflict for one who has as many rooms as one may have; holds the count until the end."""
    await services.accounts.lock(connection, user)
    limit = services.ctx.settings.limits.rooms_per_user
    if len(await services.rooms.created_by(connection, user)) >= limit:
        raise Refused(ErrorCode.CONFLICT, f"One user may have {limit} rooms.")


async def _change_role(
    services: Services, connection: Connection, member: Membership, role: RoomRole
) -> Membership:
    changed = replace(member, role=role)
    room = member.room.id
    await services.members.change(
        connection, room, member.user.id, role=role, state=member.state, added=member.added, removed=member.removed
    )  # fmt: skip
    event = MemberChanged(room=room, at=now_ms(), change="updated", member=changed.as_member())
    await services.outbox.add(connection, room, event)
    return changed
