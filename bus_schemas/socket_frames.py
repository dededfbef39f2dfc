"""What a client of `matinee.v1` is sent (DESIGN.md §8): every frame, its fields, and why sockets are closed. Pure.

The gateway builds its frames as these types, the AsyncAPI document is made from them, and
`matinee conformance` holds servers to them. Numbered events are the room events of the bus without what
is the server's own: `EVENTS`, `EVENT_INTERNAL`. What clients send is in `gateway.ws.frames`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Final, Literal, NotRequired, get_args

from pydantic import ConfigDict, Field, StringConstraints, with_config
from typing_extensions import TypedDict

from bus_schemas.errors import ErrorCode
from bus_schemas.limits import JOINED_ITEMS_MAX, JOINED_MEMBERS_MAX, JOINED_MESSAGES_MAX
from bus_schemas.messages.base import BusMessage, EpochMs, Id
from bus_schemas.messages.room import DanmakuPosted, RoomEvent
from bus_schemas.messages.shapes import ChatMessage, Item, Member, PlaybackState, StreamStatus, User
from bus_schemas.permissions import MemberState, RoomRole
from bus_schemas.viewers import Protocol

SUBPROTOCOL: Final = "matinee.v1"
BEARER_PREFIX: Final = "bearer."

CLOSE_NOT_TEXT: Final = 1003
CLOSE_ABUSIVE: Final = 1008
CLOSE_TOO_LARGE: Final = 1009
CLOSE_BEGIN_ANEW: Final = 1012
CLOSE_UNAUTHENTICATED: Final = 4001
CLOSE_TOO_SLOW: Final = 4008
CLOSE_GOING_AWAY: Final = 4012
CLOSE_CODES: Final = MappingProxyType(
    {
        1002: "The bytes break the WebSocket protocol.",
        CLOSE_NOT_TEXT: "A binary frame: frames are JSON text.",
        1007: "A text frame that is not UTF-8.",
        CLOSE_ABUSIVE: "Far too many frames over the rate, or that are no frames.",
        CLOSE_TOO_LARGE: "A frame over 64 KiB.",
        CLOSE_BEGIN_ANEW: "The server lost track of a room: connect again, and resume.",
        CLOSE_UNAUTHENTICATED: "No valid token, one that expired a minute ago, or a sign-in that was ended.",
        CLOSE_TOO_SLOW: "You read too slowly: connect again, and resume where you are.",
        CLOSE_GOING_AWAY: "This server is going away: connect again, and resume; another one answers.",
    }
)
"""Every code a server closes a socket with, and what it tells."""

FRAME_ID_MAX: Final = 64
FrameId = (
    Annotated[str, StringConstraints(min_length=1, max_length=FRAME_ID_MAX)]
    | Annotated[int, Field(ge=-(1 << 53), le=1 << 53)]
)
"""Chosen by the client, given back as it came; the stream's epoch has the same form."""
Seq = Annotated[int, Field(ge=0, lt=1 << 63)]
MaskText = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}$")]
"""A 64-bit permission mask in decimal: JavaScript numbers end at 2^53."""
Count = Annotated[int, Field(ge=0)]

DOCUMENTED: Final = ConfigDict(use_attribute_docstrings=True)


@with_config(DOCUMENTED)
class Ack(TypedDict):
    """What the frame with this id asked is done. Of a chat message: filtered, numbered and stored."""

    type: Literal["ack"]
    id: FrameId
    state: NotRequired[PlaybackState]
    """The room's state after a playback command."""
    message: NotRequired[ChatMessage]
    """The chat message as everybody gets it."""


@with_config(DOCUMENTED)
class Error(TypedDict):
    """What a frame asked was not done. It never closes the socket."""

    type: Literal["error"]
    id: NotRequired[FrameId]
    """Of the frame that is refused, where it had one that could be read."""
    code: ErrorCode
    """What a program acts on."""
    detail: str
    """A sentence for a person."""
    room: NotRequired[str]
    """The room the frame was about."""
    retry_after: NotRequired[Annotated[float, Field(gt=0)]]
    """Seconds after which it may be tried again."""
    state: NotRequired[PlaybackState]
    """With `conflict`: the state that the command did not know."""


@with_config(DOCUMENTED)
class TimeAnswer(TypedDict):
    """A sample of the clocks: t1 when the frame was received, t2 when this was sent, both epoch ms."""

    type: Literal["time"]
    id: NotRequired[FrameId]
    t0: int | float
    """As it came."""
    t1: EpochMs
    t2: EpochMs


@with_config(DOCUMENTED)
class Pong(TypedDict):
    """Answers `ping`."""

    type: Literal["pong"]
    id: NotRequired[FrameId]


