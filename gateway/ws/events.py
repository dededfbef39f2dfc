"""Room events on their way from the bus to members: rendered once for all of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import from_json

from bus_schemas.permissions import NOTHING, MemberState, Permission
from bus_schemas.socket_frames import EVENT_INTERNAL
from gateway.ws.frames import text_frame
from gateway.ws.outgoing import Worth

WANTED: Final = {"playlist": Permission.VIEW_PLAYLIST, "member": Permission.VIEW_MEMBER_LIST}
"""Events that only those get who may see what they are about; all others go to every member."""


@dataclass(frozen=True, slots=True)
class RoomEventFrame:
    """One event of a room, as every member's socket is given it."""

    seq: int
    kind: str
    body: dict[str, Any]
    """As clients read it."""
    wire: bytes
    """The whole frame, for any socket."""

    @property
    def worth(self) -> Worth:
        """A playback state is outdone by the next one; everything else is kept."""
        return Worth.STATE if self.kind == "playback" else Worth.KEPT

    @property
    def wanted(self) -> Permission:
        """What one must be allowed to see to be given it."""
        if self.kind == "member" and _waits(self.body):
            return Permission.APPROVE_MEMBER
        return WANTED.get(self.kind, NOTHING)


def _waits(body: dict[str, Any]) -> bool:
    """Whether an event is about one who asks to be let in: none of the members' business."""
    member = body.get("member")
    return isinstance(member, dict) and member.get("state") == MemberState.PENDING


def render(room: str, seq: int, body: bytes) -> RoomEventFrame | None:
    """The frame of an event; None for what carries none (a deleted key) or cannot be read."""
    if not body:
        return None
    try:
        event = from_json(body, allow_inf_nan=False)
    except ValueError:
        return None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        return None
    for name in EVENT_INTERNAL:
        event.pop(name, None)
    kind = event.pop("type")
    event.pop("room", None)
    client = {"type": kind, "room": room, "seq": seq, **event}
    return RoomEventFrame(seq, kind, client, text_frame(client))


def render_danmaku(room: str, body: bytes) -> tuple[dict[str, Any], bytes] | None:
    """A danmaku as clients read it, and its frame: no `seq`. None for what cannot be read."""
    event = render(room, 0, body)
    if event is None or event.kind != "danmaku":
        return None
    shown = {name: value for name, value in event.body.items() if name != "seq"}
    return shown, text_frame(shown)


@dataclass(frozen=True, slots=True)
class Marks:
    """What a member was given when he came: an event that says no more than that is not for him.

    The database and the bucket are ahead of the events that tell of them, by a moment or, over the
    restart of a worker, by seconds: a newcomer would be told twice.
    """

    after: int
    revision: int = -1
    playlist: int = -1
    messages: frozenset[str] = frozenset()

    def cover(self, event: RoomEventFrame) -> bool:
        """Whether the member has this already."""
        if event.seq <= self.after:
            return True
        try:
            if event.kind == "playback":
                return int(event.body["state"]["revision"]) <= self.revision
            if event.kind == "playlist":
                return int(event.body["version"]) <= self.playlist
            if event.kind == "chat":
                return event.body["message"]["id"] in self.messages
        except (KeyError, TypeError, ValueError):
            return False
        return False
