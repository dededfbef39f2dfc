"""Who speaks and listens where: the declarations, and what the processes really do."""

import ast
from pathlib import Path
from typing import Any

import pytest
from faststream.nats import NatsBroker
from nats.aio.client import Client

from bus_schemas import streams, subjects
from bus_schemas.streams import CONSUMERS, STREAMS, ConsumerSpec, StreamSpec
from bus_schemas.subjects import (
    DELIVERIES_EXHAUSTED,
    DLQ,
    LIVE_TAGS_DELTA,
    LIVE_TAGS_KEY,
    REPLY,
    SUBJECTS,
    Subject,
    consumed_by,
)
from runtime.bus import Bus
from runtime.metrics import Metrics
from runtime.settings import ChatSettings, SyncSettings
from workers.chat import worker as chat
from workers.sync import worker as sync

PROJECT = Path(__file__).resolve().parents[2]
ROOMS = {
    "gateway": "gateway",
    "ingest": "workers/ingest",
    "transmux": "workers/transmux",
    "sync": "workers/sync",
    "chat": "workers/chat",
    "ops": "ops",
}
BY_RUNTIME = {
    ("sync", REPLY.template): "answered by runtime.emit.answer",
    ("chat", REPLY.template): "answered by runtime.emit.answer",
    **{
        (kind, subject.template): "read and written by runtime.poison"
        for kind in ("sync", "chat")
        for subject in (DLQ, DELIVERIES_EXHAUSTED)
    },
    ("ops", DLQ.template): "read by an operator with the tools of NATS",
    ("gateway", DLQ.template): "written by runtime.poison",
    ("transmux", DLQ.template): "written by runtime.poison",
    **{
        (kind, subject.template): "read by runtime.tag_tail"
        for kind in ("gateway", "ingest", "transmux")
        for subject in (LIVE_TAGS_KEY, LIVE_TAGS_DELTA)
    },
}
"""Declared, and no file of the room itself names it: why."""

NAMED: dict[str, Subject[Any]] = {
    name: value for name, value in vars(subjects).items() if isinstance(value, Subject)
}
SHARED: dict[str, ConsumerSpec] = {
    name: value for name, value in vars(streams).items() if isinstance(value, ConsumerSpec)
}


def matches(pattern: str, subject: str) -> bool:
    """NATS wildcards: `*` is one token, `>` is the rest."""
    wanted, there = pattern.split("."), subject.split(".")
    for index, token in enumerate(wanted):
        if token == ">":
            return len(there) > index
        if index >= len(there) or token not in {"*", there[index]}:
            return False
    return len(wanted) == len(there)


def subscriptions(broker: NatsBroker) -> set[str]:
    held: list[Any] = list(broker.subscribers)
    return {subscriber.subject.template for subscriber in held}


def unconnected() -> Bus:
    client = Client()
    return Bus(client, client.jetstream())


def test_the_sync_worker_listens_to_what_is_declared() -> None:
    """Its broker's subscriptions are exactly the subjects that name it as a consumer."""
    commands: Any = type("Commands", (), {"on_requested": None})

    broker = sync.make_broker(unconnected(), Metrics(), commands, SyncSettings())

    assert subscriptions(broker) == consumed_by("sync")


def test_the_chat_worker_listens_to_what_is_declared() -> None:
    """Its broker's subscriptions are exactly the subjects that name it as a consumer."""
    submissions: Any = type("Submissions", (), {"on_chat": None, "on_delete": None, "on_danmaku": None})

    broker = chat.make_broker(unconnected(), Metrics(), submissions, ChatSettings())

    assert subscriptions(broker) == consumed_by("chat")


@pytest.mark.parametrize("kind", ROOMS)
def test_a_room_names_the_subjects_it_is_declared_for_and_no_others(kind: str) -> None:
    """What a room's code imports from the contract is what the contract says of the room."""
    used: set[str] = set()
    for file in (PROJECT / ROOMS[kind]).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.ImportFrom):
                continue
            names = {alias.name for alias in node.names}
            if node.module == "bus_schemas.subjects":
                used |= {NAMED[name].template for name in names if name in NAMED}
            elif node.module == "bus_schemas.streams":
                patterns = {pattern for name in names if name in SHARED for pattern in SHARED[name].filters}
                used |= {s.template for s in SUBJECTS if s.pattern in patterns}

    declared = {s.template for s in SUBJECTS if kind in s.producers | s.consumers}
    assert used - declared == set(), "used, but not declared"
    unused = declared - used
    assert {template for template in unused if (kind, template) not in BY_RUNTIME} == set(), (
        "declared, but not used"
    )


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.template)
def test_a_subject_has_one_stream_that_keeps_it(subject: Subject[Any]) -> None:
    """A stored subject matches its declared stream and no other; a core subject matches none."""
    concrete = subject.pattern.replace("*", "x")

    keepers = {s.name for s in STREAMS if any(matches(pattern, concrete) for pattern in s.subjects)}

    assert keepers == ({subject.stream} if subject.stream else set())


def test_a_subject_is_spoken_and_heard() -> None:
    """Neither a subject nobody writes nor one nobody reads is declared, and every kind is one there is."""
    for subject in SUBJECTS:
        assert subject.producers
        assert subject.consumers
        assert subject.producers | subject.consumers <= {*ROOMS, "republish"}, subject.template


def test_every_stored_subject_is_declared() -> None:
    """No stream keeps a pattern that no subject of the contract stands for."""
    concrete = [subject.pattern.replace("*", "x") for subject in SUBJECTS if subject.stream]

    idle = [
        (spec.name, pattern) for spec in STREAMS for pattern in spec.subjects
        if not any(matches(pattern, one) for one in concrete)
    ]  # fmt: skip

    assert idle == []


@pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda consumer: consumer.name)
def test_a_shared_consumer_reads_its_stream_alone(consumer: ConsumerSpec) -> None:
    """Its filters lie within its stream, and on a work queue no two consumers want the same message."""
    stream = next(spec for spec in STREAMS if spec.name == consumer.stream)
    others = [one for one in CONSUMERS if one.stream == consumer.stream and one is not consumer]

    for pattern in consumer.filters:
        concrete = pattern.replace("*", "x").replace(">", "x.x")
        assert any(matches(subject, concrete) for subject in stream.subjects)
        if stream.retention == "workqueue":
            assert not any(matches(other, concrete) for one in others for other in one.filters)
    if consumer.max_deliver > 0:
        assert len(consumer.backoff_s) == consumer.max_deliver - 1


def test_names_of_streams_and_consumers_are_unique() -> None:
    """A second declaration under one name would be altered by whoever comes last."""
    names = [spec.config()["name"] for spec in (*streams.BUCKETS, *STREAMS)]

    assert len(names) == len(set(names))
    assert len({(consumer.stream, consumer.name) for consumer in CONSUMERS}) == len(CONSUMERS)


@pytest.mark.parametrize("spec", STREAMS, ids=lambda spec: spec.name)
def test_every_stream_is_bounded(spec: StreamSpec) -> None:
    """In bytes always; and in time, unless it is a queue or keeps the last of each subject."""
    assert spec.max_bytes > 0
    assert spec.max_age_s > 0 or spec.retention == "workqueue" or spec.per_subject > 0


def test_the_architecture_page_names_every_subject() -> None:
    """The one page a newcomer reads is complete."""
    page = (PROJECT / "docs" / "architecture.md").read_text("utf-8")

    assert [subject.template for subject in SUBJECTS if f"`{subject.template}`" not in page] == []
