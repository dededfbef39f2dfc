"""The rule book's sense of time."""

import pytest

from bench.hls_times import PartTimes
from bench.media_boxes import Run


def judged(*parts: tuple[float, Run | None]) -> list[str]:
    """The rules that these parts of one segment break: what is said of each, and its leading run."""
    broken: list[str] = []
    times = PartTimes(lambda rule, holds, _detail: None if holds else broken.append(rule))
    for number, (duration, run) in enumerate(parts):
        times.judge((7, number), (7, number - 1) if number else None, duration, run)
    return broken


def frames(start: float, *lengths: float) -> Run:
    """A run of frames that last so long."""
    return Run(1, start, sum(lengths), True, len(lengths), start + sum(lengths[:-1]))


def test_parts_of_whole_frames_are_right() -> None:
    """Each as long as its frames."""
    assert judged((0.2, frames(5.0, 0.1, 0.1)), (0.2, frames(5.2, 0.1, 0.1)), (0.1, frames(5.4, 0.1))) == []


def test_a_frame_may_outlast_its_part() -> None:
    """Then the parts behind it are empty until it ends."""
    assert judged((0.2, frames(5.0, 0.1, 0.5)), (0.2, None), (0.2, frames(5.6, 0.1))) == [
        "frames begin within their part"
    ]
    assert judged((0.2, frames(5.0, 0.1, 0.5)), (0.2, None), (0.2, None), (0.1, frames(5.6, 0.1))) == []
    assert judged((0.2, frames(5.0, 0.1, 0.4)), (0.2, None), (0.2, frames(5.5, 0.1))) == []


@pytest.mark.parametrize(
    ("parts", "rule"),
    [
        ([(0.3, frames(5.0, 0.1, 0.1))], "DURATION is the media's"),
        ([(0.1, frames(5.0, 0.1, 0.1))], "frames begin within their part"),
        ([(0.2, frames(5.0, 0.1, 0.1)), (0.2, None)], "DURATION is the media's"),
        ([(0.2, frames(5.0, 0.2)), (0.2, frames(5.25, 0.15))], "tfdt goes on where the part before ended"),
        ([(0.2, frames(5.0, 0.5)), (0.2, frames(5.3, 0.1))], "tfdt goes on where the part before ended"),
    ],
)
def test_what_is_wrong_is_named(parts: list[tuple[float, Run | None]], rule: str) -> None:
    """Too long, too short, nothing there, a hole, an overlap."""
    assert rule in judged(*parts)


def test_a_segment_is_as_long_as_its_frames() -> None:
    """Measured from where the playlist has it begin, also within a frame."""
    broken: list[str] = []
    times = PartTimes(lambda rule, holds, _detail: None if holds else broken.append(rule))
    times.judge((7, 0), None, 0.2, frames(5.0, 0.1, 0.5))
    times.judge((8, 0), (7, 0), 0.2, None)
    times.judge((8, 1), (8, 0), 0.3, frames(5.6, 0.1))

    times.judge_segment(7, 0.2, [frames(5.0, 0.1, 0.5)])
    times.judge_segment(8, 0.5, [frames(5.6, 0.1)])
    assert broken == []
    times.judge_segment(8, 0.8, [frames(5.6, 0.1)])
    times.judge_segment(7, 0.2, [frames(5.0, 0.1), frames(5.2, 0.5)])
    assert broken == ["EXTINF is the media's"] * 2
