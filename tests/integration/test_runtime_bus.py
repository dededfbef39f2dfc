"""The bus connection, buckets and poison on a real NATS server."""

import asyncio
import base64
import json
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest

from bus_schemas.messages.room import DanmakuSubmitted, DeadLetter
from bus_schemas.messages.shapes import UserRef
from bus_schemas.streams import (
    BUCKETS,
    CONSUMERS,
    DANMAKU_CONSUMER,
    NODES,
    ROOMS,
    STREAMS,
    ConsumerSpec,
)
from bus_schemas.subjects import DANMAKU_SUBMIT, ROOM_COMMAND
from runtime import lifecycle, trace
from runtime.broker import BusBroker, consuming
from runtime.bus import Bus, connect
from runtime.emit import emit
from runtime.kv import Bucket
from runtime.metrics import Metrics
from tests.embedded import RunningServer

pytestmark = pytest.mark.connected

ADA = UserRef(id="u1", username="Ada")


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    """A connection of this test's own, with everything declared, and no messages of an earlier test."""
    one = await connect(nats_url, Metrics(), name="test")
    await one.create_missing()
    for spec in STREAMS:
        await one.request_api(f"STREAM.PURGE.{spec.name}", {})
    yield one
    await one.nc.close()


def danmaku(id_: str) -> DanmakuSubmitted:
    return DanmakuSubmitted(id=id_, room="r1", client_id="c1", user=ADA, text="x", at=0)


async def dead_letter(bus: Bus, stream: str, within: float = 20.0) -> DeadLetter:
    """The one dead letter of a stream, once it is there."""
    give_up = time.monotonic() + within
    while True:
        info = await bus.js.stream_info("DLQ", subjects_filter=f"dlq.{stream}")
        if info.state.messages:
            assert info.state.messages == 1
            message = await bus.js.get_last_msg("DLQ", f"dlq.{stream}")
            return DeadLetter.model_validate_json(message.data or b"")
        assert time.monotonic() < give_up, "no dead letter"
        await asyncio.sleep(0.02)


async def is_empty(bus: Bus, stream: str, within: float = 20.0) -> None:
    give_up = time.monotonic() + within
    while (await bus.js.stream_info(stream)).state.messages:
        assert time.monotonic() < give_up, f"{stream} still holds messages"
        await asyncio.sleep(0.02)


async def test_everything_declared_is_there_and_a_second_time_changes_nothing(bus: Bus) -> None:
    """Streams, buckets and consumers exist as declared; creating again creates nothing."""
    again = await bus.create_missing()

    assert again == []
    for spec in (*STREAMS, *BUCKETS):
        wanted = spec.config()
        answer = await bus.request_api(f"STREAM.INFO.{wanted['name']}")
        assert {
            key: answer["config"].get(key) for key in ("subjects", "storage", "max_age", "max_bytes")
        } == {key: wanted[key] for key in ("subjects", "storage", "max_age", "max_bytes")}
    for consumer in CONSUMERS:
        answer = await bus.request_api(f"CONSUMER.INFO.{consumer.stream}.{consumer.name}")
        assert answer["config"]["max_deliver"] == consumer.max_deliver


async def test_processes_that_start_together_all_find_a_bus(
    nats_server: RunningServer, nats_url: str
) -> None:
    """Eight processes create the same missing streams at once, and none of them fails."""
    buses = [await connect(nats_url, Metrics(), name=f"p{n}") for n in range(8)]
    try:
        for spec in (*reversed(STREAMS), *BUCKETS):
            name = spec.config()["name"]
            if name in await buses[0]._stream_names():
                await buses[0].request_api(f"STREAM.DELETE.{name}")

        made = await asyncio.gather(*(one.create_missing() for one in buses))

        assert {name for names in made for name in names} == {
            s.config()["name"] for s in (*STREAMS, *BUCKETS)
        }
    finally:
        for one in buses:
            await one.nc.close()


async def test_creating_never_alters_and_migrating_does(bus: Bus) -> None:
    """An operator's change to a consumer outlives a restart of a process, and yields to `migrate`."""
    await _set_ack_wait(bus, DANMAKU_CONSUMER, 7.0)

    await bus.create_missing()
    kept = await bus.request_api("CONSUMER.INFO.CHAT_SUBMIT.danmaku")
    await bus.migrate()
    declared = await bus.request_api("CONSUMER.INFO.CHAT_SUBMIT.danmaku")

    assert kept["config"]["ack_wait"] == 7_000_000_000
    assert declared["config"]["ack_wait"] == DANMAKU_CONSUMER.ack_wait_s * 1_000_000_000


