"""Frames of `matinee.v1` (DESIGN.md §8): what clients may send, and how answers are written. Pure.

A frame from a client is parsed and validated in one pass, strictly: a number is no string, a flag is
no number. What a client reads is framed here too (RFC 6455, 5.2): a server's frames carry no mask, so
one event is one `bytes` for every socket of a room.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError, from_json, to_json

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.limits import (
    CHAT_MAX,
    CLIENT_ID_MAX,
    DANMAKU_MAX,
    PASSWORD_MAX,
    RATE_MAX,
    RATE_MIN,
    SOCKET_FRAME_MAX,
)
from bus_schemas.messages.base import Id
from bus_schemas.messages.room import DanmakuMode, DanmakuSize
from bus_schemas.messages.shapes import PlaybackMode, PlaybackState
from bus_schemas.socket_frames import FRAME_ID_MAX, Answer, Error, FrameId, Notice

FRAME_CHARS_MAX: Final = SOCKET_FRAME_MAX // 4
"""A text of so many characters cannot be too large, whatever they are."""
MESSAGE_MAX: Final = 2 << 20
"""What is read of a frame that is too large, so that its sender can be told; beyond it he is cut off."""

TOKEN_MAX: Final = 8_192
ERRORS_SHOWN: Final = 3

ClientId = Annotated[
    str, StringConstraints(min_length=1, max_length=CLIENT_ID_MAX, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Position = Annotated[float, Field(ge=0, lt=1e12, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=RATE_MIN, le=RATE_MAX, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]


_WANTED: Final = {"seek": "position", "rate": "rate", "select": "item", "mode": "mode"}
_COMPLETE: Final[list[JsonValue]] = [
    {
        "if": {"properties": {"action": {"const": action}}, "required": ["action"]},
        "then": {"properties": {wanted: {"not": {"type": "null"}}}, "required": [wanted]},
    }
    for action, wanted in _WANTED.items()
]
"""The same as JSON Schema."""
_CHOICES: Final = {
    "id": f"a string of 1 to {FRAME_ID_MAX} characters, or a whole number",
    "epoch": f"a string of 1 to {FRAME_ID_MAX} characters, or a whole number",
    "t0": "a finite number",
}
"""Fields of several types: one sentence, where pydantic has one for each."""


class ClientFrame(BaseModel):
    """What every frame may carry; unknown fields are ignored, so that clients may be newer."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, use_attribute_docstrings=True)

    id: FrameId | None = None
    """Chosen by the client: the answer carries it as it came. Without one only errors are answered."""


class Join(ClientFrame):
    """Enter a room on this socket; `after` and `epoch` resume where another socket ended."""

    type: Literal["join"]
    room: Id
    password: Annotated[str, StringConstraints(max_length=PASSWORD_MAX)] | None = None
    """The room's, for those who are not members yet."""
    invitation: Annotated[str, StringConstraints(min_length=1, max_length=FRAME_ID_MAX)] | None = None
    """Instead of the password, and of anybody's approval."""
    after: Annotated[int, Field(ge=0, lt=1 << 63)] | None = None
    """The newest `seq` the client has seen of the room."""
    epoch: FrameId | None = None
    """The epoch it is of."""


class Leave(ClientFrame):
    """Leave the room on this socket; the membership stays."""

    type: Literal["leave"]
    room: Id


class PlaybackCommand(BaseModel):
    """What may be asked of a room's playback: the body of `POST playback`, and of the frame."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        strict=True,
        use_attribute_docstrings=True,
        json_schema_extra={"allOf": _COMPLETE},
    )

    action: Literal["play", "pause", "seek", "rate", "select", "next", "previous", "mode", "undo"]
    position: Position | None = None
    """Of `seek`: seconds; of a live item, program date-time in seconds since 1970."""
    rate: Rate | None = None
    """Of `rate`."""
    item: Id | None = None
    """Of `select`."""
    mode: PlaybackMode | None = None
    """Of `mode`: what follows when an item ends."""
    revision: Annotated[int, Field(ge=0, lt=1 << 53)] | None = None
    """The state's revision that the person saw: another one now is a conflict."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """Seek wants a position, rate a rate, select an item, mode a mode."""
        wanted = _WANTED.get(self.action)
        if wanted is not None and getattr(self, wanted) is None:
            names = {"action": self.action, "wanted": wanted}
            raise PydanticCustomError("incomplete", "{action} wants {wanted}", names)
        return self


class Playback(PlaybackCommand, ClientFrame):
    """A playback command, because a person acted."""

    type: Literal["playback"]
    room: Id


class Report(ClientFrame):
    """How a player keeps to the room. Shown to the others; it moves nobody."""

    type: Literal["report"]
    room: Id
    item: Id | None = None
    """What is shown."""
    position: Number | None = None
    """Seconds."""
    playing: bool = False
    buffering: bool = False
    """Whether it stands still for want of data."""
    rate: Number | None = None
    """The player's own rate now."""
    rtt: Number | None = None
    """The way to the server and back, in milliseconds."""
    drift_ms: Number | None = None
    """How far it is ahead of the room, in milliseconds; absent where that means nothing."""


