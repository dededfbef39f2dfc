"""Segments as MPEG-TS, made once for all who ask."""

import asyncio
from typing import Any, cast

import pytest

from bus_schemas.errors import ErrorCode, Refused
from gateway.live.segments import Segment, SegmentIndex
from gateway.live.ts import KEPT, TransportStream
from runtime.metrics import Metrics
from runtime.tasks import Tasks
from tests.unit.transmux.sources import encoded, inits_of, make_segmenter, messages_of, parts_of, run


class Source:
    """A rendition as far as transport streams are made of one; counts how often its bytes are wanted."""

    def __init__(self) -> None:
        made = run(make_segmenter(), messages_of(encoded(seconds=5)))
        self.stream = "s1"
        self.init = inits_of(made)[-1].body
        self.index = SegmentIndex()
        self.asked = 0
        for number, part in enumerate(parts_of(made)):
            self.index.add(part.header, len(part.body), number + 1, part.body)

    async def complete_segment(self, msn: int, name: str) -> Segment:
        found = self.index.find(msn, name)
        assert found is not None
        return found

    async def bodies(self, segment: Segment) -> list[bytes]:
        self.asked += 1
        return [part.body or b"" for part in segment.parts]

    def init_body(self, _number: int) -> bytes:
        return self.init


def failed_tasks(metrics: Metrics) -> list[str]:
    """Names of tasks that are counted as failed."""
    return [
        sample.labels["task"] if "task" in sample.labels else str(sample.labels)
        for family in metrics.registry.collect()
        if family.name == "matinee_tasks_failed"
        for sample in family.samples
        if sample.value and sample.name.endswith("_total")
    ]


async def test_a_segment_is_made_once_for_all_who_ask() -> None:
    """At the same time and a little later."""
    source = Source()
    stream = TransportStream(cast("Any", source), Tasks(Metrics()))
    first = source.index.segments[0]

    made = await asyncio.gather(*(stream.segment(first.msn, first.name) for _ in range(5)))
    again = await stream.segment(first.msn, first.name)

    assert source.asked == 1 < KEPT
    assert all(one is again for one in made)
    assert again[::188] == b"\x47" * (len(again) // 188)


async def test_what_cannot_be_made_is_a_refusal_and_no_fault_of_ours() -> None:
    """Codecs that a transport stream has not: each who asks is told so; no task is counted as failed."""
    source, metrics = Source(), Metrics()
    source.init = b"no boxes"
    stream = TransportStream(cast("Any", source), Tasks(metrics))
    first = source.index.segments[0]

    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await stream.segment(first.msn, first.name)
        assert refused.value.code is ErrorCode.NOT_FOUND

    assert failed_tasks(metrics) == []
