"""Streams, buckets and consumers as the server is told of them."""

import pytest

from bus_schemas import streams
from bus_schemas.limits import BUS_PAYLOAD_MAX, RESUME_WINDOW_S
from bus_schemas.streams import (
    BUCKETS,
    CONSUMERS,
    STREAMS,
    BucketSpec,
    ConsumerSpec,
    StreamSpec,
    reserved_bytes,
)

SECOND = 1_000_000_000


def test_room_events_source_the_state_and_are_republished() -> None:
    """The playback state is its own event: one order with all other events of the room."""
    config = streams.ROOM_EVENTS.config()

    assert config["sources"] == [
        {
            "name": "KV_ROOMS",
            "subject_transforms": [{"src": "$KV.ROOMS.*", "dest": "room.{{wildcard(1)}}.event"}],
        }
    ]
    assert config["republish"] == {"src": "room.*.event", "dest": "out.room.{{wildcard(1)}}"}
    assert config["max_age"] == RESUME_WINDOW_S * SECOND


def test_commands_are_a_work_queue_with_schedules() -> None:
    """A schedule and its target share a stream; no full queue but that of schedules drops anything."""
    config = streams.ROOM_COMMANDS.config()

    assert (config["retention"], config["allow_msg_schedules"]) == ("workqueue", True)
    assert streams.CHAT_SUBMIT.config()["discard"] == "new"


@pytest.mark.parametrize(
    ("spec", "age_s", "storage"),
    [
        (streams.LIVE, 30, "memory"), (streams.PARTS, 120, "memory"), (streams.DANMAKU, 10, "memory"),
        (streams.ROOM_EVENTS, 600, "file"), (streams.LIVE_EVENTS, 7 * 86_400, "file"),
        (streams.AUDIT, 90 * 86_400, "file"), (streams.DLQ, 7 * 86_400, "file"),
    ],
)  # fmt: skip
def test_how_long_a_stream_keeps(spec: StreamSpec, age_s: int, storage: str) -> None:
    """As DESIGN.md §3 has it."""
    assert (spec.config()["max_age"], spec.config()["storage"]) == (age_s * SECOND, storage)


@pytest.mark.parametrize("spec", STREAMS, ids=lambda spec: spec.name)
def test_doubles_are_not_watched_for_longer_than_messages_are_kept(spec: StreamSpec) -> None:
    """The server refuses a window beyond the age."""
    config = spec.config()

    assert config["duplicate_window"] > 0
    assert config["max_age"] == 0 or config["duplicate_window"] <= config["max_age"]
    assert spec.max_bytes > BUS_PAYLOAD_MAX


@pytest.mark.parametrize(
    ("bucket", "ttl_s"),
    [(streams.PUBLISHERS, 10), (streams.PRESENCE, 30), (streams.NODES, 15), (streams.ROOMS, 0)],
)
def test_buckets_that_expire_say_so(bucket: BucketSpec, ttl_s: int) -> None:
    """A marker stands where an expired value was, so that its watchers hear of it."""
    config = bucket.config()

    assert config["name"] == f"KV_{bucket.name}"
    assert config["max_age"] == ttl_s * SECOND
    assert config.get("subject_delete_marker_ttl", 0) == ttl_s * SECOND
    assert config["max_msgs_per_subject"] == 1


@pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda consumer: consumer.name)
def test_a_consumer_never_acks_by_itself(consumer: ConsumerSpec) -> None:
    """What was delivered and not answered comes again."""
    config = consumer.config()

    assert config["ack_policy"] == "explicit"
    assert config["durable_name"] == consumer.name
    assert ("filter_subject" in config) != ("filter_subjects" in config)
    assert "backoff" not in config  # the server would ignore it on a nak, and stretch ack_wait by it


def test_the_lease_of_a_transmux_job_runs_out_soon() -> None:
    """1.2 s without a beat, for ever."""
    config = streams.TRANSMUX_CONSUMER.config()

    assert (config["ack_wait"], config["max_deliver"]) == (1.2 * SECOND, -1)


def test_what_the_server_must_be_allowed() -> None:
    """The sum of all bounds, by storage."""
    total = sum(spec.max_bytes for spec in STREAMS) + sum(bucket.max_bytes for bucket in BUCKETS)

    assert reserved_bytes("memory") + reserved_bytes("file") == total