class Chat(ClientFrame):
    """A chat message; the same `client_id` again is the same message."""

    type: Literal["chat"]
    room: Id
    client_id: ClientId
    """Chosen by the client, for each message another: what makes a resend harmless for a day."""
    text: Annotated[str, StringConstraints(min_length=1, max_length=CHAT_MAX)]
    """Plain text; control characters are taken out."""
    reply_to: Id | None = None
    """The message it answers."""


class Danmaku(ClientFrame):
    """A line over the picture."""

    type: Literal["danmaku"]
    room: Id
    client_id: ClientId
    text: Annotated[str, StringConstraints(min_length=1, max_length=DANMAKU_MAX)]
    color: Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")] = "#ffffff"
    mode: DanmakuMode = DanmakuMode.SCROLL
    size: DanmakuSize = DanmakuSize.NORMAL


class Time(ClientFrame):
    """A sample of the clocks: answered with t0 as it came, t1 received, t2 sent (epoch ms)."""

    type: Literal["time"]
    t0: int | Number
    """Whatever clock the client keeps."""


class Auth(ClientFrame):
    """A fresher token of the same user."""

    type: Literal["auth"]
    token: Annotated[str, StringConstraints(min_length=1, max_length=TOKEN_MAX)]


class Ping(ClientFrame):
    """Answered by `pong`."""

    type: Literal["ping"]


AnyFrame = Join | Leave | Playback | Report | Chat | Danmaku | Time | Auth | Ping
FRAME_TYPES: Final = ("join", "leave", "playback", "report", "chat", "danmaku", "time", "auth", "ping")

_FRAMES: Final[TypeAdapter[AnyFrame]] = TypeAdapter(Annotated[AnyFrame, Field(discriminator="type")])
_ID: Final[TypeAdapter[str | int]] = TypeAdapter(FrameId, config=ConfigDict(strict=True))


class FrameError(Exception):
    """A frame that cannot be taken: why, and the id to answer to, where it has one."""

    def __init__(self, why: Refused, frame_id: str | int | None) -> None:
        super().__init__(why.detail)
        self.why = why
        self.frame_id = frame_id


def parse(text: str) -> AnyFrame:
    """The frame; raises `FrameError` with code `invalid` for anything that is none."""
    try:
        return _FRAMES.validate_json(text)
    except ValidationError as exc:
        raise FrameError(as_refused(exc), _id_of(text)) from None


def as_refused(exc: ValidationError) -> Refused:
    """What is wrong, with path and sentence: code `invalid`."""
    errors = exc.errors(include_url=False, include_context=False, include_input=False)
    listed = list({detail["path"]: detail for detail in map(_detail, errors)}.values())
    shown = "; ".join(f"{e['path']}: {e['detail']}".removeprefix(": ") for e in listed[:ERRORS_SHOWN])
    return Refused(ErrorCode.INVALID, shown, errors=listed)


def _detail(error: ErrorDetails) -> dict[str, str]:
    if error["type"] == "union_tag_not_found":
        return {"path": "type", "detail": "every frame has a type"}
    if error["type"] == "union_tag_invalid":
        return {"path": "type", "detail": f"the types of frames are {', '.join(FRAME_TYPES)}"}
    if error["type"] == "json_invalid":
        return {"path": "", "detail": "this is not JSON"}
    # The first step of a tagged union's path is the tag itself.
    path = [str(step) for step in error["loc"]]
    if path and path[0] in FRAME_TYPES:
        path = path[1:]
    if path and path[0] in _CHOICES:
        return {"path": path[0], "detail": _CHOICES[path[0]]}
    return {"path": ".".join(path), "detail": error["msg"]}


def _id_of(text: str) -> str | int | None:
    try:
        found = from_json(text)
        return _ID.validate_python(found.get("id")) if isinstance(found, dict) else None
    except ValueError:
        return None


def frame(payload: bytes, opcode: int = 0x1) -> bytes:
    """One unmasked, unfragmented frame (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, size) + payload


def text_frame(message: Answer | Notice | Mapping[str, object]) -> bytes:
    """A JSON text frame, ready for any socket."""
    return frame(to_json(message))


def answer(frame_id: FrameId | None, message: Answer) -> bytes:
    """A frame that answers one of the client's, carrying its id where it had one."""
    if frame_id is not None:
        message["id"] = frame_id
    return text_frame(message)


def error(frame_id: FrameId | None, why: Refused, *, room: str | None = None) -> bytes:
    """`error {id, code, detail, retry_after?, state?}`, and of which room."""
    message = Error(type="error", code=why.code, detail=why.detail)
    if room is not None:
        message["room"] = room
    if why.retry_after is not None:
        message["retry_after"] = why.retry_after
    if why.state is not None:
        message["state"] = cast("PlaybackState", why.state)  # As JSON has it: it came so over the bus.
    return answer(frame_id, message)
