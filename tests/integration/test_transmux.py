"""Real transmux workers on a real NATS: whatever happens to them, the parts on the bus are those of one worker."""

import asyncio
import contextlib
import itertools
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from bus_schemas.messages.live import LiveEvent, StopReason, StreamStopped, TransmuxJob
from bus_schemas.parts import PART_HEADER_SIZE, InitHeader, PartFlags, PartHeader
from bus_schemas.streams import DLQ, JOBS, LIVE_EVENTS, LIVE_HEADERS, PARTS, TRANSMUX_CONSUMER
from bus_schemas.subjects import (
    HLS_INIT,
    HLS_PART,
    JOBS_TRANSMUX,
    LIVE_EVENT,
    LIVE_HEADER,
    LIVE_TAGS_DELTA,
    LIVE_TAGS_KEY,
)
from bus_schemas.tags import TagFlags
from gateway.live.segments import SegmentIndex
from runtime import direct
from runtime.bus import Bus, connect
from runtime.emit import emit
from runtime.health import Health
from runtime.lifecycle import Context
from runtime.metrics import Metrics
from runtime.settings import Settings
from runtime.tasks import Tasks
from tests.embedded import RunningServer, fresh_name
from tests.unit.transmux.sources import (
    EPOCH,
    Message,
    audio_frames,
    end_message,
    make_segmenter,
    messages,
    parts_of,
    run,
    video_frames,
)
from tests.workers import Worker as Process
from workers.ingest.missing_jobs import MissingJobs
from workers.transmux.worker import make_app

pytestmark = pytest.mark.connected

WITHIN = 20.0


@dataclass
class Worker:
    """A worker in this process, which a test may end in any way."""

    bus: Bus
    tasks: Tasks
    metrics: Metrics
    app: contextlib.AbstractAsyncContextManager[None]

    @classmethod
    async def start(cls, url: str, *, grace_s: float = 15) -> "Worker":
        settings = Settings.model_validate({"nats_url": url, "transmux": {"grace_s": grace_s}})
        metrics = Metrics()
        bus = await connect(url, metrics, name="test-transmux")
        tasks = Tasks(metrics)
        app = make_app(Context("transmux", "t1", settings, bus, tasks, metrics, Health(), {}))
        await app.__aenter__()
        return cls(bus, tasks, metrics, app)

    async def drain(self) -> None:
        await self.app.__aexit__(None, None, None)
        await self.close()

    async def close(self) -> None:
        await self.tasks.cancel()
        await self.bus.nc.close()

    @property
    def jobs(self) -> float:
        return self.metrics.registry.get_sample_value("matinee_transmux_jobs") or 0.0


@dataclass
class Stage:
    """The bus, one stream on it, and the parts as they appear."""

    bus: Bus
    url: str
    stream: str = field(default_factory=lambda: fresh_name("stream"))
    parts: list[tuple[float, PartHeader, bytes]] = field(default_factory=list)

    async def listen(self) -> None:
        """Collect, for ever, what PARTS stores: a plain subscription would see refused parts too."""
        subject = HLS_PART.at(stream=self.stream, rendition="source")
        created, sequence = "", 0
        while not self.bus.nc.is_closed:
            with contextlib.suppress(NatsError, APIError, TimeoutError):
                now = await self.bus.stream_created(PARTS.name)
                if now != created:
                    created, sequence = now, 0
                for part in await direct.after(self.bus, PARTS.name, subject, sequence, deadline_s=0.5):
                    sequence = part.sequence
                    read = PartHeader.unpack(part.data), part.data[PART_HEADER_SIZE:]
                    if read not in [(header, body) for _, header, body in self.parts[-1:]]:
                        self.parts.append((time.monotonic(), *read))
            await asyncio.sleep(0.02)

    async def submit(self, epoch: int = EPOCH) -> None:
        job = TransmuxJob(stream=self.stream, epoch=epoch)
        await emit(self.bus, JOBS_TRANSMUX, job, msg_id=f"{self.stream}-{epoch}", stream=self.stream)

    async def send(self, stream: Iterable[Message], *, paced: bool = False) -> None:
        began, first = time.monotonic(), None
        for header, message in stream:
            first = header.dts_ms if first is None else first
            if paced:
                await asyncio.sleep(max(0.0, began + (header.dts_ms - first) / 1000 - time.monotonic()))
            if header.flags & TagFlags.HEADER:
                await self.bus.js.publish(LIVE_HEADER.at(stream=self.stream), message)
            subject = LIVE_TAGS_KEY if header.flags & TagFlags.KEY else LIVE_TAGS_DELTA
            await self.bus.js.publish(subject.at(stream=self.stream), message)

    @property
    def headers(self) -> list[PartHeader]:
        return [header for _, header, _ in self.parts]

    @property
    def ended(self) -> bool:
        return any(header.flags & PartFlags.END for header in self.headers)

    async def job_left(self) -> bool:
        """Whether the stream's job still stands in the queue."""
        info = await self.bus.js.stream_info(JOBS.name, subjects_filter=JOBS_TRANSMUX.at(stream=self.stream))
        return bool(info.state.subjects)

    async def stopped(self) -> tuple[StopReason, int] | None:
        """What the stream's last event says of its end, and of which epoch."""
        last = await direct.last(self.bus, LIVE_EVENTS.name, LIVE_EVENT.at(stream=self.stream))
        event = LiveEvent.model_validate_json(last.data).root if last is not None else None
        return (event.reason, event.epoch) if isinstance(event, StreamStopped) else None