@with_config(DOCUMENTED)
class Resumed(TypedDict):
    """The room goes on where another socket left it: the events from `after` to `seq` follow, in order."""

    type: Literal["resumed"]
    id: NotRequired[FrameId]
    room: Id
    after: Seq
    """As the client said."""
    seq: Seq
    """Of the newest event that was missed; `after` where none was."""
    epoch: FrameId
    """Which stream of events the numbers are of."""
    now: EpochMs


@with_config(DOCUMENTED)
class You(TypedDict):
    """What the reader is in the room."""

    user: User
    role: RoomRole
    state: MemberState
    permissions: MaskText


@with_config(DOCUMENTED)
class RoomPlaylist(TypedDict):
    """The playlist, one page of it."""

    version: Annotated[int, Field(ge=0)]
    items: Annotated[list[Item], Field(max_length=JOINED_ITEMS_MAX)]


@with_config(DOCUMENTED)
class RoomStream(TypedDict):
    """A live stream of the room."""

    stream: Id
    title: str
    status: StreamStatus
    viewers: Count


@with_config(DOCUMENTED)
class JoinedHead(TypedDict):
    """The part of `joined` that is of the reader and the moment."""

    type: Literal["joined"]
    id: NotRequired[FrameId]
    """Absent where the server begins a room anew by itself."""
    room: Id
    you: You
    danmaku: list[DanmakuPosted]
    """Of the last ten seconds."""
    seq: Seq
    """Everything up to this event is in here; the events that follow have higher numbers."""
    epoch: FrameId
    """Which stream of events the numbers are of: give it back with `after` to resume."""
    now: EpochMs


@with_config(DOCUMENTED)
class JoinedRoom(TypedDict):
    """The part of `joined` that all newcomers with the same rights share."""

    state: PlaybackState
    playlist: RoomPlaylist
    members: Annotated[list[Member], Field(max_length=JOINED_MEMBERS_MAX)]
    """Those who are online first."""
    messages: Annotated[list[ChatMessage], Field(max_length=JOINED_MESSAGES_MAX)]
    """The newest, oldest first."""
    streams: list[RoomStream]
    viewers: Count
    """How many are online."""


@with_config(DOCUMENTED)
class Joined(JoinedHead, JoinedRoom):
    """The whole room, as it stood at one number of its events."""


@with_config(DOCUMENTED)
class YouChanged(You):
    """What the reader may do in the room now. With state `pending` he is not in it: he waits, and joins when
    the next one says `active`."""

    type: Literal["you"]
    room: Id


@with_config(DOCUMENTED)
class Kicked(TypedDict):
    """The reader is in the room no more; the socket and its other rooms go on."""

    type: Literal["kicked"]
    room: Id
    reason: str
    """`kicked`, `banned`, `left`, `turned away` (nobody let him in), or a sentence."""


@with_config(DOCUMENTED)
class PlayToken(TypedDict):
    """A token for the media of a private stream; the next one comes before it expires."""

    type: Literal["play_token"]
    room: Id
    stream: Id
    token: str
    expires_at: EpochMs


@with_config(DOCUMENTED)
class Viewers(TypedDict):
    """How many members are online now."""

    type: Literal["viewers"]
    room: Id
    count: Count


@with_config(DOCUMENTED)
class StreamViewersCounted(TypedDict):
    """How many watch a stream of the room now, by protocol."""

    type: Literal["stream_viewers"]
    room: Id
    stream: Id
    count: Count
    protocols: dict[Protocol, Count]


Answer = Ack | Error | TimeAnswer | Pong | Resumed
"""Frames that carry the id of the client's frame they answer."""
Notice = YouChanged | Kicked | PlayToken | Viewers | StreamViewersCounted
"""Frames that nobody asked for, without a number."""

FRAMES: Final = MappingProxyType(
    {
        "joined": Joined,
        "resumed": Resumed,
        "ack": Ack,
        "error": Error,
        "time": TimeAnswer,
        "pong": Pong,
        "you": YouChanged,
        "kicked": Kicked,
        "play_token": PlayToken,
        "viewers": Viewers,
        "stream_viewers": StreamViewersCounted,
    }
)
"""Frames of the socket itself, by type."""

EVENTS: Final[MappingProxyType[str, type[BusMessage]]] = MappingProxyType(
    {
        model.model_fields["type"].default: model
        for model in get_args(RoomEvent.model_fields["root"].annotation)
    }
)
"""Room events, by type: numbered with `seq`, rising, with holes."""
MOMENTS: Final[MappingProxyType[str, type[BusMessage]]] = MappingProxyType({"danmaku": DanmakuPosted})
"""What is only of the moment: no `seq`, not resumed."""
EVENT_INTERNAL: Final = ("v", "commands", "order", "history", "debts")
"""Fields of the bus that are nothing to clients."""
