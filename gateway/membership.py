"""Who somebody is in a room and what he may do there: asked by HTTP and socket alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.limits import PENDING_MAX
from bus_schemas.messages.base import TOKEN
from bus_schemas.messages.room import MemberChanged
from bus_schemas.messages.shapes import Member, Room, User, UserRef
from bus_schemas.permissions import MemberState, Permission, RoomRole, effective_mask
from gateway.auth.principal import Principal
from gateway.services import Services
from runtime.clock import now_ms

if TYPE_CHECKING:
    from gateway.db.queries import Connection

ID_MAX: Final = 64
TURNED_AWAY: Final = "turned away"
"""The reason for one who asked to come in and was not let in."""


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


def waiting() -> Refused:
    """For one whom nobody has let in yet."""
    return Refused(ErrorCode.FORBIDDEN, "You wait for somebody to let you in.")


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
    check_active(found)
    return found


def require(member: Membership, permission: Permission) -> None:
    """Raises `Refused` forbidden unless the member may do all of `permission`."""
    if missing := permission & ~member.permissions:
        names = ", ".join(bit.name for bit in missing if bit.name)
        raise Refused(ErrorCode.FORBIDDEN, f"You may not do that in this room ({names}).")


async def join(
    services: Services,
    room_id: str,
    principal: Principal,
    password: str | None = None,
    invitation: str | None = None,
) -> Membership:
    """Make the caller a member, or find that he is one: a member needs no password again.

    The membership is a pending one where the room wants approval. A valid invitation stands for password and
    approval. Raises `Refused`: not_found for an unknown room; forbidden for a missing or wrong password, an
    invitation that is not good, a ban, a guest where guests are not let in, and, with `retry_after`, for one who
    was put out a moment ago; conflict where the room is full; rate_limited after too many guesses.
    """
    found = await services.members.find(services.pool, check_id(room_id), principal.user.id)
    waits = found is not None and found.state is MemberState.PENDING
    if found is not None and not waits:
        check_active(found)
        return found
    locked = await services.rooms.with_password(services.pool, room_id)
    if locked is None:
        raise no_such_room()
    room, password_hash = locked
    if principal.user.guest and not room.settings.guest_access:
        raise Refused(ErrorCode.FORBIDDEN, "Guests are not let into this room: sign in with an account.")
    await _check_cooled_down(services, room_id, principal.user.id)
    if invitation is None:
        if found is not None:
            return found
        if password_hash is not None:
            await _check_password(services, room_id, principal, password_hash, password)
        if room.settings.approval:
            # Those who run the room hear of each question.
            limits = services.ctx.settings.limits
            subject = f"{room_id}.{principal.user.id}"
            await services.limits.take("room-question", subject, per_minute=limits.sign_ins_per_minute)
    async with services.pool.acquire() as connection, connection.transaction():
        member = await _enter(services, connection, room, principal, invitation)
    services.outbox.kick()
    return member


async def _check_cooled_down(services: Services, room: str, user: str) -> None:
    left_ms = await services.members.shut_out_until(services.pool, room, user) - now_ms()
    if left_ms > 0:
        seconds = math.ceil(left_ms / 1000)
        again = f"{seconds} second{'' if seconds == 1 else 's'}"
        raise Refused(
            ErrorCode.FORBIDDEN, f"You were put out of this room: come back in {again}.", retry_after=seconds
        )


async def _check_password(
    services: Services, room: str, principal: Principal, password_hash: str, password: str | None
) -> None:
    if not password:
        raise Refused(ErrorCode.FORBIDDEN, "This room has a password.")
    limits = services.ctx.settings.limits
    await services.limits.take(
        "room-password", f"{room}.{principal.user.id}", per_minute=limits.sign_ins_per_minute
    )
    if not await services.passwords.matches(password_hash, password):
        raise Refused(ErrorCode.FORBIDDEN, "The room's password is another one.")


async def _enter(
    services: Services, connection: Connection, room: Room, principal: Principal, invitation: str | None
) -> Membership:
    """Write the membership: active, or pending where somebody has to let the caller in first."""
    user, members = principal.user, services.members
    state = MemberState.PENDING if room.settings.approval and invitation is None else MemberState.ACTIVE
    if room.settings.member_limit or state is MemberState.PENDING:
        # The room's row is the lock: two who come at once cannot both take the last place.
        locked = await services.rooms.lock(connection, room.id)
        if locked is None:
            raise no_such_room()
        room = locked
    before = await members.find(connection, room.id, user.id)
    if before is not None and before.state is not MemberState.PENDING:
        check_active(before)  # He came by another connection meanwhile.
        return before
    if state is MemberState.ACTIVE:
        await check_place(services, connection, room)
    elif before is None and await members.count(connection, room.id, state) >= PENDING_MAX:
        raise Refused(ErrorCode.CONFLICT, "Too many people wait to be let in here: try again later.")
    if invitation is not None:
        await _use_invitation(services, connection, room.id, user.id, invitation)
    role = RoomRole.GUEST if user.guest else RoomRole.MEMBER
    await members.add(connection, room.id, user.id, role, now_ms(), state=state)
    if before is not None and state is MemberState.ACTIVE:
        await members.change(
            connection, room.id, user.id, role=before.role, state=state,
            added=before.added, removed=before.removed,
        )  # fmt: skip
    member = await members.find(connection, room.id, user.id)
    if member is None:  # The room or the account went meanwhile.
        raise no_such_room()
    if member.state is not MemberState.PENDING or member.user.state is not MemberState.ACTIVE:
        check_active(member)
    if member.state is MemberState.PENDING or before is not None:
        event = MemberChanged(room=room.id, at=now_ms(), change="updated", member=member.as_member())
        await services.outbox.add(connection, room.id, event)
    return member


async def check_place(services: Services, connection: Connection, room: Room) -> None:
    """Raises `Refused` conflict where the room is full; the caller has locked the room's row."""
    limit = room.settings.member_limit
    if limit and await services.members.count(connection, room.id) >= limit:
        raise Refused(ErrorCode.CONFLICT, "The room is full.")