async def test_an_unreadable_message_is_set_aside_at_once(bus: Bus) -> None:
    """Neither garbage nor an unknown version reaches the handler or is delivered again."""
    handled: list[DanmakuSubmitted] = []

    async def handler(message: DanmakuSubmitted) -> None:
        handled.append(message)

    body = json.dumps(danmaku("d1").model_dump() | {"v": 2}).encode()
    broker = BusBroker(bus, metrics := Metrics())
    broker.handle(DANMAKU_SUBMIT, DANMAKU_CONSUMER, handler, concurrency=4)
    async with consuming(broker):
        await bus.js.publish("danmaku.submit.r1", body)
        letter = await dead_letter(bus, "CHAT_SUBMIT")
        await is_empty(bus, "CHAT_SUBMIT")

    assert handled == []
    assert (letter.subject, letter.deliveries) == ("danmaku.submit.r1", 1)
    assert base64.b64decode(letter.body_base64) == body
    assert letter.reason.startswith("unreadable: ")
    assert b'matinee_dead_letters_total{reason="unreadable",stream="CHAT_SUBMIT"} 1.0' in metrics.render()


async def test_a_failing_message_is_tried_again_later_and_then_set_aside(bus: Bus) -> None:
    """Each failure waits for its backoff; the last delivery ends among the dead letters, and costs others nothing."""
    times: list[float] = []
    passed: list[str] = []

    async def handler(message: DanmakuSubmitted) -> None:
        if message.id == "fails":
            times.append(time.monotonic())
            raise RuntimeError("no luck")
        passed.append(message.id)

    broker = BusBroker(bus, metrics := Metrics())
    broker.handle(DANMAKU_SUBMIT, DANMAKU_CONSUMER, handler, concurrency=4)
    async with consuming(broker):
        await emit(bus, DANMAKU_SUBMIT, danmaku("fails"), room="r1")
        await emit(bus, DANMAKU_SUBMIT, danmaku("passes"), room="r1")
        letter = await dead_letter(bus, "CHAT_SUBMIT")
        await is_empty(bus, "CHAT_SUBMIT")

    assert letter.deliveries == DANMAKU_CONSUMER.max_deliver == len(times)
    assert letter.reason == "failed: RuntimeError: no luck"
    assert times[1] - times[0] >= DANMAKU_CONSUMER.backoff_s[0] * 0.9
    assert passed == ["passes"]
    rendered = metrics.render().decode()
    for outcome in ("ok", "retried", "failed"):
        assert (
            f'matinee_handled_total{{outcome="{outcome}",subject="danmaku.submit.{{room}}"}} 1.0' in rendered
        )


async def test_a_message_whose_worker_died_each_time_is_set_aside(bus: Bus) -> None:
    """Nobody answered the last delivery: the server says so, and the message does not lie in the queue for ever."""
    await _set_ack_wait(bus, DANMAKU_CONSUMER, 0.2)
    try:
        await emit(bus, DANMAKU_SUBMIT, danmaku("deadly"), room="r1")
        dying = await bus.js.pull_subscribe_bind(DANMAKU_CONSUMER.name, "CHAT_SUBMIT")
        for _ in range(DANMAKU_CONSUMER.max_deliver):
            await dying.fetch(1, timeout=3)
        await dying.unsubscribe()

        broker = BusBroker(bus, Metrics())
        broker.collect_dead()

        # The server gives up on a message when somebody asks for the next one.
        async def handler(message: DanmakuSubmitted) -> None:
            raise AssertionError(message)

        broker.handle(DANMAKU_SUBMIT, DANMAKU_CONSUMER, handler, concurrency=2)
        async with consuming(broker):
            letter = await dead_letter(bus, "CHAT_SUBMIT")
            await is_empty(bus, "CHAT_SUBMIT")
            await is_empty(bus, "ADVISORIES")
    finally:
        await bus.migrate()

    assert letter.reason == "abandoned: consumer danmaku never answered its last delivery"
    assert DanmakuSubmitted.model_validate_json(base64.b64decode(letter.body_base64)).id == "deadly"


