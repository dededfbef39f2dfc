"""Who holds a stream's name, over two real ingest processes: takeover, refusal, frozen publishers, drains."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from nats.aio.msg import Msg

from bus_schemas.messages.live import LiveEvent, StopReason, StreamKey, StreamStopped
from bus_schemas.streams import PUBLISHERS, STREAM_KEYS
from bus_schemas.subjects import LIVE_EVENT
from bus_schemas.tags import TagFlags, TagHeader
from runtime.bus import Bus, connect
from runtime.emit import emit
from runtime.kv import Bucket
from runtime.metrics import Metrics
from tests.embedded import fresh_name
from tests.integration.ingest_worker import PROMPT_S, RawPublisher, start_libavformat, until
from tests.unit.ingest.rtmp_client import HANDSHAKE, command, inter_frame, key_frame, opening
from tests.workers import Worker
from workers.ingest.registry import key_hash

pytestmark = pytest.mark.connected


@dataclass
class Site:
    """Ingest processes on one bus, and what they say there."""

    bus: Bus
    directory: Path
    nats_url: str
    headers: list[tuple[str, TagHeader]] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)

    def start(self, **settings: str) -> int:
        """One more process, ready; gives its RTMP port."""
        log = self.directory / f"ingest-{len(self.workers)}.log"
        environment = {
            "MATINEE_NATS_URL": self.nats_url,
            "MATINEE_INGEST__RTMP_PORT": "0",
            **{f"MATINEE_INGEST__{name}": value for name, value in settings.items()},
        }
        worker = Worker("ingest", log, environment)
        self.workers.append(worker)
        worker.wait_ready()
        for line in log.read_text().splitlines():
            if '"event": "ready"' in line:
                return int(json.loads(line)["rtmp"].rpartition(":")[2])
        raise AssertionError("no address in the log")

    async def add_key(self, stream: str, **options: object) -> None:
        value = StreamKey.model_validate({"stream": stream, "owner": "u1", **options})
        await Bucket(self.bus.js, STREAM_KEYS).put(key_hash(stream), value.model_dump_json().encode())

    def of(self, stream: str) -> list[TagHeader]:
        return [header for name, header in list(self.headers) if name == stream]


@pytest.fixture
async def site(nats_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    bus = await connect(nats_url, Metrics(), name="site")
    await bus.create_missing()
    site = Site(bus, tmp_path, nats_url)

    async def collect(message: Msg) -> None:
        site.headers.append((message.subject.split(".")[2], TagHeader.unpack(message.data)))

    await bus.nc.subscribe("live.tags.*.*", cb=collect)
    yield site
    for worker in site.workers:
        if worker.process.poll() is None:
            worker.process.send_signal(signal.SIGCONT)
            worker.kill()
    await bus.nc.close()


async def publish(site: Site, port: int, stream: str) -> RawPublisher:
    """A publisher with one key frame on the bus."""
    before = len(site.of(stream))
    publisher = await RawPublisher.to(port)
    await publisher.publish(stream)
    publisher.send_headers()
    publisher.send_frame(key_frame(), 0)
    await until(lambda: len(site.of(stream)) > before)
    return publisher


def capable_opening(stream: str) -> bytes:
    """What an encoder sends that understands ReconnectRequest."""
    connect = command("connect", 1, {"app": "live", "tcUrl": "rtmp://h/live", "capsEx": 1.0})
    return connect + command("createStream", 4, None) + command("publish", 5, None, stream, stream_id=1)


async def refused(port: int, stream: str) -> bytes:
    """What a publisher hears who is not let in."""
    publisher = await RawPublisher.to(port)
    publisher.writer.write(HANDSHAKE + opening(name=stream))
    await publisher.read_to_end()
    await publisher.close()
    return publisher.answers


async def test_an_encoder_that_waits_for_no_answer_loses_nothing(site: Site) -> None:
    """Codec headers and the first picture come in one piece with the publish."""
    stream = fresh_name("s")
    port = site.start()
    await site.add_key(stream)
    publisher = await RawPublisher.to(port)

    publisher.writer.write(HANDSHAKE + opening(name=stream))
    publisher.send_headers()
    publisher.send_frame(key_frame(), 0)
    await until(lambda: site.of(stream))

    assert site.of(stream)[0].flags & TagFlags.HEADER
    await publisher.close()


async def test_a_takeover_works_from_another_worker(site: Site) -> None:
    """The newcomer is let in at once; the old one is told and closed within a second; the timeline goes on."""
    stream = fresh_name("s")
    first, second = site.start(), site.start()
    await site.add_key(stream)
    old = await publish(site, first, stream)

    began = time.monotonic()
    new = await publish(site, second, stream)
    took = time.monotonic() - began
    closed = await old.read_to_end()

    one, two = site.of(stream)
    assert took < PROMPT_S
    assert closed < PROMPT_S
    assert b"NetStream.Publish.BadName" in old.answers
    assert b"taken over" in old.answers
    assert (two.epoch > one.epoch, two.generation == one.generation) == (True, True)
    assert not two.flags & TagFlags.DISCONTINUITY
    assert two.dts_ms >= one.dts_ms + 100
    await old.close()
    await new.close()


async def test_a_key_that_refuses_does_so_from_another_worker_while_its_publisher_sends(site: Site) -> None:
    """BadName for the newcomer; after the first one's end the name is free at once."""
    stream = fresh_name("s")
    first, second = site.start(), site.start()
    await site.add_key(stream, on_conflict="refuse")
    holder = await publish(site, first, stream)

    answers = await refused(second, stream)
    holder.writer.write(command("deleteStream", 7, None, 1.0))
    await until(lambda: site.of(stream)[-1].flags & TagFlags.END)
    after = await publish(site, second, stream)

    assert b"NetStream.Publish.BadName" in answers
    assert b"somebody publishes already" in answers
    await holder.close()
    await after.close()