async def _use_invitation(
    services: Services, connection: Connection, room: str, user: str, code: str
) -> None:
    """Count the user among those who came by it, once however often he comes."""
    found = None
    if len(code) <= ID_MAX and TOKEN.fullmatch(code):
        found = await services.invitations.lock(connection, room, code)
    if found is None:
        raise Refused(ErrorCode.FORBIDDEN, "This invitation leads nowhere: it was taken back, or mistyped.")
    if found.has_expired(now_ms()):
        raise Refused(ErrorCode.FORBIDDEN, "This invitation has expired: ask for another one.")
    if await services.invitations.was_used_by(connection, code, user):
        return
    if found.is_used_up:
        raise Refused(ErrorCode.FORBIDDEN, "This invitation is used up: ask for another one.")
    if not await services.invitations.count_use(connection, code, user):
        raise Refused(ErrorCode.UNAUTHENTICATED, "The account is gone.")


async def may_look_in(services: Services, room: str, user: str, code: str) -> bool:
    """Whether the code is an invitation that would let this user into the room now."""
    if len(code) > ID_MAX or not TOKEN.fullmatch(code):
        return False
    found = await services.invitations.find(services.pool, room, code)
    if found is None or found.has_expired(now_ms()):
        return False
    return not found.is_used_up or await services.invitations.was_used_by(services.pool, code, user)


async def leave(services: Services, room_id: str, principal: Principal) -> None:
    """End the caller's membership, or stop waiting for one; the others are told.

    Raises `Refused`: conflict for the creator.
    """
    member = await services.members.find(services.pool, check_id(room_id), principal.user.id)
    if member is None or member.state is not MemberState.PENDING:
        member = await membership(services, room_id, principal)
    if member.role is RoomRole.CREATOR:
        raise Refused(
            ErrorCode.CONFLICT,
            "A room's creator cannot leave it: hand it over to somebody first, or delete it.",
        )
    async with services.pool.acquire() as connection, connection.transaction():
        if await services.members.remove(connection, room_id, principal.user.id):
            event = MemberChanged(room=room_id, at=now_ms(), change="left", member=member.as_member())
            await services.outbox.add(connection, room_id, event)
    services.outbox.kick()


def check_active(member: Membership) -> None:
    """Raises `Refused` forbidden for one who is banned, here or on the site, or still waits to be let in."""
    if member.user.state is not MemberState.ACTIVE:
        raise Refused(ErrorCode.FORBIDDEN, "This account may not do anything now.")
    if member.state is MemberState.BANNED:
        raise Refused(ErrorCode.FORBIDDEN, "You are banned from this room.")
    if member.state is MemberState.PENDING:
        raise waiting()
