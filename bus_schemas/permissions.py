"""Roles, states and the one table of permission bits (DESIGN.md §6).

Masks are integers in code and decimal strings in JSON.
"""

from __future__ import annotations

from enum import IntFlag, StrEnum
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer


class SiteRole(StrEnum):
    """What an account is on the site."""

    ROOT = "root"
    ADMIN = "admin"
    USER = "user"


class RoomRole(StrEnum):
    """What a member is in a room."""

    CREATOR = "creator"
    ADMIN = "admin"
    MEMBER = "member"
    GUEST = "guest"


class MemberState(StrEnum):
    """State of an account on the site, and of a member in a room."""

    ACTIVE = "active"
    PENDING = "pending"
    BANNED = "banned"


class Permission(IntFlag):
    """One bit each of the 64-bit space."""

    SEND_CHAT = 1 << 0
    ADD_MOVIE = 1 << 1
    DELETE_MOVIE_SELF = 1 << 2
    DELETE_MOVIE_ANY = 1 << 3
    EDIT_MOVIE_SELF = 1 << 4
    EDIT_MOVIE_ANY = 1 << 5
    REORDER_PLAYLIST = 1 << 6
    CLEAR_PLAYLIST = 1 << 7
    PLAY_CONTROL = 1 << 10
    CHANGE_CURRENT_MOVIE = 1 << 11
    CHANGE_PLAYBACK_RATE = 1 << 12
    SEND_DANMAKU = 1 << 13
    PUBLISH_LIVE = 1 << 14
    APPROVE_MEMBER = 1 << 20
    KICK_MEMBER = 1 << 21
    BAN_MEMBER = 1 << 22
    SET_MEMBER_PERMISSIONS = 1 << 23
    MANAGE_ADMIN = 1 << 24
    SET_ROOM_SETTINGS = 1 << 30
    SET_ROOM_PASSWORD = 1 << 31
    DELETE_CHAT = 1 << 32
    VIEW_STATS = 1 << 33
    EXPORT_DATA = 1 << 34
    DELETE_ROOM = 1 << 35
    VIEW_PLAYLIST = 1 << 40
    VIEW_MEMBER_LIST = 1 << 41
    VIEW_CHAT_HISTORY = 1 << 42
    USE_WEBRTC = 1 << 50


NOTHING: Final = Permission(0)
EVERYTHING: Final = Permission(sum(Permission))

_MEMBER: Final = (
    Permission.SEND_CHAT
    | Permission.SEND_DANMAKU
    | Permission.ADD_MOVIE
    | Permission.DELETE_MOVIE_SELF
    | Permission.EDIT_MOVIE_SELF
    | Permission.VIEW_PLAYLIST
    | Permission.VIEW_MEMBER_LIST
    | Permission.VIEW_CHAT_HISTORY
)

SITE_DEFAULTS: Final[dict[RoomRole, Permission]] = {
    RoomRole.GUEST: Permission.VIEW_PLAYLIST,
    RoomRole.MEMBER: _MEMBER,
    RoomRole.ADMIN: EVERYTHING & ~(Permission.MANAGE_ADMIN | Permission.EXPORT_DATA | Permission.DELETE_ROOM),
    RoomRole.CREATOR: EVERYTHING,
}

_STEERING: Final = (
    Permission.PLAY_CONTROL
    | Permission.CHANGE_CURRENT_MOVIE
    | Permission.CHANGE_PLAYBACK_RATE
    | Permission.REORDER_PLAYLIST
)


class Preset(StrEnum):
    """Named sets of role defaults a room may start from."""

    TOGETHER = "together"
    """Everybody steers; guests talk."""
    HOST_ONLY = "host_only"
    """The creator and admins steer; members and guests talk."""
    LECTURE = "lecture"
    """The creator and admins steer and add; members talk, guests look on."""


_TALKING_GUEST: Final = (
    Permission.VIEW_PLAYLIST
    | Permission.SEND_CHAT
    | Permission.SEND_DANMAKU
    | Permission.VIEW_MEMBER_LIST
    | Permission.VIEW_CHAT_HISTORY
)

PRESET_DEFAULTS: Final[dict[Preset, dict[RoomRole, Permission]]] = {
    Preset.TOGETHER: {RoomRole.MEMBER: _MEMBER | _STEERING, RoomRole.GUEST: _TALKING_GUEST},
    Preset.HOST_ONLY: {RoomRole.MEMBER: _MEMBER, RoomRole.GUEST: _TALKING_GUEST},
    Preset.LECTURE: {
        RoomRole.MEMBER: _MEMBER & ~(Permission.ADD_MOVIE | Permission.SEND_DANMAKU),
        RoomRole.GUEST: Permission.VIEW_PLAYLIST,
    },
}

PLAYBACK_PERMISSION: Final[dict[str, Permission]] = {
    "play": Permission.PLAY_CONTROL,
    "pause": Permission.PLAY_CONTROL,
    "seek": Permission.PLAY_CONTROL,
    "rate": Permission.CHANGE_PLAYBACK_RATE,
    "select": Permission.CHANGE_CURRENT_MOVIE,
    "next": Permission.CHANGE_CURRENT_MOVIE,
    "previous": Permission.CHANGE_CURRENT_MOVIE,
    "mode": Permission.PLAY_CONTROL,
    "undo": Permission.PLAY_CONTROL,
}
"""Which bit each playback action wants."""


def effective_mask(
    role: RoomRole,
    state: MemberState,
    *,
    added: int = 0,
    removed: int = 0,
    room_defaults: dict[RoomRole, Permission] | None = None,
) -> Permission:
    """What a member may do: `(role default of the room, else of the site | added) & ~removed`.

    The creator may do everything; one who is not active may do nothing.
    """
    if state is not MemberState.ACTIVE:
        return NOTHING
    if role is RoomRole.CREATOR:
        return EVERYTHING
    default = (room_defaults or {}).get(role, SITE_DEFAULTS[role])
    return (default | Permission(added & EVERYTHING)) & ~Permission(removed & EVERYTHING)


def _read_mask(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise ValueError("a permission mask is a decimal string from 0 to 2^64-1")
    return int(value)


Mask = Annotated[int, BeforeValidator(_read_mask), PlainSerializer(str, return_type=str, when_used="always")]
"""A mask in a model: a decimal string in JSON, because JavaScript numbers end at 2^53."""