def both_tracks(seconds: float) -> list[Message]:
    """30 fps in GOPs of a second, and AAC."""
    video = video_frames(round(seconds * 30), 30, 30)
    frames = sorted([*video, *audio_frames(round(seconds * 46))], key=lambda frame: (frame.dts, frame.audio))
    return messages(frames)


async def until(check: Callable[[], object], within: float = WITHIN) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + within
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


async def until_async(check: Callable[[], Awaitable[bool]], within: float = WITHIN) -> None:
    """Wait for an answer to become true."""
    deadline = time.monotonic() + within
    while not await check():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


@pytest.fixture
async def stage(nats_url: str) -> AsyncIterator[Stage]:
    bus = await connect(nats_url, Metrics(), name="test-stage")
    await bus.create_missing()
    made = Stage(bus, nats_url)
    tasks = Tasks(Metrics())
    tasks.spawn("listen", made.listen())
    yield made
    await bus.nc.close()
    await tasks.cancel()


def assert_as_one_worker_made_it(stage: Stage, stream: list[Message]) -> None:
    """The very bytes, once each, in order."""
    expected = parts_of(run(make_segmenter(), stream))
    got = [(header, body) for _, header, body in stage.parts if not header.flags & PartFlags.END]
    assert [(h.msn, h.part, h.dts_ms) for h, _ in got] == [
        (part.header.msn, part.header.part, part.header.dts_ms) for part in expected
    ]
    assert [body for _, body in got] == [part.body for part in expected]
    assert [(h.flags, h.pdt_us, h.duration_us, h.target_duration, h.init) for h, _ in got] == [
        (h.flags, h.pdt_us, h.duration_us, h.target_duration, h.init) for h in (p.header for p in expected)
    ]


async def test_a_published_stream_becomes_parts_and_ends(stage: Stage) -> None:
    """From job to END: init segment, parts, nothing left of headers and job; the init segment stays while parts do."""
    worker = await Worker.start(stage.url)
    stream = both_tracks(5)
    await stage.submit()

    await stage.send(stream)
    await until(lambda: len(stage.parts) > 20)
    init = await direct.last(
        stage.bus, LIVE_HEADERS.name, HLS_INIT.at(stream=stage.stream, rendition="source", generation="1")
    )
    await stage.send([end_message(stream[-1])])
    await until(lambda: stage.ended)
    await until_async(lambda: _no(stage.job_left()))

    assert init is not None
    assert InitHeader.unpack(init.data)[0].codecs == "avc1.4d400d,mp4a.40.2"
    assert_as_one_worker_made_it(stage, [*stream, end_message(stream[-1])])
    (kept,) = await direct.last_of_each(stage.bus, LIVE_HEADERS.name, f"*.*.{stage.stream}.>")
    assert kept.data == init.data, "a gateway that comes late needs it as long as there are parts"
    lingering = await stage.bus.js.get_msg(LIVE_HEADERS.name, kept.sequence)
    assert (lingering.headers or {})["Nats-TTL"] == "130s"
    assert await direct.last(stage.bus, LIVE_HEADERS.name, LIVE_HEADER.at(stream=stage.stream)) is None
    assert worker.jobs == 0
    await worker.drain()


def _setting(event: asyncio.Event) -> Callable[[], Awaitable[None]]:
    """A callback that sets the event."""

    async def set_it() -> None:
        event.set()

    return set_it


async def _no(question: Awaitable[bool]) -> bool:
    return not await question


async def test_a_drained_worker_hands_its_stream_over_at_once(stage: Stage) -> None:
    """The next worker goes on with the next part, well before the lease would have run out."""
    first = await Worker.start(stage.url)
    stream = both_tracks(8)
    await stage.submit()
    await stage.send(stream[:200])
    await until(lambda: first.jobs == 1 and len(stage.parts) > 10)
    second = await Worker.start(stage.url)

    began = time.monotonic()
    await first.drain()
    await until(lambda: second.jobs == 1)
    took = time.monotonic() - began
    end = end_message(stream[-1])
    await stage.send([*stream[200:], end])
    await until(lambda: stage.ended)

    assert took < 5
    assert_as_one_worker_made_it(stage, [*stream, end])
    await second.drain()


