"""Fragments of a file without an end: one rising timeline."""

import itertools

from gateway.live.progressive import Timeline
from media.isobmff import read_fragment, read_init, shifted
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
