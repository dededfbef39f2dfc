"""The shapes of DESIGN.md §7 that travel on the bus, over HTTP and on the socket alike."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field, JsonValue

from bus_schemas.limits import KICK_COOLDOWN_MAX_S, RATE_MAX, RATE_MIN
from bus_schemas.messages.base import EpochMs, Id, Shape
from bus_schemas.permissions import Mask, MemberState, RoomRole, SiteRole


class UserRef(Shape):
    """Who: enough to name somebody beside what he did."""

    id: Id
    username: str


class User(Shape):
    """An account, or a guest."""

    id: Id
    username: str
    role: SiteRole = SiteRole.USER
    state: MemberState = MemberState.ACTIVE
    guest: bool = False


class ItemKind(StrEnum):
    """What a playlist item is."""

    URL = "url"
    LIVE = "live"
    FOLDER = "folder"
    """Holds other items, and is not played itself."""


class Subtitle(Shape):
    """A subtitle track of an item."""

    url: str
    title: str = ""
    language: str = ""


class Item(Shape):
    """One entry of a room's playlist; `position` orders the siblings of one `parent`."""

    id: Id
    title: str
    kind: ItemKind
    url: str | None = None
    stream: Id | None = None
    duration: float | None = None
    """Seconds, where known."""
    subtitles: tuple[Subtitle, ...] = ()
    parent: Id | None = None
    position: int
    added_by: UserRef


class SyncReport(Shape):
    """How well a member keeps to the room."""

    drift_ms: float | None = None
    buffering: bool = False


class Member(Shape):
    """A member as the room sees him."""

    user: User
    role: RoomRole
    state: MemberState
    permissions: Mask
    online: bool
    sync: SyncReport = SyncReport()


class ChatMessage(Shape):
    """A chat message as stored: `text` is plain, as typed, without control characters."""

    id: Id
    user: UserRef
    text: str
    at: EpochMs
    reply_to: Id | None = None
    edited: EpochMs | None = None


class PlaybackMode(StrEnum):
    """What follows when an item ends."""

    SEQUENTIAL = "sequential"
    REPEAT_ONE = "repeat_one"
    REPEAT_ALL = "repeat_all"
    SHUFFLE = "shuffle"


class Hold(Shape):
    """The room stands still for members who buffer, and goes on by itself at `until` at the latest."""

    since: EpochMs
    until: EpochMs
    members: tuple[UserRef, ...]
    """Whom it waits for."""


class PlaybackState(Shape):
    """DESIGN.md §5: position now = `position + max(0, now - at)/1000 * rate` while playing."""

    item: Id | None = None
    playing: bool = False
    position: float = 0.0
    """Seconds; of a live item, program date-time in seconds since 1970, or 0 until it is played."""
    rate: float = Field(default=1.0, ge=RATE_MIN, le=RATE_MAX)
    at: EpochMs = 0
    revision: int = Field(default=0, ge=0)
    live: bool = False
    mode: PlaybackMode = PlaybackMode.SEQUENTIAL
    hold: Hold | None = None
    """Set only while `playing` is false: it would play, if nobody had to be waited for. `play` goes on at once."""
    undoable: int = Field(default=0, ge=0)
    """How many changes `undo` can take back now."""


class RoomSettings(Shape):
    """What the people who run a room may set."""

    guest_access: bool = True
    wait: Literal["ignore", "wait"] = "ignore"
    mode: PlaybackMode = PlaybackMode.SEQUENTIAL
    """What the playback's own `mode` begins with; setting it sets that too, which members may change again."""
    live_delay_ms: int = Field(default=3_000, ge=0, le=60_000)
    member_limit: int = Field(default=0, ge=0, le=100_000)
    """0: no limit."""
    approval: bool = False
    """Newcomers wait until somebody lets them in, those with an invitation excepted."""
    kick_cooldown_s: int | None = Field(default=None, ge=0, le=KICK_COOLDOWN_MAX_S)
    """How long one who was put out stays out, in seconds; null: as long as the site says."""
    role_defaults: dict[RoomRole, Mask] = Field(default_factory=dict)


class Room(Shape):
    """A room as its members see it."""

    id: Id
    name: str
    hidden: bool
    has_password: bool
    creator: UserRef
    settings: RoomSettings
    created_at: EpochMs


class StreamStatus(StrEnum):
    """Whether somebody publishes."""

    LIVE = "live"
    OFFLINE = "offline"


Json = dict[str, JsonValue]