async def test_a_session_that_was_ended_in_its_place_is_closed_so_that_the_encoder_begins_anew(
    site: Site,
) -> None:
    """The packager gave the stream up while this worker was frozen; nobody would package what still comes."""
    stream = fresh_name("s")
    port = site.start()
    await site.add_key(stream)
    publisher = await publish(site, port, stream)
    epoch = site.of(stream)[-1].epoch

    for given_up in (epoch - 1, epoch):
        stopped = StreamStopped(stream=stream, epoch=given_up, at=1, reason=StopReason.LOST)
        await emit(site.bus, LIVE_EVENT, LiveEvent(stopped), stream=stream)
        if given_up < epoch:
            publisher.send_frame(inter_frame(), 40)
            await until(lambda: len(site.of(stream)) > 1)
    closed = await publisher.read_to_end()
    again = await publish(site, port, stream)

    assert closed < PROMPT_S
    assert site.of(stream)[-1].epoch > epoch
    await publisher.close()
    await again.close()


async def test_an_encoder_that_froze_does_not_hold_its_name(site: Site) -> None:
    """SIGSTOP: its connection stays open, nothing comes; after 3 s another may publish, even where keys refuse."""
    stream = fresh_name("s")
    first, second = site.start(), site.start()
    await site.add_key(stream, on_conflict="refuse")
    encoder = await start_libavformat(f"rtmp://127.0.0.1:{first}/live/{stream}", 60, "--paced")
    await until(lambda: len(site.of(stream)) > 20)

    os.kill(encoder.pid, signal.SIGSTOP)
    try:
        at_once = await refused(second, stream)
        await asyncio.sleep(3.2)
        newcomer = await publish(site, second, stream)
    finally:
        encoder.kill()
        await encoder.wait()

    assert b"NetStream.Publish.BadName" in at_once
    assert site.of(stream)[-1].epoch > site.of(stream)[0].epoch
    await newcomer.close()


