"""Following a stream's tags on a real NATS server: stored ones, new ones, gaps, and a server that dies."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from bus_schemas.streams import LIVE
from bus_schemas.subjects import LIVE_TAGS_DELTA, LIVE_TAGS_KEY
from bus_schemas.tags import TagFlags, TagHeader
from runtime import tag_tail
from runtime.bus import Bus, connect
from runtime.metrics import Metrics
from runtime.tag_tail import Place, TagTail
from runtime.tasks import Tasks
from tests.embedded import RunningServer

pytestmark = pytest.mark.connected

STREAM = "s1"
EPOCH = 1_700_000_000_000
TASKS = Tasks(Metrics())
GOP = 10


def tag(sequence: int, *, epoch: int = EPOCH, size: int = 100, late_s: float = 0.0) -> bytes:
    """A message as ingest sends it, each tenth a key frame, stamped with the time it is sent at, or so much before."""
    flags = TagFlags.NONE if sequence % GOP else TagFlags.KEY
    arrival_us = time.time_ns() // 1_000 - int(late_s * 1e6)
    return TagHeader(flags, 0, sequence, epoch, sequence * 40, arrival_us).pack() + bytes(size)


def subject_of(message: bytes) -> str:
    """Where it goes."""
    subject = LIVE_TAGS_KEY if TagHeader.unpack(message).flags & TagFlags.KEY else LIVE_TAGS_DELTA
    return subject.at(stream=STREAM)


async def put(bus: Bus, *sequences: int, epoch: int = EPOCH, late_s: float = 0.0) -> None:
    """Publish these, each stored when this returns."""
    for sequence in sequences:
        message = tag(sequence, epoch=epoch, late_s=late_s)
        await bus.js.publish(subject_of(message), message)


class Taker:
    """Notes what it is given; `hold` stops it."""

    def __init__(self) -> None:
        self.got: list[tuple[int, int]] = []
        self.pending: list[int] = []
        self.free = asyncio.Event()
        self.free.set()

    def __call__(self, header: TagHeader, message: bytes, pending: int) -> Awaitable[None] | None:
        if not self.free.is_set():
            return self._later(header, message, pending)
        self._note(header, pending)
        return None

    async def _later(self, header: TagHeader, _message: bytes, pending: int) -> None:
        await self.free.wait()
        self._note(header, pending)

    def _note(self, header: TagHeader, pending: int) -> None:
        self.got.append((header.epoch, header.sequence))
        self.pending.append(pending)

    def sequences(self) -> list[int]:
        return [sequence for _, sequence in self.got]

    async def until(self, done: Callable[[], bool], within: float = 20.0) -> None:
        async with asyncio.timeout(within):
            while not done():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)


@contextlib.contextmanager
def deaf(tail: TagTail) -> Iterator[None]:
    """Its subscription loses what it is sent."""
    assert tail._subscription is not None
    listener: Any = tail._subscription._future
    heard, listener.set_result = listener.set_result, lambda _message: None
    yield
    listener.set_result = heard


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    one = await connect(nats_url, Metrics(), name="test")
    await one.create_missing()
    await one.request_api(f"STREAM.PURGE.{LIVE.name}", {})
    yield one
    await one.nc.close()


@pytest.fixture
async def publisher(nats_url: str) -> AsyncIterator[Bus]:
    one = await connect(nats_url, Metrics(), name="publisher")
    yield one
    await one.nc.close()


async def test_it_begins_with_the_newest_key_frame_and_goes_on_with_what_comes(bus: Bus) -> None:
    """Stored messages say how many follow, new ones that none does; each comes once."""
    await put(bus, *range(25))
    taker = Taker()
    tail = TagTail(bus, TASKS, STREAM, taker, from_newest_key=True)
    await tail.start()
    await put(bus, 25, 26)
    await taker.until(lambda: len(taker.got) == 7)
    await tail.stop()
    assert taker.sequences() == [20, 21, 22, 23, 24, 25, 26]
    assert taker.pending == [4, 3, 2, 1, 0, 0, 0]


async def test_it_reads_all_that_is_stored_over_many_batches(bus: Bus) -> None:
    """From the oldest message on, more than one batch of them."""
    await put(bus, *range(600))
    taker = Taker()
    tail = TagTail(bus, TASKS, STREAM, taker, from_newest_key=False)
    await tail.start()
    await tail.stop()
    assert taker.sequences() == list(range(600))


@pytest.mark.parametrize("known", [True, False])
async def test_it_goes_on_behind_a_place(bus: Bus, known: bool) -> None:
    """Whether or not it is known when the message of that place came."""
    await put(bus, *range(15))
    arrival_us = time.time_ns() // 1_000
    await asyncio.sleep(1.5)
    await put(bus, *range(15, 40))
    taker = Taker()
    tail = TagTail(bus, TASKS, STREAM, taker, from_newest_key=False)
    await tail.start(Place(EPOCH, 14, arrival_us if known else 0))
    await put(bus, 40)
    await taker.until(lambda: len(taker.got) == 26)
    await tail.stop()
    assert taker.sequences() == list(range(15, 41))


async def test_a_place_whose_time_is_wrong_costs_nothing_but_a_longer_reading(bus: Bus) -> None:
    """A clock that was an hour ahead when the place was noted."""
    await put(bus, *range(30))
    taker = Taker()
    tail = TagTail(bus, TASKS, STREAM, taker, from_newest_key=False)
    await tail.start(Place(EPOCH, 3, time.time_ns() // 1_000 + 3_600_000_000))
    await tail.stop()
    assert taker.sequences() == list(range(4, 30))


async def test_what_the_connection_missed_is_read_from_the_store(bus: Bus) -> None:
    """A gap is filled before the message behind it is given; nothing comes twice."""
    taker = Taker()
    tail = TagTail(bus, TASKS, STREAM, taker, from_newest_key=True)
    await put(bus, *range(12))
    await tail.start()
    with deaf(tail):
        await put(bus, *range(12, 33))
    await put(bus, 33, 34)
    await taker.until(lambda: taker.got[-1:] == [(EPOCH, 34)])
    await tail.stop()
    assert taker.sequences() == [10, 11, *range(12, 35)]


async def test_what_came_last_and_was_missed_is_found_after_a_silence(bus: Bus) -> None:
    """Nothing behind it shows the gap: the store is looked at."""
    taker = Taker()
    tail = TagTail(bus, TASKS, STREAM, taker, from_newest_key=True)
    await put(bus, 0)
    running = asyncio.create_task(tail.run())
    await taker.until(lambda: len(taker.got) == 1)
    with deaf(tail):
        await put(bus, 1, 2)
        await taker.until(lambda: len(taker.got) == 3)
    running.cancel()
    assert taker.sequences() == [0, 1, 2]


async def test_a_slow_reader_misses_nothing_that_the_store_still_has(
    bus: Bus, publisher: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept for him runs over; what was dropped comes from the store."""
    taker = Taker()
    tail = TagTail(bus, TASKS, STREAM, taker, from_newest_key=True)
    await put(bus, 0)
    await tail.start()
    monkeypatch.setattr(tag_tail, "PENDING_BYTES", 20_000)
    taker.free.clear()
    for sequence in range(1, 400):
        message = tag(sequence, size=1_000)
        await publisher.js.publish(subject_of(message), message)
    taker.free.set()
    await put(publisher, 400)
    await taker.until(lambda: taker.got[-1:] == [(EPOCH, 400)])
    await tail.stop()
    assert taker.sequences() == list(range(401))