async def test_a_new_publish_session_goes_on_in_the_playlist(stage: Stage) -> None:
    """The newer job supersedes the older one, whoever holds it; media sequence numbers go on."""
    first, second = await Worker.start(stage.url), await Worker.start(stage.url)
    stream = both_tracks(5)
    await stage.submit()
    await stage.send(stream)
    await until(lambda: len(stage.parts) > 20)
    again = messages(video_frames(150, 30, 30), epoch=EPOCH + 9_000, flags=TagFlags.DISCONTINUITY)

    await stage.send(again[:30])
    await stage.submit(EPOCH + 9_000)
    end = end_message(again[-1])
    await stage.send([*again[30:], end])
    await until(lambda: stage.ended)
    await until_async(lambda: _no(stage.job_left()))

    assert_as_one_worker_made_it(stage, [*stream, *again, end])
    assert any(header.flags & PartFlags.DISCONTINUITY for header in stage.headers)
    assert first.jobs == second.jobs == 0
    await first.drain()
    await second.drain()


async def test_a_lost_publisher_ends_the_stream_after_the_grace_period(stage: Stage) -> None:
    """END goes on the bus in his place, and one event says that he was lost."""
    worker = await Worker.start(stage.url, grace_s=1)
    stream = both_tracks(3)
    await stage.submit()
    await stage.send(stream)

    await until(lambda: stage.ended)
    await until_async(lambda: _no(stage.job_left()))

    assert await stage.stopped() == (StopReason.LOST, EPOCH)
    await worker.drain()


@pytest.mark.parametrize("tags", [True, False], ids=["tags", "headers alone"])
async def test_a_stream_whose_worker_died_before_its_job_ends_as_a_lost_one_does(
    stage: Stage, *, tags: bool
) -> None:
    """No job, and tags or none any more: another ingest worker submits it; END, the event, no headers are left."""
    worker = await Worker.start(stage.url, grace_s=1)
    stream = both_tracks(3)
    if tags:
        await stage.send(stream)
    else:
        await stage.bus.js.publish(LIVE_HEADER.at(stream=stage.stream), stream[0][1])
    jobs = MissingJobs(stage.bus)

    await jobs.look()
    early = worker.jobs
    await jobs.look()
    await until(lambda: stage.ended)
    await until_async(lambda: _no(stage.job_left()))

    assert early == 0, "its own worker may be about to submit it"
    assert (len(stage.parts) > 10) == tags, "what came is packaged"
    assert await direct.last(stage.bus, LIVE_HEADERS.name, LIVE_HEADER.at(stream=stage.stream)) is None
    assert await stage.stopped() == (StopReason.LOST, EPOCH)
    await worker.drain()


async def test_an_ended_stream_that_was_not_tidied_away_is_by_the_next_worker(stage: Stage) -> None:
    """END is on the bus and its writer died: headers go, and who waits is told what he was not."""
    worker = await Worker.start(stage.url)
    stream = both_tracks(3)
    await stage.submit()
    await stage.send([*stream, end_message(stream[-1])])
    await until(lambda: stage.ended)
    await until_async(lambda: _no(stage.job_left()))
    untold = await stage.stopped()
    told: list[bytes] = []

    async def hear(message: Msg) -> None:
        told.append(message.data)

    await stage.bus.nc.subscribe(LIVE_EVENT.at(stream=stage.stream), cb=hear)
    job = TransmuxJob(stream=stage.stream, epoch=EPOCH)
    counts: list[int] = []
    for headers in (True, False, True):
        if headers:
            await stage.bus.js.publish(LIVE_HEADER.at(stream=stage.stream), stream[0][1])
        await emit(stage.bus, JOBS_TRANSMUX, job, stream=stage.stream)
        await until_async(lambda: _no(stage.job_left()))
        await stage.bus.nc.flush()
        counts.append(len(told))

    assert untold is None
    assert counts == [1, 1, 2], "once, and again where headers say that his publisher did not hear it"
    assert await direct.last(stage.bus, LIVE_HEADERS.name, LIVE_HEADER.at(stream=stage.stream)) is None
    assert await stage.stopped() == (StopReason.LOST, EPOCH)
    assert sum(bool(header.flags & PartFlags.END) for header in stage.headers) == 1
    await worker.drain()


async def test_a_job_that_cannot_be_read_is_set_aside(stage: Stage) -> None:
    """It goes to the dead letters once, and the queue is free of it."""
    worker = await Worker.start(stage.url)

    await stage.bus.js.publish(JOBS_TRANSMUX.at(stream=stage.stream), b'{"stream": 7}')
    await until_async(lambda: _no(stage.job_left()))

    info = await stage.bus.js.stream_info(DLQ.name)
    assert info.state.messages == 1
    await worker.drain()


