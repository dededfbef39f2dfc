"""Golden frames of `matinee.v1`: those that are right, one of each kind at least, and some that are not. Pure.

The AsyncAPI document shows the right ones; `matinee conformance --frames` writes all of them to files;
tests hold the gateway's parser and the document to them. Add to them, never edit one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from bus_schemas.limits import CHAT_MAX, CLIENT_ID_MAX, DANMAKU_MAX

Sender = Literal["client", "server"]
Frame = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Example:
    """One frame as it stands on the wire; `fault` says why it is none, and is empty where it is one."""

    sender: Sender
    name: str
    text: str
    fault: str = ""

    @property
    def valid(self) -> bool:
        """Whether it may be sent."""
        return not self.fault

    @property
    def kind(self) -> str:
        """The `type` of a valid frame."""
        return str(json.loads(self.text)["type"])


ROOM: Final = "k3v9w2"
_ADA: Final = {"id": "u1", "username": "Ada"}
_ADA_WHOLE: Final = {**_ADA, "role": "user", "state": "active", "guest": False}
_BOB: Final = {"id": "u2", "username": "Bob", "role": "user", "state": "active", "guest": True}
_YOU: Final = {"user": _ADA_WHOLE, "role": "member", "state": "active", "permissions": "7696581407793"}
_STATE: Final = {
    "item": "i1", "playing": True, "position": 61.5, "rate": 1.0, "at": 1_790_000_000_300, "revision": 7,
    "live": False, "mode": "sequential", "hold": None, "undoable": 3,
}  # fmt: skip
_ITEM: Final[Frame] = {
    "id": "i1", "title": "A film", "kind": "url", "url": "https://media.example/film.mp4", "stream": None,
    "duration": 5_400.0, "subtitles": [], "parent": None, "position": 0, "added_by": _ADA,
}  # fmt: skip
_BOB_HERE: Final = {
    "user": _BOB, "role": "guest", "state": "active", "permissions": "7696581402625", "online": True,
    "sync": {"drift_ms": 12.0, "buffering": False},
}  # fmt: skip
_MESSAGE: Final = {
    "id": "m1", "user": _ADA, "text": "Here we go!", "at": 1_790_000_000_000, "reply_to": None, "edited": None,
}  # fmt: skip
_DANMAKU: Final = {
    "type": "danmaku", "room": ROOM, "user": _ADA, "text": "wow", "color": "#ffffff", "mode": "scroll",
    "size": "normal", "at": 1_790_000_000_000,
}  # fmt: skip
_SETTINGS: Final = {
    "id": ROOM, "name": "Movie night", "hidden": False, "has_password": False, "creator": _ADA,
    "settings": {"guest_access": True, "wait": "ignore", "live_delay_ms": 3_000, "member_limit": 0},
    "created_at": 1_789_999_000_000,
}  # fmt: skip
_EPOCH: Final = "2026-09-21T14:13:20.000000001Z"

_FROM_CLIENTS: Final[dict[str, Frame]] = {
    "join": {"type": "join", "id": "a1", "room": ROOM},
    "join-with-password": {"type": "join", "id": "a2", "room": ROOM, "password": "open sesame"},
    "join-resuming": {"type": "join", "id": 3, "room": ROOM, "after": 1_204, "epoch": _EPOCH},
    "leave": {"type": "leave", "id": "a4", "room": ROOM},
    "playback-play": {"type": "playback", "id": "a5", "room": ROOM, "action": "play", "revision": 7},
    "playback-pause": {"type": "playback", "id": "a6", "room": ROOM, "action": "pause"},
    "playback-seek": {"type": "playback", "id": "a7", "room": ROOM, "action": "seek", "position": 61.5},
    "playback-rate": {"type": "playback", "id": "a8", "room": ROOM, "action": "rate", "rate": 1.25},
    "playback-select": {"type": "playback", "id": "a9", "room": ROOM, "action": "select", "item": "i1"},
    "playback-mode": {"type": "playback", "id": "a10", "room": ROOM, "action": "mode", "mode": "shuffle"},
    "playback-next": {"type": "playback", "room": ROOM, "action": "next"},
    "playback-previous": {"type": "playback", "room": ROOM, "action": "previous"},
    "playback-undo": {"type": "playback", "room": ROOM, "action": "undo"},
    "report": {
        "type": "report", "room": ROOM, "item": "i1", "position": 62.0, "playing": True, "buffering": False,
        "rate": 1.0, "rtt": 31.5, "drift_ms": 12.0,
    },
    "chat": {"type": "chat", "id": "a11", "room": ROOM, "client_id": "c-1", "text": "Here we go!"},
    "chat-reply": {
        "type": "chat", "id": "a12", "room": ROOM, "client_id": "c-2", "text": "<b>as typed</b>", "reply_to": "m1",
    },
    "danmaku": {
        "type": "danmaku", "id": "a13", "room": ROOM, "client_id": "d-1", "text": "wow", "color": "#ff0000",
        "mode": "top", "size": "large",
    },
    "danmaku-plain": {"type": "danmaku", "room": ROOM, "client_id": "d-2", "text": "wow"},
    "time": {"type": "time", "id": "a14", "t0": 1_790_000_000_000},
    "auth": {"type": "auth", "id": "a15", "token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1MSJ9.c2ln"},
    "ping": {"type": "ping", "id": "a16"},
    "unknown-fields-are-ignored": {"type": "ping", "id": "a17", "since_version": 2},
}  # fmt: skip

_FROM_SERVERS: Final[dict[str, Frame]] = {
    "joined": {
        "type": "joined", "id": "a1", "room": ROOM, "you": _YOU, "state": _STATE,
        "playlist": {"version": 4, "items": [_ITEM]}, "members": [_BOB_HERE], "messages": [_MESSAGE],
        "danmaku": [_DANMAKU],
        "streams": [{"stream": "s1", "title": "Camera", "status": "live", "viewers": 12}],
        "viewers": 2, "seq": 1_204, "epoch": _EPOCH, "now": 1_790_000_000_000,
    },
    "resumed": {
        "type": "resumed", "id": 3, "room": ROOM, "after": 1_204, "seq": 1_209, "epoch": _EPOCH,
        "now": 1_790_000_060_000,
    },
    "ack": {"type": "ack", "id": "a4"},
    "ack-of-playback": {"type": "ack", "id": "a5", "state": _STATE},
    "ack-of-chat": {"type": "ack", "id": "a11", "message": _MESSAGE},
    "error": {"type": "error", "id": "a8", "code": "forbidden", "detail": "You may not do that.", "room": ROOM},
    "error-without-id": {"type": "error", "code": "invalid", "detail": "this is not JSON"},
    "error-with-state": {
        "type": "error", "id": "a5", "code": "conflict", "detail": "The room moved on.", "room": ROOM,
        "state": _STATE,
    },
    "error-with-a-time": {
        "type": "error", "id": "a11", "code": "rate_limited", "detail": "Try again in 1 second.", "room": ROOM,
        "retry_after": 1,
    },
    "time": {
        "type": "time", "id": "a14", "t0": 1_790_000_000_000, "t1": 1_790_000_000_020, "t2": 1_790_000_000_020,
    },
    "pong": {"type": "pong", "id": "a16"},
    "you": {"type": "you", "room": ROOM, **_YOU},
    "kicked": {"type": "kicked", "room": ROOM, "reason": "banned"},
    "play_token": {
        "type": "play_token", "room": ROOM, "stream": "s1", "token": "eyJhbGciOiJFZERTQSJ9.e30.c2ln",
        "expires_at": 1_790_000_300_000,
    },
    "viewers": {"type": "viewers", "room": ROOM, "count": 2},
    "stream_viewers": {
        "type": "stream_viewers", "room": ROOM, "stream": "s1", "count": 12, "protocols": {"flv": 2, "hls": 10},
    },
    "danmaku": _DANMAKU,
    "playback": {
        "type": "playback", "room": ROOM, "seq": 1_205, "at": 1_790_000_000_000, "state": _STATE, "by": _ADA,
        "duration": 5_400.0,
    },
    "playback-by-the-schedule": {
        "type": "playback", "room": ROOM, "seq": 1_206, "at": 1_790_005_400_000,
        "state": {**_STATE, "item": "i2", "position": 0.0, "revision": 8}, "by": None, "duration": None,
    },
    "playlist": {
        "type": "playlist", "room": ROOM, "seq": 1_207, "at": 1_790_000_001_000, "change": "added", "item": _ITEM,
        "items": [_ITEM], "version": 5, "by": _ADA, "undo": False,
    },
    "member": {
        "type": "member", "room": ROOM, "seq": 1_208, "at": 1_790_000_002_000, "change": "joined",
        "member": _BOB_HERE, "removed": None, "reason": "",
    },
    "member-updated": {
        "type": "member", "room": ROOM, "seq": 1_209, "at": 1_790_000_003_000, "change": "updated",
        "member": {**_BOB_HERE, "sync": {"drift_ms": None, "buffering": True}}, "removed": None, "reason": "",
    },
    "chat": {
        "type": "chat", "room": ROOM, "seq": 1_210, "at": 1_790_000_000_000, "message": _MESSAGE,
        "client_id": "c-1",
    },
    "chat_deleted": {
        "type": "chat_deleted", "room": ROOM, "seq": 1_211, "at": 1_790_000_004_000, "message_id": "m1", "by": _ADA,
    },
    "stream": {
        "type": "stream", "room": ROOM, "seq": 1_212, "at": 1_790_000_005_000, "stream": "s1", "status": "live",
    },
    "settings": {
        "type": "settings", "room": ROOM, "seq": 1_213, "at": 1_790_000_006_000, "settings": _SETTINGS, "by": _ADA,
    },
    "room_deleted": {"type": "room_deleted", "room": ROOM, "seq": 1_214, "at": 1_790_000_007_000, "by": _ADA},
}  # fmt: skip

_CHAT: Final = {"type": "chat", "id": "x", "room": ROOM, "client_id": "c", "text": "t"}
_DANMAKU_SENT: Final = {"type": "danmaku", "id": "x", "room": ROOM, "client_id": "c", "text": "t"}
_PLAYBACK: Final = {"type": "playback", "id": "x", "room": ROOM}

_REFUSED: Final[dict[str, tuple[Frame | str, str]]] = {
    "nothing": ("", "this is not JSON"),
    "half-a-frame": ('{"type":"ping"', "this is not JSON"),
    "no-object": ("[]", "a frame is an object"),
    "null": ("null", "a frame is an object"),
    "nested-without-end": ("[" * 20_000, "this is not JSON"),
    "half-a-character": ('{"type":"ping","id":"\\ud800"}', "this is not JSON"),
    "no-type": ({"id": "x"}, "every frame has a type"),
    "unknown-type": ({"type": "explode", "id": "x"}, "there is no such type"),
    "type-is-a-number": ({"type": 7, "id": "x"}, "there is no such type"),
    "id-is-an-object": ({"type": "ping", "id": {}}, "id is a string of 1 to 64 characters, or a whole number"),
    "id-is-empty": ({"type": "ping", "id": ""}, "id is a string of 1 to 64 characters, or a whole number"),
    "id-is-too-long": ({"type": "ping", "id": "x" * 65}, "id is a string of 1 to 64 characters, or a whole number"),
    "join-no-room": ({"type": "join", "id": "x"}, "room is wanted"),
    "join-wildcard": ({"type": "join", "id": "x", "room": "*"}, "a room's id has letters, digits, _ and -"),
    "join-dots": ({"type": "join", "id": "x", "room": "a.b"}, "a room's id has letters, digits, _ and -"),
    "join-after-is-text": ({"type": "join", "id": "x", "room": ROOM, "after": "7"}, "after is a whole number"),
    "join-after-is-negative": ({"type": "join", "id": "x", "room": ROOM, "after": -1}, "after is at least 0"),
    "playback-unknown-action": ({**_PLAYBACK, "action": "explode"}, "there is no such action"),
    "playback-action-of-the-server": ({**_PLAYBACK, "action": "deadline"}, "there is no such action"),
    "seek-nowhere": ({**_PLAYBACK, "action": "seek"}, "seek wants position"),
    "seek-to-text": ({**_PLAYBACK, "action": "seek", "position": "12"}, "position is a number"),
    "seek-to-a-flag": ({**_PLAYBACK, "action": "seek", "position": True}, "position is a number"),
    "seek-before-the-start": ({**_PLAYBACK, "action": "seek", "position": -0.1}, "position is at least 0"),
    "seek-to-infinity": (
        f'{{"type":"playback","id":"x","room":"{ROOM}","action":"seek","position":1e999}}', "position is finite",
    ),
    "seek-to-no-number": (
        f'{{"type":"playback","id":"x","room":"{ROOM}","action":"seek","position":NaN}}', "position is a number",
    ),
    "rate-too-slow": ({**_PLAYBACK, "action": "rate", "rate": 0.24}, "rate is from 0.25 to 4"),
    "rate-too-fast": ({**_PLAYBACK, "action": "rate", "rate": 4.01}, "rate is from 0.25 to 4"),
    "select-nothing": ({**_PLAYBACK, "action": "select"}, "select wants item"),
    "mode-unknown": ({**_PLAYBACK, "action": "mode", "mode": "backwards"}, "there is no such mode"),
    "chat-empty": ({**_CHAT, "text": ""}, "text has 1 to 2,000 characters"),
    "chat-too-long": ({**_CHAT, "text": "x" * (CHAT_MAX + 1)}, "text has 1 to 2,000 characters"),
    "chat-is-a-number": ({**_CHAT, "text": 5}, "text is text"),
    "chat-without-client-id": ({"type": "chat", "id": "x", "room": ROOM, "text": "t"}, "client_id is wanted"),
    "chat-client-id-too-long": ({**_CHAT, "client_id": "c" * (CLIENT_ID_MAX + 1)}, "client_id has at most 64"),
    "chat-client-id-with-control": ({**_CHAT, "client_id": "a\u0000b"}, "client_id has no control characters"),
    "danmaku-too-long": ({**_DANMAKU_SENT, "text": "x" * (DANMAKU_MAX + 1)}, "text has 1 to 100 characters"),
    "danmaku-colour-by-name": ({**_DANMAKU_SENT, "color": "red"}, "color is like #ff0000"),
    "danmaku-mode-unknown": ({**_DANMAKU_SENT, "mode": "spin"}, "there is no such mode"),
    "danmaku-size-unknown": ({**_DANMAKU_SENT, "size": 7}, "there is no such size"),
    "time-is-text": ({"type": "time", "id": "x", "t0": "now"}, "t0 is a finite number"),
    "auth-without-token": ({"type": "auth", "id": "x"}, "token is wanted"),
}  # fmt: skip


def examples() -> Iterator[Example]:
    """All of them, in one order."""
    senders: tuple[tuple[Sender, dict[str, Frame]], ...] = (
        ("client", _FROM_CLIENTS), ("server", _FROM_SERVERS),
    )  # fmt: skip
    for sender, frames in senders:
        for name, frame in frames.items():
            yield Example(sender, name, json.dumps(frame))
    for name, (wrong, fault) in _REFUSED.items():
        yield Example("client", name, wrong if isinstance(wrong, str) else json.dumps(wrong), fault)
