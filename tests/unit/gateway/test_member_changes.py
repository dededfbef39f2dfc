"""Who may change what about whom, and which role defaults may be set."""

import itertools
from dataclasses import replace

import pytest

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.messages.shapes import Room, RoomSettings, User, UserRef
from bus_schemas.permissions import EVERYTHING, SITE_DEFAULTS, MemberState, Permission, RoomRole
from gateway.member_changes import MemberChange, check_change, check_kick, check_transfer
from gateway.membership import Membership
from gateway.role_defaults import changed_role_defaults

ROOM = Room(
    id="r", name="Room", hidden=False, has_password=False, creator=UserRef(id="creator", username="c"),
    settings=RoomSettings(), created_at=0,
)  # fmt: skip


def member(
    role: RoomRole, *, name: str = "", added: int = 0, state: MemberState = MemberState.ACTIVE
) -> Membership:
    user = User(id=name or role.value, username=name or role.value)
    return Membership(room=ROOM, user=user, role=role, state=state, added=added, removed=0, joined_at=0)


def refusal(actor: Membership, target: Membership, change: MemberChange) -> ErrorCode | None:
    try:
        check_change(actor, target, change)
    except Refused as exc:
        return exc.code
    return None


BAN = MemberChange(state=MemberState.BANNED)


@pytest.mark.parametrize(
    ("actor", "target", "change", "expected"),
    [
        (RoomRole.CREATOR, RoomRole.ADMIN, BAN, None),
        (RoomRole.CREATOR, RoomRole.MEMBER, MemberChange(role=RoomRole.ADMIN), None),
        (RoomRole.CREATOR, RoomRole.MEMBER, MemberChange(role=RoomRole.CREATOR), ErrorCode.INVALID),
        (RoomRole.CREATOR, RoomRole.MEMBER, MemberChange(added=int(Permission.DELETE_ROOM)), None),
        (RoomRole.ADMIN, RoomRole.MEMBER, BAN, None),
        (RoomRole.ADMIN, RoomRole.MEMBER, MemberChange(role=RoomRole.GUEST), None),
        (RoomRole.ADMIN, RoomRole.MEMBER, MemberChange(removed=1), None),
        (RoomRole.ADMIN, RoomRole.MEMBER, MemberChange(), None),
        (RoomRole.ADMIN, RoomRole.MEMBER, MemberChange(role=RoomRole.ADMIN), ErrorCode.FORBIDDEN),
        (
            RoomRole.ADMIN,
            RoomRole.MEMBER,
            MemberChange(added=int(Permission.DELETE_ROOM)),
            ErrorCode.FORBIDDEN,
        ),
        (RoomRole.ADMIN, RoomRole.CREATOR, BAN, ErrorCode.FORBIDDEN),
        (RoomRole.MEMBER, RoomRole.GUEST, BAN, ErrorCode.FORBIDDEN),
        (RoomRole.MEMBER, RoomRole.GUEST, MemberChange(role=RoomRole.MEMBER), ErrorCode.FORBIDDEN),
        (RoomRole.MEMBER, RoomRole.GUEST, MemberChange(added=1), ErrorCode.FORBIDDEN),
        (RoomRole.GUEST, RoomRole.MEMBER, BAN, ErrorCode.FORBIDDEN),
    ],
)
def test_changes_by_role(
    actor: RoomRole, target: RoomRole, change: MemberChange, expected: ErrorCode | None
) -> None:
    """What each role may do to another by the site's defaults."""
    assert refusal(member(actor, name="actor"), member(target, name="target"), change) is expected


def test_the_creator_is_touched_by_nobody_and_nobody_touches_himself() -> None:
    """Whatever bits somebody was given."""
    all_bits = member(RoomRole.ADMIN, name="mighty", added=int(EVERYTHING))

    for target in (member(RoomRole.CREATOR), all_bits):
        assert refusal(all_bits, target, BAN) is ErrorCode.FORBIDDEN
        with pytest.raises(Refused):
            check_kick(all_bits, target)


def test_one_admin_puts_another_out_only_with_manage_admin() -> None:
    """KICK_MEMBER alone will not do."""
    admin, other = member(RoomRole.ADMIN, name="a"), member(RoomRole.ADMIN, name="b")
    manager = member(RoomRole.ADMIN, name="c", added=int(Permission.MANAGE_ADMIN))

    with pytest.raises(Refused):
        check_kick(admin, other)
    check_kick(manager, other)