@pytest.mark.parametrize("for_players", [True, False])
async def test_a_player_who_was_away_for_long_leaps_and_a_packager_never(bus: Bus, for_players: bool) -> None:
    """Ten seconds of a stream were missed: viewers want what is now, parts want everything."""
    taker = Taker()
    tail = TagTail(bus, TASKS, STREAM, taker, from_newest_key=for_players)
    await put(bus, 0, 1, late_s=10)
    await tail.start()
    with deaf(tail):
        await put(bus, *range(2, 25))
    await put(bus, 25)
    await taker.until(lambda: taker.got[-1:] == [(EPOCH, 25)])
    await tail.stop()
    assert taker.sequences() == [0, 1, *range(20 if for_players else 2, 26)]


async def test_a_new_session_goes_before_what_is_left_of_the_old_one(bus: Bus) -> None:
    """A message of an earlier epoch that comes late is dropped."""
    taker = Taker()
    tail = TagTail(bus, TASKS, STREAM, taker, from_newest_key=True)
    await put(bus, 0, 1)
    await tail.start()
    await put(bus, 0, 1, epoch=EPOCH + 1)
    await put(bus, 2)
    await put(bus, 2, epoch=EPOCH + 1)
    await taker.until(lambda: taker.got[-1:] == [(EPOCH + 1, 2)])
    await tail.stop()
    assert taker.got == [(EPOCH, 0), (EPOCH, 1), (EPOCH + 1, 0), (EPOCH + 1, 1), (EPOCH + 1, 2)]


async def test_it_goes_on_when_the_server_lost_all_it_had(nats_server: RunningServer) -> None:
    """The publisher sends again from the last key frame; what was had is not given again."""
    bus = await connect(nats_server.url, Metrics(), name="test")
    await bus.create_missing()
    await bus.request_api(f"STREAM.PURGE.{LIVE.name}", {})
    taker = Taker()
    tail = TagTail(bus, TASKS, STREAM, taker, from_newest_key=False)
    await put(bus, *range(14))
    running = asyncio.create_task(tail.run())
    await taker.until(lambda: len(taker.got) == 14)
    back = asyncio.Event()

    async def on_reconnect() -> None:
        tail.look_again()
        back.set()

    bus.on_reconnect.append(on_reconnect)
    nats_server.kill()
    await asyncio.to_thread(nats_server.start)
    async with asyncio.timeout(20):
        await back.wait()
    await put(bus, *range(10, 18))
    await taker.until(lambda: taker.got[-1:] == [(EPOCH, 17)])
    running.cancel()
    await bus.nc.close()
    assert taker.sequences() == list(range(18))