async def test_the_stream_survives_a_killed_nats(nats_server: RunningServer, stage: Stage) -> None:
    """LIVE and PARTS vanish with their server; the media sequence goes on as if nothing had been."""
    worker = await Worker.start(stage.url)
    stream = both_tracks(9)
    await stage.submit()
    await stage.send(stream[:300])
    await until(lambda: len(stage.parts) > 15)
    await asyncio.sleep(0.3)
    key = max(i for i, (header, _) in enumerate(stream[:300]) if header.flags & TagFlags.KEY)

    back = asyncio.Event()
    stage.bus.on_reconnect.append(_setting(back))
    nats_server.kill()
    nats_server.start()
    async with asyncio.timeout(WITHIN):
        await back.wait()
    # Ingest sends again from the last key frame on what it is not sure of.
    end = end_message(stream[-1])
    await stage.send([*stream[key:], end])
    await until(lambda: stage.ended)

    assert_as_one_worker_made_it(stage, [*stream, end])
    await worker.drain()


async def test_numbers_go_on_where_parts_and_worker_are_lost_together(
    nats_server: RunningServer, stage: Stage
) -> None:
    """Nobody has the numbers any more: the successor's are greater than all that viewers saw, and his own go on."""
    first = await Worker.start(stage.url)
    stream = both_tracks(12)
    key = next(i for i, (header, _) in enumerate(stream[200:], 200) if header.flags & TagFlags.KEY)
    await stage.submit()
    await stage.send(stream[:key])
    await until(lambda: len(stage.parts) > 15)
    await first.close()
    seen = list(stage.headers)
    index = SegmentIndex()
    for number, header in enumerate(seen):
        index.add(header, 1, number, b"x")

    back = asyncio.Event()
    stage.bus.on_reconnect.append(_setting(back))
    nats_server.kill()
    nats_server.start()
    async with asyncio.timeout(WITHIN):
        await back.wait()
    second = await Worker.start(stage.url)
    await stage.send(stream[key : key + 75])
    await until(lambda: len(stage.parts) > len(seen) + 5)
    third = await Worker.start(stage.url)
    await second.drain()
    await until(lambda: third.jobs == 1)
    await stage.send([*stream[key + 75 :], end_message(stream[-1])])
    await until(lambda: stage.ended)

    new = stage.headers[len(seen) :]
    assert {header.epoch for header in stage.headers} == {EPOCH}
    assert min(header.msn for header in new) > max(header.msn for header in seen)
    assert min(header.discontinuity for header in new) > max(header.discontinuity for header in seen)
    breaks = {header.msn for header in new if header.flags & PartFlags.DISCONTINUITY}
    assert breaks == {new[0].msn}
    places = [(header.msn, header.part) for header in new]
    follows = [{(msn, part + 1), (msn + 1, 0)} for msn, part in places]
    assert all(place in after for place, after in zip(places[1:], follows, strict=False))
    assert all(index.add(header, 1, number, b"x") for number, header in enumerate(new))
    assert index.segments[0].msn == new[0].msn, "a gateway shows what is there now"
    await third.drain()


async def test_killed_and_stopped_workers_leave_no_gap_and_no_repeat(stage: Stage, tmp_path: Path) -> None:
    """One worker dies, the next is frozen and wakes up later: parts stall for seconds and are those of one worker."""
    stream = both_tracks(11)
    end = end_message(stream[-1])
    processes: list[Process] = []

    async def start() -> None:
        log = tmp_path / f"transmux-{len(processes)}.log"
        processes.append(Process("transmux", log, {"MATINEE_NATS_URL": stage.url}))
        await asyncio.to_thread(processes[-1].wait_ready)

    await start()
    await stage.submit()
    feeding = asyncio.get_running_loop().create_task(stage.send([*stream, end], paced=True))
    try:
        await until(lambda: len(stage.parts) > 5, within=20)
        await start()
        processes[0].kill()
        before = len(stage.parts)
        await until(lambda: len(stage.parts) > before + 5)
        await start()
        processes[1].process.send_signal(signal.SIGSTOP)
        before = len(stage.parts)
        await until(lambda: len(stage.parts) > before + 5)
        processes[1].process.send_signal(signal.SIGCONT)
        await feeding
        await until(lambda: stage.ended)
    finally:
        for process in processes:
            process.kill()

    assert_as_one_worker_made_it(stage, [*stream, end])
    times = [at for at, _, _ in stage.parts]
    assert max(after - before for before, after in itertools.pairwise(times)) < 6.0
    consumer = await stage.bus.js.consumer_info(JOBS.name, TRANSMUX_CONSUMER.name)
    assert (consumer.num_ack_pending or 0) == 0
    assert not await stage.job_left()
