"""The one table of permissions, as DESIGN.md §6 has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from bus_schemas.messages.room import PlaybackAction
from bus_schemas.permissions import (
    EVERYTHING,
    NOTHING,
    PLAYBACK_PERMISSION,
    PRESET_DEFAULTS,
    SITE_DEFAULTS,
    Mask,
    MemberState,
    Permission,
    Preset,
    RoomRole,
    effective_mask,
)

BITS = """
SEND_CHAT 0, ADD_MOVIE 1, DELETE_MOVIE_SELF 2, DELETE_MOVIE_ANY 3, EDIT_MOVIE_SELF 4, EDIT_MOVIE_ANY 5,
REORDER_PLAYLIST 6, CLEAR_PLAYLIST 7, PLAY_CONTROL 10, CHANGE_CURRENT_MOVIE 11, CHANGE_PLAYBACK_RATE 12,
SEND_DANMAKU 13, PUBLISH_LIVE 14, APPROVE_MEMBER 20, KICK_MEMBER 21, BAN_MEMBER 22, SET_MEMBER_PERMISSIONS 23,
MANAGE_ADMIN 24, SET_ROOM_SETTINGS 30, SET_ROOM_PASSWORD 31, DELETE_CHAT 32, VIEW_STATS 33, EXPORT_DATA 34,
DELETE_ROOM 35, VIEW_PLAYLIST 40, VIEW_MEMBER_LIST 41, VIEW_CHAT_HISTORY 42, USE_WEBRTC 50
"""


def names(mask: Permission) -> set[str]:
    return {permission.name or "" for permission in mask}


def test_every_bit_has_its_number_for_ever() -> None:
    """Masks are stored and travel: a bit never moves."""
    wanted = {name: 1 << int(bit) for name, bit in (pair.split() for pair in BITS.split(","))}

    assert {permission.name: int(permission) for permission in Permission} == wanted
    assert names(EVERYTHING) == set(wanted)


MEMBER = {
    "SEND_CHAT", "SEND_DANMAKU", "ADD_MOVIE", "DELETE_MOVIE_SELF", "EDIT_MOVIE_SELF", "VIEW_PLAYLIST",
    "VIEW_MEMBER_LIST", "VIEW_CHAT_HISTORY",
}  # fmt: skip
STEERING = {"PLAY_CONTROL", "CHANGE_CURRENT_MOVIE", "CHANGE_PLAYBACK_RATE", "REORDER_PLAYLIST"}
TALKING = {"VIEW_PLAYLIST", "SEND_CHAT", "SEND_DANMAKU", "VIEW_MEMBER_LIST", "VIEW_CHAT_HISTORY"}


def test_site_defaults() -> None:
    """What each role may do where a room says nothing."""
    assert names(SITE_DEFAULTS[RoomRole.GUEST]) == {"VIEW_PLAYLIST"}
    assert names(SITE_DEFAULTS[RoomRole.MEMBER]) == MEMBER
    assert names(EVERYTHING & ~SITE_DEFAULTS[RoomRole.ADMIN]) == {
        "MANAGE_ADMIN",
        "EXPORT_DATA",
        "DELETE_ROOM",
    }
    assert SITE_DEFAULTS[RoomRole.CREATOR] == EVERYTHING


@pytest.mark.parametrize(
    ("preset", "member", "guest"),
    [
        (Preset.TOGETHER, MEMBER | STEERING, TALKING),
        (Preset.HOST_ONLY, MEMBER, TALKING),
        (Preset.LECTURE, MEMBER - {"ADD_MOVIE", "SEND_DANMAKU"}, {"VIEW_PLAYLIST"}),
    ],
)
def test_presets(preset: Preset, member: set[str], guest: set[str]) -> None:
    """Presets set the defaults of members and guests, and leave admins alone."""
    defaults = PRESET_DEFAULTS[preset]

    assert names(defaults[RoomRole.MEMBER]) == member
    assert names(defaults[RoomRole.GUEST]) == guest
    assert set(defaults) == {RoomRole.MEMBER, RoomRole.GUEST}


@pytest.mark.parametrize("role", RoomRole)
@pytest.mark.parametrize("state", [MemberState.PENDING, MemberState.BANNED])
def test_who_is_not_active_may_do_nothing(role: RoomRole, state: MemberState) -> None:
    """Not even the creator, not even what was added."""
    assert effective_mask(role, state, added=EVERYTHING) == NOTHING


def test_the_creator_may_do_everything() -> None:
    """Nothing can be taken from him."""
    assert effective_mask(RoomRole.CREATOR, MemberState.ACTIVE, removed=EVERYTHING) == EVERYTHING


def test_a_rooms_default_stands_in_for_the_sites() -> None:
    """Added comes to it, removed goes from it, removed wins."""
    mask = effective_mask(
        RoomRole.GUEST,
        MemberState.ACTIVE,
        added=Permission.PLAY_CONTROL | Permission.SEND_CHAT,
        removed=Permission.SEND_CHAT | Permission.VIEW_PLAYLIST,
        room_defaults={RoomRole.GUEST: Permission.VIEW_PLAYLIST | Permission.VIEW_MEMBER_LIST},
    )

    assert names(mask) == {"PLAY_CONTROL", "VIEW_MEMBER_LIST"}


@given(st.integers(0, (1 << 64) - 1), st.integers(0, (1 << 64) - 1), st.sampled_from(RoomRole))
def test_no_mask_goes_beyond_the_table(added: int, removed: int, role: RoomRole) -> None:
    """Bits that mean nothing stay out, however they came."""
    mask = effective_mask(role, MemberState.ACTIVE, added=added, removed=removed)

    assert mask & ~EVERYTHING == 0
    if role is not RoomRole.CREATOR:
        assert mask & removed == 0


def test_every_action_a_client_may_send_has_its_permission() -> None:
    """None slips through; the schedule's and the gateway's own actions are no client's."""
    internal = {PlaybackAction.DEADLINE, PlaybackAction.RECONCILE, PlaybackAction.BUFFERING}

    assert set(PLAYBACK_PERMISSION) == {str(action) for action in set(PlaybackAction) - internal}


class Carrier(BaseModel):
    mask: Mask


def test_a_mask_is_a_decimal_string_in_json() -> None:
    """JavaScript numbers end at 2^53."""
    assert Carrier(mask=EVERYTHING).model_dump_json() == f'{{"mask":"{int(EVERYTHING)}"}}'
    assert Carrier.model_validate_json('{"mask":"18446744073709551615"}').mask == (1 << 64) - 1


@pytest.mark.parametrize(
    "value", ["-1", "0x10", "1e3", "", " 1", "١", str(1 << 64), "9" * 21, True, 1.5, None, [1]]
)
def test_what_is_no_mask(value: object) -> None:
    """Anything but a decimal number of 64 bits."""
    with pytest.raises(ValidationError):
        Carrier.model_validate({"mask": value})
