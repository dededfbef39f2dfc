"""Every JetStream stream, bucket and shared consumer: the only place they are declared.

`config()` gives the JSON of the server's API (durations in ns), so that this page depends on no
client library. `runtime.streams` creates what is missing and never alters what is there;
`matinee migrate` applies changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from bus_schemas.limits import RESUME_WINDOW_S

_NS: Final = 1_000_000_000
_MB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """One stream: what it keeps, for how long, and in how many bytes."""

    name: str
    subjects: tuple[str, ...]
    why: str
    storage: Literal["memory", "file"]
    max_bytes: int
    max_age_s: float = 0
    retention: Literal["limits", "workqueue"] = "limits"
    per_subject: int = -1
    duplicate_window_s: float = 120
    republish: tuple[str, str] | None = None
    source: tuple[str, str, str] | None = None
    """Stream, its subjects, and what they become here."""
    schedules: bool = False

    def config(self) -> dict[str, Any]:
        """The body of `$JS.API.STREAM.CREATE`."""
        config: dict[str, Any] = {
            "name": self.name,
            "description": self.why,
            "subjects": list(self.subjects),
            "storage": self.storage,
            "retention": self.retention,
            "discard": "new" if self.retention == "workqueue" and not self.schedules else "old",
            "max_bytes": self.max_bytes,
            "max_age": int(self.max_age_s * _NS),
            "max_msgs_per_subject": self.per_subject,
            "max_consumers": -1,
            "max_msgs": -1,
            "max_msg_size": -1,
            "num_replicas": 1,
            "duplicate_window": int(
                min(self.duplicate_window_s, self.max_age_s or self.duplicate_window_s) * _NS
            ),
            "allow_direct": True,
            "allow_rollup_hdrs": True,
            "allow_msg_ttl": True,
        }
        if self.republish:
            config["republish"] = {"src": self.republish[0], "dest": self.republish[1]}
        if self.source:
            stream, subjects, becomes = self.source
            config["sources"] = [{"name": stream, "subject_transforms": [{"src": subjects, "dest": becomes}]}]
        if self.schedules:
            config["allow_msg_schedules"] = True
        return config


@dataclass(frozen=True, slots=True)
class BucketSpec:
    """One key-value bucket; its stream is `KV_{name}`."""

    name: str
    why: str
    storage: Literal["memory", "file"] = "file"
    ttl_s: float = 0
    history: int = 1
    max_bytes: int = 32 * _MB

    @property
    def stream(self) -> str:
        """The stream behind the bucket."""
        return f"KV_{self.name}"

    def config(self) -> dict[str, Any]:
        """The body of `$JS.API.STREAM.CREATE` that makes the bucket."""
        config: dict[str, Any] = {
            "name": self.stream,
            "description": self.why,
            "subjects": [f"$KV.{self.name}.>"],
            "storage": self.storage,
            "retention": "limits",
            "discard": "new",
            "max_bytes": self.max_bytes,
            "max_age": int(self.ttl_s * _NS),
            "max_msgs_per_subject": self.history,
            "max_consumers": -1,
            "max_msgs": -1,
            "max_msg_size": -1,
            "num_replicas": 1,
            "duplicate_window": int(min(120, self.ttl_s or 120) * _NS),
            "allow_direct": True,
            "allow_rollup_hdrs": True,
            "allow_msg_ttl": True,
            "deny_delete": True,
        }
        if self.ttl_s:
            config["subject_delete_marker_ttl"] = int(max(1, self.ttl_s) * _NS)
        return config


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """A durable pull consumer that all processes of a kind share."""

    name: str
    stream: str
    filters: tuple[str, ...]
    ack_wait_s: float
    max_deliver: int
    max_ack_pending: int
    backoff_s: tuple[float, ...] = ()
    """How long the n-th failed delivery waits (`NackMessage(delay=…)`, the server ignores its own on nak)."""

    def config(self) -> dict[str, Any]:
        """The `config` of `$JS.API.CONSUMER.CREATE`."""
        config: dict[str, Any] = {
            "durable_name": self.name,
            "name": self.name,
            "ack_policy": "explicit",
            "deliver_policy": "all",
            "replay_policy": "instant",
            "ack_wait": int(self.ack_wait_s * _NS),
            "max_deliver": self.max_deliver,
            "max_ack_pending": self.max_ack_pending,
        }
        if len(self.filters) == 1:
            config["filter_subject"] = self.filters[0]
        else:
            config["filter_subjects"] = list(self.filters)
        return config


LIVE: Final = StreamSpec(
    "LIVE",
    ("live.tags.*.key", "live.tags.*.delta"),
    "media tags: instant start, transmux take-over",
    storage="memory",
    max_age_s=30,
    max_bytes=1024 * _MB,
    duplicate_window_s=5,
)
"""1 GB holds 30 s of 250 Mbit/s: 100 streams of 2.5 Mbit/s, or 12 at ingest's default limit of 20."""

