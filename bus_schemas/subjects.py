"""Every subject of the bus: where it is, what it carries, which stream keeps it, who speaks and listens.

FastStream subscribes to a template as it is; nats-py takes `pattern`; both publish to `at(...)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from bus_schemas.messages.base import TOKEN
from bus_schemas.messages.live import LiveEvent, PlayAsked, PlayRightsChanged, StreamControl, TransmuxJob
from bus_schemas.messages.room import (
    AuditRecorded,
    ChatDeleteRequested,
    ChatSubmitted,
    CommandReply,
    DanmakuPosted,
    DanmakuSubmitted,
    DeadLetter,
    PlaybackRequested,
    RoomEvent,
)
from bus_schemas.messages.server import DeliveriesExhausted
from bus_schemas.parts import InitHeader, PartHeader
from bus_schemas.tags import TagHeader

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Subject(Generic[M]):
    """One address on the bus."""

    template: str
    """`room.{room}.command`: the tokens in braces are filled by `at`."""
    message: type[M]
    """The pydantic model, or for media the binary header in front of the bytes."""
    stream: str | None
    """The JetStream stream that keeps it; None for core NATS."""
    producers: frozenset[str]
    consumers: frozenset[str]
    """Kinds of process; `republish` is the server itself."""

    def at(self, **tokens: str) -> str:
        """The concrete subject; a token can never smuggle in a dot or a wildcard (ValueError)."""
        for name, value in tokens.items():
            if not TOKEN.fullmatch(value):
                raise ValueError(f"bad token {name}={value!r} for {self.template}")
        return self.template.format(**tokens)

    @property
    def pattern(self) -> str:
        """The template with `*` for each token."""
        return ".".join("*" if token.startswith("{") else token for token in self.template.split("."))

    def token(self, subject: str, name: str) -> str:
        """The value of one token in a concrete subject."""
        return subject.split(".")[self.template.split(".").index("{" + name + "}")]


def _s(template: str, message: type[M], stream: str | None, producers: str, consumers: str) -> Subject[M]:
    return Subject(template, message, stream, frozenset(producers.split()), frozenset(consumers.split()))


LIVE_TAGS_KEY: Final = _s("live.tags.{stream}.key", TagHeader, "LIVE", "ingest", "transmux gateway ingest")
LIVE_TAGS_DELTA: Final = _s(
    "live.tags.{stream}.delta", TagHeader, "LIVE", "ingest transmux", "transmux gateway ingest"
)
LIVE_HEADER: Final = _s(
    "live.header.{stream}", TagHeader, "LIVE_HEADERS", "ingest", "transmux gateway ingest"
)
LIVE_EVENT: Final = _s(
    "live.event.{stream}", LiveEvent, "LIVE_EVENTS", "ingest transmux", "gateway ops ingest transmux"
)
LIVE_CONTROL: Final = _s("live.control.{stream}", StreamControl, None, "gateway ops ingest", "ingest")
LIVE_PLAY: Final = _s("live.play.{stream}", PlayAsked, None, "ingest", "gateway")
"""A request: the gateway whose turn it is answers with `PlayAnswered`."""
LIVE_RIGHTS: Final = _s("live.rights", PlayRightsChanged, None, "gateway", "gateway ingest")

HLS_INIT: Final = _s(
    "hls.init.{stream}.{rendition}.{generation}", InitHeader, "LIVE_HEADERS", "transmux", "gateway"
)
HLS_PART: Final = _s("hls.part.{stream}.{rendition}", PartHeader, "PARTS", "transmux", "gateway transmux")

JOBS_TRANSMUX: Final = _s("jobs.transmux.{stream}", TransmuxJob, "JOBS", "ingest", "transmux")

ROOM_EVENT: Final = _s("room.{room}.event", RoomEvent, "ROOM_EVENTS", "gateway chat republish", "gateway")
ROOM_EVENT_OUT: Final = _s("out.room.{room}", RoomEvent, None, "republish", "gateway")
ROOM_COMMAND: Final = _s("room.{room}.command", PlaybackRequested, "ROOM_COMMANDS", "gateway sync", "sync")
ROOM_SCHEDULE: Final = _s("schedule.room.{room}", PlaybackRequested, "ROOM_COMMANDS", "sync", "republish")
"""Held by the server until it is due, then sent on to the room's command subject."""

CHAT_SUBMIT: Final = _s("chat.submit.{room}", ChatSubmitted, "CHAT_SUBMIT", "gateway", "chat")
CHAT_DELETE: Final = _s("chat.delete.{room}", ChatDeleteRequested, "CHAT_SUBMIT", "gateway", "chat")
DANMAKU_SUBMIT: Final = _s("danmaku.submit.{room}", DanmakuSubmitted, "CHAT_SUBMIT", "gateway", "chat")
DANMAKU: Final = _s("room.{room}.danmaku", DanmakuPosted, "DANMAKU", "chat", "gateway")
DANMAKU_OUT: Final = _s("out.danmaku.{room}", DanmakuPosted, None, "republish", "gateway")

REPLY: Final = _s("reply.{node}.{id}", CommandReply, None, "sync chat", "gateway")
AUDIT: Final = _s("audit.{category}", AuditRecorded, "AUDIT", "gateway ops", "ops")
DLQ: Final = _s("dlq.{stream}", DeadLetter, "DLQ", "sync chat transmux gateway", "ops")

DELIVERIES_EXHAUSTED: Final = _s(
    "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{stream}.{consumer}",
    DeliveriesExhausted,
    "ADVISORIES",
    "republish",
    "sync chat",
)

SUBJECTS: Final[tuple[Subject[Any], ...]] = tuple(
    value for value in list(globals().values()) if isinstance(value, Subject)
)


def consumed_by(kind: str) -> frozenset[str]:
    """Templates that a kind of process reads."""
    return frozenset(subject.template for subject in SUBJECTS if kind in subject.consumers)
