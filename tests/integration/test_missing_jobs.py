"""Streams on a real NATS whose transmux job nobody submitted, and the ingest workers that look for them."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from bus_schemas.messages.live import TransmuxJob
from bus_schemas.streams import JOBS, LIVE_HEADERS
from bus_schemas.subjects import JOBS_TRANSMUX, LIVE_HEADER
from bus_schemas.tags import TagFlags, TagHeader
from runtime import direct
from runtime.bus import Bus, connect
from runtime.metrics import Metrics
from tests.embedded import fresh_name
from tests.integration.ingest_worker import RawPublisher, running, until
from tests.unit.ingest.rtmp_client import key_frame
from workers.ingest import missing_jobs
from workers.ingest.missing_jobs import MissingJobs

pytestmark = pytest.mark.connected

EPOCH = 1_700_000_000_000


@dataclass
class Orphan:
    """A stream's headers on the bus, and nothing else of it."""

    bus: Bus
    stream: str = field(default_factory=lambda: fresh_name("stream"))

    async def put_headers(self, epoch: int = EPOCH) -> None:
        header = TagHeader(TagFlags.HEADER, 0, 0, epoch, 0, EPOCH * 1000)
        await self.bus.js.publish(LIVE_HEADER.at(stream=self.stream), header.pack())

    async def jobs(self) -> list[TransmuxJob]:
        subject = JOBS_TRANSMUX.at(stream=self.stream)
        stored = await direct.after(self.bus, JOBS.name, subject, 0)
        return [TransmuxJob.model_validate_json(one.data) for one in stored]

    async def finish_jobs(self) -> None:
        await self.bus.js.purge_stream(JOBS.name, subject=JOBS_TRANSMUX.at(stream=self.stream))


@pytest.fixture
async def orphan(nats_url: str) -> AsyncIterator[Orphan]:
    bus = await connect(nats_url, Metrics(), name="test-orphan")
    await bus.create_missing()
    made = Orphan(bus)
    await made.put_headers()
    yield made
    await bus.js.purge_stream(LIVE_HEADERS.name, subject=LIVE_HEADER.at(stream=made.stream))
    await bus.nc.close()


async def test_every_worker_looks_and_one_job_comes_of_it(orphan: Orphan) -> None:
    """Three at the same moment, again and again: there is one job, of the session whose headers they are."""
    looking = [MissingJobs(orphan.bus) for _ in range(3)]
    await asyncio.gather(*(one.look() for one in looking))
    at_first = await orphan.jobs()

    for _ in range(3):
        await asyncio.gather(*(one.look() for one in looking))

    assert at_first == []
    assert await orphan.jobs() == [TransmuxJob(stream=orphan.stream, epoch=EPOCH)]


async def test_a_publisher_who_returned_is_left_alone(orphan: Orphan) -> None:
    """His own job is in the queue by the second look, or will be: none of the session before is added."""
    jobs = MissingJobs(orphan.bus)
    await jobs.look()
    await orphan.put_headers(EPOCH + 1)
    newer = TransmuxJob(stream=orphan.stream, epoch=EPOCH + 1)
    await orphan.bus.js.publish(JOBS_TRANSMUX.at(stream=orphan.stream), newer.model_dump_json().encode())

    await jobs.look()
    await jobs.look()

    assert await orphan.jobs() == [newer]


async def test_headers_that_are_gone_or_cannot_be_read_get_no_job(orphan: Orphan) -> None:
    """Gone between two looks: it ended. Unreadable: nobody could package it; the streams beside it are looked after."""
    gone, broken = Orphan(orphan.bus), Orphan(orphan.bus, "a" + fresh_name("broken"))
    await gone.put_headers()
    await orphan.bus.js.publish(LIVE_HEADER.at(stream=broken.stream), b"no header")
    jobs = MissingJobs(orphan.bus)

    await jobs.look()
    await orphan.bus.js.purge_stream(LIVE_HEADERS.name, subject=LIVE_HEADER.at(stream=gone.stream))
    await jobs.look()
    await orphan.bus.js.purge_stream(LIVE_HEADERS.name, subject=LIVE_HEADER.at(stream=broken.stream))

    assert await gone.jobs() == await broken.jobs() == []
    assert len(await orphan.jobs()) == 1


async def test_a_running_worker_looks_and_knows_its_own_jobs(
    orphan: Orphan, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The orphan gets its job; a job that was done a moment ago is not submitted by another again."""
    monkeypatch.setattr(missing_jobs, "LOOK_S", 0.1)
    published = Orphan(orphan.bus)
    async with running(nats_url, "n1") as ingest:
        await ingest.add_key(published.stream, published.stream)
        publisher = await RawPublisher.to(ingest.port)
        await publisher.publish(published.stream)
        publisher.send_headers()
        publisher.send_frame(key_frame(), 0)
        await until(lambda: ingest.of(published.stream))
        deadline = time.monotonic() + 20
        while not (await orphan.jobs() and await published.jobs()):
            assert time.monotonic() < deadline, "no worker looked after both"
            await asyncio.sleep(0.02)
        await published.finish_jobs()
        other = MissingJobs(orphan.bus)
        await other.look()
        await other.look()

        assert len(await orphan.jobs()) == 1
        assert await published.jobs() == []
        await publisher.close()
