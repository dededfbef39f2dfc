"""Fragments of a file without an end: one rising timeline."""

import asyncio
import itertools
from typing import Any, cast

from gateway.live.fanout import Ending
from gateway.live.framing import Framing
from gateway.live.progressive import LINGER_S, Progressive, Timeline
from gateway.live.segments import SegmentIndex
from media.isobmff import read_fragment, read_init, shifted
from runtime.metrics import Metrics
from runtime.settings import LiveSettings
from tests.unit.gateway.test_live_fanout import Socket
from tests.unit.transmux.sources import encoded, inits_of, make_segmenter, messages_of, parts_of, run


def _stream() -> tuple[bytes, list[bytes]]:
    made = run(make_segmenter(), messages_of(encoded(seconds=5)))
    return inits_of(made)[-1].body, [part.body for part in parts_of(made)]


def _video_times(init: bytes, fragments: list[bytes]) -> list[float]:
    return [
        one.decode_time / 1000
        for part in fragments
        for one in read_fragment(part, read_init(init))
        if one.track == 1
    ]


def test_a_timeline_that_goes_on_is_not_touched() -> None:
    """The viewers are given the very bytes of the bus, also over a discontinuity that is none in time."""
    init, parts = _stream()
    timeline = Timeline(read_init(init))

    placed = [timeline.place(part, discontinuity=at == 5) for at, part in enumerate(parts)]

    assert all(one is part for one, part in zip(placed, parts, strict=True))


def test_a_publisher_who_returns_at_another_time_goes_on_where_the_last_one_stopped() -> None:
    """Whether his clock begins at 0 again or an hour ahead, the file's time rises without a hole, tracks together."""
    init, parts = _stream()
    for by_ms in (-1_000_000, 3_600_000):
        begin = 2_000_000
        timeline = Timeline(read_init(init))
        first = [
            timeline.place(shifted(part, {1: begin, 2: begin * 48}), discontinuity=False) for part in parts
        ]

        moved = begin + by_ms
        second = [
            timeline.place(shifted(part, {1: moved, 2: moved * 48}), discontinuity=at == 0)
            for at, part in enumerate(parts)
        ]

        times = _video_times(init, first + second)
        assert all(0 < after - before < 0.5 for before, after in itertools.pairwise(times))
        before, after = (read_fragment(one[2], read_init(init)) for one in (first, second))
        steps = [b.decode_time - a.decode_time for a, b in zip(before, after, strict=True)]
        assert abs(steps[0] * 48 - steps[1]) <= 48


class Source:
    """A rendition with these parts, as far as a file is made of one."""

    def __init__(self) -> None:
        made = run(make_segmenter(), messages_of(encoded(seconds=5)))
        self.stream = "s1"
        self.index = SegmentIndex()
        self.current_init = inits_of(made)[-1].header.init, inits_of(made)[-1].body
        for number, part in enumerate(parts_of(made)):
            self.index.add(part.header, len(part.body), number + 1, part.body)


async def test_who_comes_to_a_file_that_was_let_go_is_told_of_its_end() -> None:
    """A hook took its time, and nobody else was there meanwhile: nothing would ever come."""
    now = asyncio.get_running_loop().time()
    file = Progressive(cast("Any", Source()), LiveSettings(), Metrics())
    early = file.fanout.view(cast("Any", Socket()), Framing.CHUNKED)
    assert file.is_wanted(now + 2 * LINGER_S)
    file.fanout.remove(early)
    assert file.is_wanted(now + 2.9 * LINGER_S)
    assert not file.is_wanted(now + 3.1 * LINGER_S)

    late = file.fanout.view(cast("Any", Socket()), Framing.CHUNKED)

    async with asyncio.timeout(5):
        assert await late.done is Ending.ENDED
