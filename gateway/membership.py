"""Who somebody is in a room and what he may do there: asked by HTTP and socket alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.messages.base import TOKEN
from bus_schemas.messages.room import MemberChanged
from bus_schemas.messages.shapes import Member, Room, User, UserRef
from bus_schemas.permissions import MemberState, Permission, RoomRole, effective_mask
from gateway.auth.principal import Principal
from gateway.services import Services
from runtime.clock import now_ms

ID_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Membership:
    """One member of one room, read together; stale as soon as a MemberChanged or SettingsChanged says so."""

    room: Room
    user: User
    role: RoomRole
    state: MemberState
    added: int
    removed: int
    joined_at: int
    fresh: bool = False
    """Whether `join` has just made it."""

    @property
    def permissions(self) -> Permission:
        """The effective mask."""
        return effective_mask(
            self.role,
            self.state,
            added=self.added,
            removed=self.removed,
            room_defaults=role_defaults(self.room),
        )

    @property
    def ref(self) -> UserRef:
        """The user as named beside what he did."""
        return UserRef(id=self.user.id, username=self.user.username)

    def as_member(self, *, online: bool = False) -> Member:
        """The shape clients see."""
        return Member(
            user=self.user,
            role=self.role,
            state=self.state,
            permissions=int(self.permissions),
            online=online,
        )


def role_defaults(room: Room) -> dict[RoomRole, Permission]:
    """The room's own role defaults, where it has any."""
    return {role: Permission(mask) for role, mask in room.settings.role_defaults.items()}


def check_id(value: str, what: str = "room") -> str:
    """The id, if it is one; raises `Refused` not_found for what could never be one (dots, wildcards)."""
    if len(value) > ID_MAX or not TOKEN.fullmatch(value):
        raise Refused(ErrorCode.NOT_FOUND, f"There is no such {what}.")
    return value


def no_such_room() -> Refused:
    """For a room that does not exist, or whose existence is a secret."""
    return Refused(ErrorCode.NOT_FOUND, "There is no such room.")


async def membership(services: Services, room_id: str, principal: Principal) -> Membership:
    """The caller's membership.

    Raises `Refused`: not_found for an unknown room and for a hidden one he is not in, forbidden where he
    is banned, still waits for approval, or has not joined.
    """
    found = await services.members.find(services.pool, check_id(room_id), principal.user.id)
    if found is None:
        room = await services.rooms.by_id(services.pool, room_id)
        if room is None or room.hidden:
            raise no_such_room()
        raise Refused(ErrorCode.FORBIDDEN, "Join the room first.")
    _check_active(found)
    return found


def require(member: Membership, permission: Permission) -> None:
    """Raises `Refused` forbidden unless the member may do all of `permission`."""
    if missing := permission & ~member.permissions:
        names = ", ".join(bit.name for bit in missing if bit.name)
        raise Refused(ErrorCode.FORBIDDEN, f"You may not do that in this room ({names}).")


async def join(
    services: Services, room_id: str, principal: Principal, password: str | None = None
) -> Membership:
    """Make the caller a member, or find that he is one: a member needs no password again.

    Raises `Refused`: not_found for an unknown room; forbidden for a missing or wrong password, a ban, a
    guest where guests are not let in; conflict where the room is full; rate_limited after too many guesses.
    """
    found = await services.members.find(services.pool, check_id(room_id), principal.user.id)
    if found is not None:
        _check_active(found)
        return found
    locked = await services.rooms.with_password(services.pool, room_id)
    if locked is None:
        raise no_such_room()
    room, password_hash = locked
    if principal.user.guest and not room.settings.guest_access:
        raise Refused(ErrorCode.FORBIDDEN, "Guests are not let into this room: sign in with an account.")
    if password_hash is not None:
        if not password:
            raise Refused(ErrorCode.FORBIDDEN, "This room has a password.")
        limits = services.ctx.settings.limits
        await services.limits.take(
            "room-password", f"{room_id}.{principal.user.id}", per_minute=limits.sign_ins_per_minute
        )
        if not await services.passwords.matches(password_hash, password):
            raise Refused(ErrorCode.FORBIDDEN, "The room's password is another one.")
    role = RoomRole.GUEST if principal.user.guest else RoomRole.MEMBER
    async with services.pool.acquire() as connection, connection.transaction():
        if room.settings.member_limit:
            # The room's row is the lock: two who come at once cannot both take the last place.
            await services.rooms.lock(connection, room_id)
            if await services.members.count(connection, room_id) >= room.settings.member_limit:
                raise Refused(ErrorCode.CONFLICT, "The room is full.")
        made = await services.members.add(connection, room_id, principal.user.id, role, now_ms())
        member = await services.members.find(connection, room_id, principal.user.id)
    if member is None:  # The room or the account went meanwhile.
        raise no_such_room()
    _check_active(member)
    return replace(member, fresh=made)


async def leave(services: Services, room_id: str, principal: Principal) -> None:
    """End the caller's membership; the others are told. Raises `Refused`: conflict for the creator."""
    member = await membership(services, room_id, principal)
    if member.role is RoomRole.CREATOR:
        raise Refused(ErrorCode.CONFLICT, "A room's creator cannot leave it: delete the room instead.")
    async with services.pool.acquire() as connection, connection.transaction():
        if await services.members.remove(connection, room_id, principal.user.id):
            event = MemberChanged(room=room_id, at=now_ms(), change="left", member=member.as_member())
            await services.outbox.add(connection, room_id, event)
    services.outbox.kick()


def _check_active(member: Membership) -> None:
    if member.user.state is not MemberState.ACTIVE:
        raise Refused(ErrorCode.FORBIDDEN, "This account may not do anything now.")
    if member.state is MemberState.BANNED:
        raise Refused(ErrorCode.FORBIDDEN, "You are banned from this room.")
    if member.state is MemberState.PENDING:
        raise Refused(ErrorCode.FORBIDDEN, "You wait for somebody to let you in.")