async def test_a_dead_worker_holds_no_name(site: Site) -> None:
    """kill -9 of ingest: its publisher is let in elsewhere within a second, even where keys refuse."""
    stream = fresh_name("s")
    first, second = site.start(), site.start()
    await site.add_key(stream, on_conflict="refuse")
    lost = await publish(site, first, stream)
    site.workers[0].kill()

    began = time.monotonic()
    again = await publish(site, second, stream)

    assert time.monotonic() - began < PROMPT_S
    assert not site.of(stream)[-1].flags & TagFlags.DISCONTINUITY
    await lost.close()
    await again.close()


async def test_a_flapping_link_is_not_a_fight(site: Site) -> None:
    """Half-open connections of one encoder, left behind frozen: its sixth return within 30 s is let in."""
    stream = fresh_name("s")
    port = site.start(ON_CONFLICT_LIMIT="1")
    await site.add_key(stream)
    left = [await publish(site, port, stream), await publish(site, port, stream)]

    answers = await refused(port, stream)
    await asyncio.sleep(3.2)
    left.append(await publish(site, port, stream))

    assert b"too many takeovers" in answers
    for publisher in left:
        await publisher.close()


async def test_a_draining_worker_asks_publishers_that_can_to_reconnect(site: Site) -> None:
    """capsEx says Reconnect: ReconnectRequest, served until the new connection stands, which takes no name by force."""
    stream = fresh_name("s")
    first, second = site.start(), site.start()
    await site.add_key(stream, on_conflict="refuse")
    publisher = await RawPublisher.to(first)
    publisher.writer.write(HANDSHAKE + capable_opening(stream))
    await publisher.read_until(b"NetStream.Publish.Start\x00\x0bdescription\x02\x00\x0apublishing")
    publisher.send_headers()
    publisher.send_frame(key_frame(), 0)
    await until(lambda: site.of(stream))

    site.workers[0].process.send_signal(signal.SIGTERM)
    await publisher.read_until(b"NetConnection.Connect.ReconnectRequest")
    publisher.send_frame(inter_frame(), 40)
    await until(lambda: len(site.of(stream)) == 2)
    again = await publish(site, second, stream)
    await publisher.read_to_end()
    code = await asyncio.to_thread(site.workers[0].process.wait, 20)

    assert code == 0
    assert b"BadName" not in publisher.answers
    assert len({header.epoch for header in site.of(stream)}) == 2
    assert not any(header.flags & (TagFlags.END | TagFlags.DISCONTINUITY) for header in site.of(stream))
    await publisher.close()
    await again.close()


async def test_a_publisher_that_ignores_the_request_is_closed_all_the_same(site: Site) -> None:
    """After some seconds the worker goes; no END was said, so the stream waits for its publisher."""
    stream = fresh_name("s")
    first = site.start()
    await site.add_key(stream)
    publisher = await RawPublisher.to(first)
    publisher.writer.write(HANDSHAKE + capable_opening(stream))
    await publisher.read_until(b"NetStream.Publish.Start\x00\x0bdescription\x02\x00\x0apublishing")
    publisher.send_headers()
    publisher.send_frame(key_frame(), 0)
    await until(lambda: site.of(stream))

    site.workers[0].process.send_signal(signal.SIGTERM)
    took = await publisher.read_to_end()
    code = await asyncio.to_thread(site.workers[0].process.wait, 20)

    assert code == 0
    assert 2.5 < took < 5 + PROMPT_S
    assert not site.of(stream)[-1].flags & TagFlags.END
    await until_free(site.bus, stream)
    await publisher.close()


async def until_free(bus: Bus, stream: str) -> None:
    """Wait until nobody holds the name."""
    async with asyncio.timeout(20):
        while await Bucket(bus.js, PUBLISHERS).get(stream) is not None:  # noqa: ASYNC110  # another process is awaited
            await asyncio.sleep(0.02)
