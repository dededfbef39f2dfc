"""Old bytes for those who rewind together."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.js.errors import NotFoundError

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.subjects import HLS_PART
from gateway.live import old_segments
from gateway.live.old_segments import KEPT_S, OldSegments
from gateway.live.segments import Segment, SegmentIndex
from runtime.metrics import Metrics
from runtime.tasks import Tasks
from tests.unit.gateway.live_sources import part_header

SUBJECT = HLS_PART.at(stream="s1", rendition="source")
SIZE = 100


class Store:
    """The bus's parts by sequence; counts what is read."""

    def __init__(self) -> None:
        self.reads = 0
        self.subject = SUBJECT
        self.fault: Exception | None = None
        self.js = self

    async def get_msg(self, _stream: str, sequence: int, *, direct: bool) -> Any:
        assert direct
        self.reads += 1
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        header = part_header(0, 0).pack()
        return SimpleNamespace(subject=self.subject, data=header + bytes([sequence]) * SIZE)


def segments(count: int) -> list[Segment]:
    """Segments of ten parts, whose bytes are held no more but for the last part of each."""
    index = SegmentIndex()
    for number in range(count * 10):
        header = part_header(number // 10, number % 10, last=number % 10 == 9)
        held = bytes([number]) * SIZE if number % 10 == 9 else None
        index.add(header, SIZE, number, held)
    return list(index.segments)


def make(store: Store) -> OldSegments:
    """Those of a rendition."""
    return OldSegments(cast("Any", store), Tasks(Metrics()), SUBJECT)


async def test_a_room_that_rewinds_together_is_one_reader() -> None:
    """Each part is read once for fifty members, at once and a moment later; what is held is not read."""
    store = Store()
    old, (first,) = make(store), segments(1)

    found = await asyncio.gather(*(old.bodies(first) for _ in range(50)))
    found.append(await old.bodies(first))

    assert store.reads == 9
    assert found == [[bytes([number]) * SIZE for number in range(10)]] * 51


async def test_what_nobody_wants_any_more_is_let_go() -> None:
    """After a while it is read again."""
    store = Store()
    old, (first,) = make(store), segments(1)
    await old.bodies(first)
    now = asyncio.get_running_loop().time()

    old.forget(now + KEPT_S - 1)
    await old.bodies(first)
    assert store.reads == 9
    old.forget(now + KEPT_S + 1)
    await old.bodies(first)

    assert store.reads == 18


async def test_what_is_kept_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was wanted least lately goes first; the newest stays whatever its size."""
    monkeypatch.setattr(old_segments, "KEPT_BYTES", 25 * SIZE)
    store = Store()
    old, (first, second, third) = make(store), segments(3)
    await old.bodies(first)
    await old.bodies(second)
    await old.bodies(first)
    await old.bodies(third)
    before = store.reads

    await old.bodies(first)
    await old.bodies(third)
    assert store.reads == before
    await old.bodies(second)
    assert store.reads == before + 9
    monkeypatch.setattr(old_segments, "KEPT_BYTES", SIZE)
    await old.bodies(third)
    assert store.reads == before + 9


@pytest.mark.parametrize("lost", ["gone", "another stream's"])
async def test_what_the_bus_has_lost_is_not_found(lost: str) -> None:
    """It expired, or the stream was made anew and its numbers name other messages."""
    store = Store()
    old, (first,) = make(store), segments(1)
    if lost == "gone":
        store.fault = NotFoundError()
    else:
        store.subject = "hls.part.s2.source"

    with pytest.raises(Refused) as refused:
        await old.bodies(first)

    assert refused.value.code is ErrorCode.NOT_FOUND


async def test_a_bus_that_was_away_is_asked_again() -> None:
    """Who asked meanwhile is told; the next one finds it."""
    store = Store()
    old, (first,) = make(store), segments(1)
    store.fault = TimeoutError()
    with pytest.raises(TimeoutError):
        await old.bodies(first)

    store.fault = None

    assert len(await old.bodies(first)) == 10
