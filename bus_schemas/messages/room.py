"""Rooms: the events all members see, in one order, and the commands that lead to them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, RootModel

from bus_schemas.messages.base import BusMessage, EpochMs, Id, Shape
from bus_schemas.messages.shapes import (
    ChatMessage,
    Item,
    Json,
    Member,
    PlaybackMode,
    PlaybackState,
    Room,
    StreamStatus,
    User,
    UserRef,
)


class PastPlayback(Shape):
    """What a room played before somebody changed it: where `undo` leads back to."""

    at: EpochMs
    """When it was changed."""
    item: Id | None
    playing: bool
    position: float
    rate: float
    live: bool
    mode: PlaybackMode
    duration: float | None


class WaitDebt(Shape):
    """How long the room has waited for somebody lately; it shrinks by a tenth of the time that passes."""

    user: Id
    ms: float
    at: EpochMs
    """When it was `ms`."""


class PlaybackChanged(BusMessage):
    """The room's one state; the value in bucket `ROOMS`, sourced from there into `ROOM_EVENTS`."""

    type: Literal["playback"] = "playback"
    room: Id
    at: EpochMs
    state: PlaybackState
    by: UserRef | None = None
    """None: the server (an item ended)."""
    commands: tuple[str, ...] = ()
    """Ids of the last commands applied, so that a redelivered one is recognised. Not for clients."""
    duration: float | None = None
    """Seconds of the current item, where known: what autoplay and clamping go by."""
    order: tuple[str, ...] = ()
    """Items already played in this shuffle round. Not for clients."""
    history: tuple[PastPlayback, ...] = ()
    """What the last ten changes by members can be taken back to, oldest first. Not for clients."""
    debts: tuple[WaitDebt, ...] = ()
    """Whom the room has waited for on this item. Not for clients."""


class PlaylistChanged(BusMessage):
    """The playlist is another one now; `version` grows by one with each change.

    `items`, where there, are all that changed; else `item` is. Neither (but for `cleared`): too many changed
    for one event, so the list has to be read again.
    """

    type: Literal["playlist"] = "playlist"
    room: Id
    at: EpochMs
    change: Literal["added", "edited", "moved", "removed", "cleared"]
    item: Item | None = None
    items: tuple[Item, ...] | None = None
    version: int
    by: UserRef | None = None
    undo: bool = False
    """Somebody took an earlier change back."""


class MemberChanged(BusMessage):
    """Somebody came (first connection), went (last one) or was changed."""

    type: Literal["member"] = "member"
    room: Id
    at: EpochMs
    change: Literal["joined", "left", "updated"]
    member: Member
    removed: Literal["kicked", "banned"] | None = None
    """Set when the member was put out: gateways drop his connections' membership."""
    reason: str = ""


class ChatPosted(BusMessage):
    """A message that is filtered, numbered and stored."""

    type: Literal["chat"] = "chat"
    room: Id
    at: EpochMs
    message: ChatMessage
    client_id: str | None = None


class ChatDeleted(BusMessage):
    """A message is gone."""

    type: Literal["chat_deleted"] = "chat_deleted"
    room: Id
    at: EpochMs
    message_id: Id
    by: UserRef | None = None


class StreamStatusChanged(BusMessage):
    """A stream of the room went live or offline."""

    type: Literal["stream"] = "stream"
    room: Id
    at: EpochMs
    stream: Id
    status: StreamStatus


class SettingsChanged(BusMessage):
    """The room was renamed or set otherwise."""

    type: Literal["settings"] = "settings"
    room: Id
    at: EpochMs
    settings: Room
    by: UserRef | None = None


class RoomDeleted(BusMessage):
    """The room is no more."""

    type: Literal["room_deleted"] = "room_deleted"
    room: Id
    at: EpochMs
    by: UserRef | None = None


class RoomEvent(
    RootModel[
        Annotated[
            PlaybackChanged
            | PlaylistChanged
            | MemberChanged
            | ChatPosted
            | ChatDeleted
            | StreamStatusChanged
            | SettingsChanged
            | RoomDeleted,
            Field(discriminator="type"),
        ]
    ]
):
    """Whatever `room.{room}.event` carries."""


