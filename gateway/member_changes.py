"""What somebody may change about another member. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.permissions import EVERYTHING, MemberState, Permission, RoomRole
from gateway.membership import Membership, require


@dataclass(frozen=True, slots=True)
class MemberChange:
    """What is wanted; None leaves it as it is."""

    role: RoomRole | None = None
    state: MemberState | None = None
    added: int | None = None
    removed: int | None = None


def check_target(actor: Membership, target: Membership) -> None:
    """Raises `Refused` forbidden where the actor may not touch the target at all."""
    if target.role is RoomRole.CREATOR:
        raise Refused(ErrorCode.FORBIDDEN, "The creator of a room cannot be changed or put out.")
    if target.user.id == actor.user.id:
        raise Refused(ErrorCode.FORBIDDEN, "Nobody changes his own rights; leave the room to go.")
    if target.role is RoomRole.ADMIN:
        require(actor, Permission.MANAGE_ADMIN)


def check_kick(actor: Membership, target: Membership) -> None:
    """Raises `Refused` forbidden unless the actor may put the target out, turn him away or lift his ban."""
    match target.state:
        case MemberState.ACTIVE:
            require(actor, Permission.KICK_MEMBER)
        case MemberState.PENDING:
            require(actor, Permission.APPROVE_MEMBER)
        case MemberState.BANNED:
            require(actor, Permission.BAN_MEMBER)
    check_target(actor, target)


def check_transfer(actor: Membership | None, target: Membership, *, site_root: bool) -> None:
    """Raises `Refused` forbidden unless the room may be handed over to the target.

    `actor` is the caller's membership, None where he has none. Only the creator hands a room over, and root.
    """
    if not site_root and (actor is None or actor.role is not RoomRole.CREATOR):
        raise Refused(ErrorCode.FORBIDDEN, "Only its creator hands a room over.")
    if target.state is not MemberState.ACTIVE or target.user.state is not MemberState.ACTIVE:
        raise Refused(ErrorCode.FORBIDDEN, "A room is handed over to an active member only.")
    if target.user.guest:
        raise Refused(
            ErrorCode.FORBIDDEN, "A room is handed over to somebody with an account, not to a guest."
        )


def check_change(actor: Membership, target: Membership, change: MemberChange) -> None:
    """Raises `Refused` unless the actor may make this change: `forbidden`, or `invalid` for one nobody can make."""
    if change.role is RoomRole.CREATOR:
        raise Refused(
            ErrorCode.INVALID, "Some values are not right.",
            errors=[{"path": "role", "detail": "a room has one creator: hand it over with nothing else"}],
        )  # fmt: skip
    if change.role is not None and change.role is not target.role:
        admins = RoomRole.ADMIN in {change.role, target.role}
        require(actor, Permission.MANAGE_ADMIN if admins else Permission.SET_MEMBER_PERMISSIONS)
    if change.state is not None and change.state is not target.state:
        if change.state is MemberState.PENDING:
            raise Refused(
                ErrorCode.INVALID, "Some values are not right.",
                errors=[{"path": "state", "detail": "nobody is made to wait who did not ask to come in"}],
            )  # fmt: skip
        banning = MemberState.BANNED in {change.state, target.state}
        require(actor, Permission.BAN_MEMBER if banning else Permission.APPROVE_MEMBER)
    toggled = 0
    if change.added is not None:
        toggled |= change.added ^ target.added
    if change.removed is not None:
        toggled |= change.removed ^ target.removed
    toggled &= int(EVERYTHING)
    if toggled:
        require(actor, Permission.SET_MEMBER_PERMISSIONS)
        if Permission(toggled) & ~actor.permissions:
            raise Refused(ErrorCode.FORBIDDEN, "You may not grant or take away what you may not do yourself.")
    check_target(actor, target)