def test_states_want_the_bit_of_their_kind() -> None:
    """Letting somebody in wants APPROVE_MEMBER; banning and pardoning want BAN_MEMBER."""
    approver = member(RoomRole.MEMBER, name="a", added=int(Permission.APPROVE_MEMBER))
    active = MemberChange(state=MemberState.ACTIVE)

    assert refusal(approver, member(RoomRole.MEMBER, name="t", state=MemberState.PENDING), active) is None
    banned = member(RoomRole.MEMBER, name="t", state=MemberState.BANNED)
    assert refusal(approver, banned, active) is ErrorCode.FORBIDDEN


@pytest.mark.parametrize("bit", list(Permission))
@pytest.mark.parametrize("role", [RoomRole.ADMIN, RoomRole.MEMBER, RoomRole.GUEST])
def test_nobody_grants_by_role_defaults_what_he_may_not_do(role: RoomRole, bit: Permission) -> None:
    """Every bit, given or taken, is the setter's own; what admins may do wants MANAGE_ADMIN besides."""
    own = SITE_DEFAULTS[RoomRole.ADMIN]
    toggled = int(SITE_DEFAULTS[role] ^ bit)

    if bit & own and role is not RoomRole.ADMIN:
        assert changed_role_defaults({}, {role: toggled}, own) == {role: toggled}
    else:
        with pytest.raises(Refused, match="may not grant"):
            changed_role_defaults({}, {role: toggled}, own)


def test_role_defaults_that_stay_are_nobodys_business_and_unknown_bits_go() -> None:
    """Sending back what is there changes nothing; bits of the future are dropped."""
    current = {RoomRole.MEMBER: int(EVERYTHING), RoomRole.GUEST: 1}

    assert changed_role_defaults(current, current, Permission(0)) == current
    assert changed_role_defaults({}, {RoomRole.GUEST: 1 << 63}, EVERYTHING) == {RoomRole.GUEST: 0}


@pytest.mark.parametrize(
    ("state", "bit"),
    [
        (MemberState.ACTIVE, Permission.KICK_MEMBER),
        (MemberState.PENDING, Permission.APPROVE_MEMBER),
        (MemberState.BANNED, Permission.BAN_MEMBER),
    ],
)
def test_removing_wants_the_bit_of_the_state(state: MemberState, bit: Permission) -> None:
    """Putting out, turning away, lifting a ban: each its own, and none of the others will do."""
    target = member(RoomRole.MEMBER, name="t", state=state)
    others = Permission.KICK_MEMBER | Permission.APPROVE_MEMBER | Permission.BAN_MEMBER

    check_kick(member(RoomRole.MEMBER, name="a", added=int(bit)), target)
    with pytest.raises(Refused):
        check_kick(member(RoomRole.MEMBER, name="b", added=int(others & ~bit)), target)


@pytest.mark.parametrize("state", [MemberState.ACTIVE, MemberState.BANNED])
def test_nobody_is_made_to_wait(state: MemberState) -> None:
    """Who is in is put out or banned; who is out asks himself."""
    target = member(RoomRole.MEMBER, name="t", state=state)

    assert (
        refusal(member(RoomRole.CREATOR), target, MemberChange(state=MemberState.PENDING))
        is ErrorCode.INVALID
    )


@pytest.mark.parametrize(
    ("actor", "site_root", "target", "allowed"),
    [
        (member(RoomRole.CREATOR), False, member(RoomRole.GUEST, name="t"), True),
        (member(RoomRole.ADMIN, added=int(EVERYTHING)), False, member(RoomRole.MEMBER, name="t"), False),
        (None, False, member(RoomRole.MEMBER, name="t"), False),
        (None, True, member(RoomRole.MEMBER, name="t"), True),
        (
            member(RoomRole.CREATOR),
            False,
            member(RoomRole.MEMBER, name="t", state=MemberState.PENDING),
            False,
        ),
        (None, True, member(RoomRole.MEMBER, name="t", state=MemberState.BANNED), False),
    ],
)
def test_a_room_is_handed_over_by_its_creator_or_root_to_somebody_active(
    actor: Membership | None, target: Membership, *, site_root: bool, allowed: bool
) -> None:
    """Whatever bits an admin was given, it is not his to give."""
    if allowed:
        check_transfer(actor, target, site_root=site_root)
    else:
        with pytest.raises(Refused):
            check_transfer(actor, target, site_root=site_root)


def test_a_guest_owns_no_room() -> None:
    """He is gone with his token, and the room with him."""
    guest = replace(member(RoomRole.GUEST, name="t"), user=User(id="t", username="t", guest=True))

    with pytest.raises(Refused, match="guest"):
        check_transfer(member(RoomRole.CREATOR), guest, site_root=True)


def test_every_pair_of_roles_has_an_answer() -> None:
    """No combination raises anything but a refusal."""
    for actor, target, role in itertools.product(RoomRole, RoomRole, RoomRole):
        refusal(member(actor, name="a"), member(target, name="t"), MemberChange(role=role))