class PlaybackAction(StrEnum):
    """What may be asked of the playback; the last three are no member's: the schedule's and the gateway's own."""

    PLAY = "play"
    PAUSE = "pause"
    SEEK = "seek"
    RATE = "rate"
    SELECT = "select"
    NEXT = "next"
    PREVIOUS = "previous"
    MODE = "mode"
    UNDO = "undo"
    DEADLINE = "deadline"
    RECONCILE = "reconcile"
    """The playlist or the room changed under the playback."""
    BUFFERING = "buffering"
    """Others buffer now than before: `PRESENCE` says who. Only in a room that waits."""


class PlaybackRequested(BusMessage):
    """A command on its way to any sync worker; permissions were checked by the gateway that sent it."""

    id: Id
    room: Id
    action: PlaybackAction
    position: float | None = None
    rate: float | None = None
    item: Id | None = None
    mode: PlaybackMode | None = None
    revision: int | None = None
    """The revision the command was based on; a stale one is a conflict."""
    by: UserRef | None = None
    rtt_ms: float = Field(default=0.0, ge=0, le=60_000)
    """The slowest member's round trip, as the gateway knows it over all gateways."""
    wait: bool = False
    """Whether the room waits for members who buffer."""
    old_live_delay_ms: int | None = Field(default=None, ge=0)
    """Of reconcile: how far behind the publisher the room played until now, where that was changed."""
    reply_subject: str | None = None


class CommandReply(BusMessage):
    """The answer to a command or a submission, on the core subject its sender named."""

    id: Id
    ok: bool
    state: PlaybackState | None = None
    message: ChatMessage | None = None
    code: str | None = None
    detail: str | None = None
    retry_after: float | None = None


class ChatSubmitted(BusMessage):
    """Text on its way through the filter."""

    id: Id
    room: Id
    client_id: str
    user: UserRef
    text: str
    reply_to: Id | None = None
    """The message it answers."""
    at: EpochMs
    reply_subject: str | None = None


class ChatDeleteRequested(BusMessage):
    """Somebody who may asks for a message to go."""

    id: Id
    room: Id
    message_id: Id
    by: UserRef
    reply_subject: str | None = None


class DanmakuMode(StrEnum):
    """How a danmaku crosses the picture."""

    SCROLL = "scroll"
    TOP = "top"
    BOTTOM = "bottom"


class DanmakuSize(StrEnum):
    """Size of a danmaku's text."""

    SMALL = "small"
    NORMAL = "normal"
    LARGE = "large"


class DanmakuSubmitted(BusMessage):
    """A danmaku on its way through the filter."""

    id: Id
    room: Id
    client_id: str
    user: UserRef
    text: str
    color: str = "#ffffff"
    mode: DanmakuMode = DanmakuMode.SCROLL
    size: DanmakuSize = DanmakuSize.NORMAL
    at: EpochMs
    reply_subject: str | None = None


class DanmakuPosted(BusMessage):
    """A danmaku for the members: no `seq`, not stored."""

    type: Literal["danmaku"] = "danmaku"
    room: Id
    user: UserRef
    text: str
    color: str
    mode: DanmakuMode
    size: DanmakuSize
    at: EpochMs


class PresentMember(BusMessage):
    """One user at one gateway."""

    user: User
    connections: int
    drift_ms: float | None = None
    buffering: bool = False
    item: Id | None = None
    """What the last report was of."""
    loaded: Id | None = None
    """What was last reported as not buffering: who never got so far with an item loads it for the first time."""
    reported_at: EpochMs = 0
    """0: never; a room waits for nobody who never reported."""


class Presence(BusMessage):
    """Bucket `PRESENCE`, key `{room}.{gateway}`: who is there, and the slowest round trip."""

    room: Id
    gateway: Id
    members: tuple[PresentMember, ...] = ()
    guests_beyond: int = 0
    """Members over the bound of the list, counted only."""
    rtt_ms: float = 0.0
    at: EpochMs


class NodeSeen(BusMessage):
    """Bucket `NODES`, key `{kind}.{node}`: a process that lives."""

    kind: str
    node: Id
    version: str
    started_at: EpochMs
    at: EpochMs
    pid: int
    address: str = ""
    load: Json = Field(default_factory=dict)


class AuditRecorded(BusMessage):
    """A sensitive act."""

    id: Id
    at: EpochMs
    actor: str
    act: str
    target: str = ""
    address: str = ""
    detail: Json = Field(default_factory=dict)


class DeadLetter(BusMessage):
    """What could not be read, or failed its last delivery, with why."""

    subject: str
    stream: str
    reason: str
    deliveries: int
    at: EpochMs
    body_base64: str