LIVE_HEADERS: Final = StreamSpec(
    "LIVE_HEADERS",
    ("live.header.*", "hls.init.*.*.*"),
    "sequence headers and CMAF init segments, the last of each",
    storage="file",
    max_bytes=256 * _MB,
    per_subject=1,
)
LIVE_EVENTS: Final = StreamSpec(
    "LIVE_EVENTS",
    ("live.event.*",),
    "streams started, stopped, described, measured",
    storage="file",
    max_age_s=7 * 86_400,
    max_bytes=512 * _MB,
)
JOBS: Final = StreamSpec(
    "JOBS",
    ("jobs.transmux.*",),
    "work leased by leaving it un-acked",
    storage="file",
    retention="workqueue",
    max_bytes=64 * _MB,
)
PARTS: Final = StreamSpec(
    "PARTS",
    ("hls.part.*.*",),
    "CMAF parts: the DVR window",
    storage="memory",
    max_age_s=120,
    max_bytes=2048 * _MB,
    duplicate_window_s=5,
)
ROOM_EVENTS: Final = StreamSpec(
    "ROOM_EVENTS",
    ("room.*.event",),
    "all that the members of a room must see, in one order",
    storage="file",
    max_age_s=RESUME_WINDOW_S,
    max_bytes=1024 * _MB,
    republish=("room.*.event", "out.room.{{wildcard(1)}}"),
    source=("KV_ROOMS", "$KV.ROOMS.*", "room.{{wildcard(1)}}.event"),
)
ROOM_COMMANDS: Final = StreamSpec(
    "ROOM_COMMANDS",
    ("room.*.command", "schedule.room.*"),
    "playback commands, and each room's next deadline",
    storage="file",
    retention="workqueue",
    max_bytes=128 * _MB,
    schedules=True,
)
CHAT_SUBMIT: Final = StreamSpec(
    "CHAT_SUBMIT",
    ("chat.submit.*", "chat.delete.*", "danmaku.submit.*"),
    "chat and danmaku on their way through the filter",
    storage="file",
    retention="workqueue",
    max_bytes=128 * _MB,
)
DANMAKU: Final = StreamSpec(
    "DANMAKU",
    ("room.*.danmaku",),
    "danmaku of the last seconds, for newcomers",
    storage="memory",
    max_age_s=10,
    max_bytes=64 * _MB,
    per_subject=100,
    republish=("room.*.danmaku", "out.danmaku.{{wildcard(1)}}"),
    duplicate_window_s=10,
)
AUDIT: Final = StreamSpec(
    "AUDIT",
    ("audit.>",),
    "sensitive acts",
    storage="file",
    max_age_s=90 * 86_400,
    max_bytes=512 * _MB,
)
ADVISORIES: Final = StreamSpec(
    "ADVISORIES",
    ("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",),
    "messages whose last delivery went by unanswered, on their way to the dead letters",
    storage="file",
    retention="workqueue",
    max_age_s=7 * 86_400,
    max_bytes=16 * _MB,
)
DLQ: Final = StreamSpec(
    "DLQ",
    ("dlq.>",),
    "what could not be read, or failed its last delivery, with why",
    storage="file",
    max_age_s=7 * 86_400,
    max_bytes=256 * _MB,
)