async def test_the_trace_goes_on_over_the_bus(bus: Bus) -> None:
    """A handler works under the trace id of whoever sent the message."""
    seen: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    async def handler(message: DanmakuSubmitted) -> None:
        seen.set_result(trace.trace_id())

    broker = BusBroker(bus, Metrics())
    broker.handle(DANMAKU_SUBMIT, DANMAKU_CONSUMER, handler, concurrency=2)
    async with consuming(broker):
        trace.enter("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        await emit(bus, DANMAKU_SUBMIT, danmaku("d1"), room="r1")

        assert await asyncio.wait_for(seen, 20) == "0af7651916cd43dd8448eb211c80319c"


async def test_a_slow_message_does_not_hold_up_the_next(bus: Bus) -> None:
    """Handlers run side by side up to the concurrency: nothing waits for a batch."""
    release = asyncio.Event()
    done: list[str] = []

    async def handler(message: DanmakuSubmitted) -> None:
        if message.id == "slow":
            await release.wait()
        done.append(message.id)
        if message.id == "quick":
            release.set()

    broker = BusBroker(bus, Metrics())
    broker.handle(DANMAKU_SUBMIT, DANMAKU_CONSUMER, handler, concurrency=2)
    async with consuming(broker):
        await emit(bus, DANMAKU_SUBMIT, danmaku("slow"), room="r1")
        await emit(bus, DANMAKU_SUBMIT, danmaku("quick"), room="r1")
        await asyncio.wait_for(release.wait(), 1)
        await is_empty(bus, "CHAT_SUBMIT")

    assert done == ["quick", "slow"]


async def test_leaving_finishes_what_was_begun(bus: Bus) -> None:
    """A handler that runs when the process is asked to go is waited for, and its message is acked."""
    begun, finished = asyncio.Event(), asyncio.Event()

    async def handler(message: DanmakuSubmitted) -> None:
        begun.set()
        await asyncio.sleep(0.2)
        finished.set()

    broker = BusBroker(bus, Metrics())
    broker.handle(DANMAKU_SUBMIT, DANMAKU_CONSUMER, handler, concurrency=2)
    async with consuming(broker):
        await emit(bus, DANMAKU_SUBMIT, danmaku("d1"), room="r1")
        await asyncio.wait_for(begun.wait(), 20)

    assert finished.is_set()
    assert bus.connected
    await is_empty(bus, "CHAT_SUBMIT", within=0.5)


async def test_a_consumer_is_bound_and_not_rewritten(bus: Bus) -> None:
    """Subscribing changes nothing of what is declared."""

    async def handler(message: object) -> None:
        raise AssertionError

    from bus_schemas.streams import SYNC_CONSUMER

    before = (await bus.request_api("CONSUMER.INFO.ROOM_COMMANDS.sync"))["config"]
    stream_before = (await bus.request_api("STREAM.INFO.ROOM_COMMANDS"))["config"]
    broker = BusBroker(bus, Metrics())
    broker.handle(ROOM_COMMAND, SYNC_CONSUMER, handler, concurrency=2)
    async with consuming(broker):
        pass

    assert (await bus.request_api("CONSUMER.INFO.ROOM_COMMANDS.sync"))["config"] == before
    assert (await bus.request_api("STREAM.INFO.ROOM_COMMANDS"))["config"] == stream_before


async def test_compare_and_set_lets_one_of_many_win(bus: Bus) -> None:
    """Of writers that read the same revision exactly one succeeds."""
    bucket = Bucket(bus.js, ROOMS)
    revision = await bucket.put("cas", b"0")

    results = await asyncio.gather(*(bucket.update("cas", str(n).encode(), revision) for n in range(20)))

    assert sum(result is not None for result in results) == 1


async def test_a_claim_is_for_one_and_free_again_when_deleted(bus: Bus) -> None:
    """`claim` takes a key nobody holds, a deleted one included."""
    bucket = Bucket(bus.js, NODES)

    first = await bucket.claim("kind.node", b"a")
    second = await bucket.claim("kind.node", b"b")
    await bucket.delete("kind.node")
    third = await bucket.claim("kind.node", b"c")

    assert (first is not None, second, third is not None) == (True, None, True)
    entry = await bucket.get("kind.node")
    assert entry
    assert entry.value == b"c"


@pytest.mark.parametrize("key", ["a.*", "a.>", "a b", "", "a..b", "a\r\nb"])
async def test_a_key_cannot_smuggle_a_wildcard(bus: Bus, key: str) -> None:
    """Keys come from outside."""
    with pytest.raises(ValueError, match="bad key"):
        await Bucket(bus.js, ROOMS).get(key)


async def _set_ack_wait(bus: Bus, consumer: ConsumerSpec, seconds: float) -> None:
    config = consumer.config() | {"ack_wait": int(seconds * 1_000_000_000)}
    body = {"stream_name": consumer.stream, "config": config, "action": "update"}
    await bus.request_api(f"CONSUMER.CREATE.{consumer.stream}.{consumer.name}", body)


async def test_a_server_that_does_not_answer_holds_no_process_up(
    nats_server: RunningServer, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection's end has its deadline, though the client would go on flushing for ten seconds."""
    monkeypatch.setattr(lifecycle, "CLOSE_S", 0.2)
    one = await connect(nats_url, Metrics(), name="leaving")
    await one.nc.subscribe("somewhere")
    os.kill(nats_server.pid, signal.SIGSTOP)
    began = time.monotonic()

    try:
        await lifecycle._close(one)
    finally:
        os.kill(nats_server.pid, signal.SIGCONT)

    assert time.monotonic() - began < 2.5
    await one.nc.close()