ROOMS: Final = BucketSpec("ROOMS", "the playback state of each room, compare-and-set", max_bytes=512 * _MB)
PUBLISHERS: Final = BucketSpec("PUBLISHERS", "who publishes {stream}", storage="memory", ttl_s=10)
STREAM_KEYS: Final = BucketSpec(
    "STREAM_KEYS", "SHA-256 of a stream key → stream, room, limits", max_bytes=256 * _MB
)
PRESENCE: Final = BucketSpec(
    "PRESENCE", "{room}.{gateway}: members there, slowest round trip", storage="memory", ttl_s=30
)
NODES: Final = BucketSpec("NODES", "{kind}.{node}: a process that lives", storage="memory", ttl_s=15)
CONFIG: Final = BucketSpec("CONFIG", "settings over the bus; history is roll-back", history=64)

BUCKETS: Final[tuple[BucketSpec, ...]] = (ROOMS, PUBLISHERS, STREAM_KEYS, PRESENCE, NODES, CONFIG)

STREAMS: Final[tuple[StreamSpec, ...]] = (
    LIVE,
    LIVE_HEADERS,
    LIVE_EVENTS,
    JOBS,
    PARTS,
    ROOM_EVENTS,
    ROOM_COMMANDS,
    CHAT_SUBMIT,
    DANMAKU,
    AUDIT,
    ADVISORIES,
    DLQ,
)
"""In the order of creation, buckets before them: ROOM_EVENTS sources a bucket."""

TRANSMUX_CONSUMER: Final = ConsumerSpec(
    "transmux", JOBS.name, ("jobs.transmux.*",), ack_wait_s=1.2, max_deliver=-1, max_ack_pending=10_000
)
SYNC_CONSUMER: Final = ConsumerSpec(
    "sync",
    ROOM_COMMANDS.name,
    ("room.*.command",),
    ack_wait_s=2,
    max_deliver=5,
    max_ack_pending=1_000,
    backoff_s=(0.05, 0.2, 0.5, 1.0),
)
CHAT_CONSUMER: Final = ConsumerSpec(
    "chat",
    CHAT_SUBMIT.name,
    ("chat.submit.*",),
    ack_wait_s=2,
    max_deliver=5,
    max_ack_pending=1_000,
    backoff_s=(0.1, 0.5, 1.0, 2.0),
)
CHAT_DELETE_CONSUMER: Final = ConsumerSpec(
    "chat-delete",
    CHAT_SUBMIT.name,
    ("chat.delete.*",),
    ack_wait_s=2,
    max_deliver=5,
    max_ack_pending=100,
    backoff_s=(0.1, 0.5, 1.0, 2.0),
)
DANMAKU_CONSUMER: Final = ConsumerSpec(
    "danmaku",
    CHAT_SUBMIT.name,
    ("danmaku.submit.*",),
    ack_wait_s=2,
    max_deliver=2,
    max_ack_pending=1_000,
    backoff_s=(0.1,),
)
LIVE_STATUS_CONSUMER: Final = ConsumerSpec(
    "live-status",
    LIVE_EVENTS.name,
    ("live.event.*",),
    ack_wait_s=5,
    max_deliver=5,
    max_ack_pending=1_000,
    backoff_s=(0.2, 0.5, 1.0, 2.0),
)
"""Gateways: a room's stream went live or offline."""

DEAD_LETTER_CONSUMER: Final = ConsumerSpec(
    "dead-letters",
    ADVISORIES.name,
    ("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",),
    ack_wait_s=5,
    max_deliver=-1,
    max_ack_pending=100,
)
CONSUMERS: Final[tuple[ConsumerSpec, ...]] = (
    TRANSMUX_CONSUMER,
    SYNC_CONSUMER,
    CHAT_CONSUMER,
    CHAT_DELETE_CONSUMER,
    DANMAKU_CONSUMER,
    LIVE_STATUS_CONSUMER,
    DEAD_LETTER_CONSUMER,
)

NATS_VERSION_MIN: Final = (2, 12)


def reserved_bytes(storage: Literal["memory", "file"]) -> int:
    """What all streams and buckets of a storage may fill: the least the server's own limit must be."""
    specs: tuple[BucketSpec | StreamSpec, ...] = (*BUCKETS, *STREAMS)
    return sum(spec.max_bytes for spec in specs if spec.storage == storage)
