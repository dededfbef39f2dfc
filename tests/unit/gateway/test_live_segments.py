"""The index a playlist is made of."""

import pytest

from gateway.live.segments import WINDOW_US, SegmentIndex
from tests.unit.gateway.live_sources import EPOCH, name_of, part_header


def fill(index: SegmentIndex, *, first: int = 0, segments: int = 3, open_parts: int = 0) -> None:
    """So many complete segments of ten parts, and an open one."""
    for msn in range(first, first + segments):
        for part in range(10):
            index.add(part_header(msn, part, last=part == 9), 100, msn * 10 + part + 1, b"x" * 100)
    for part in range(open_parts):
        index.add(part_header(first + segments, part), 100, 1, b"x" * 100)


def test_parts_make_segments() -> None:
    """A segment is complete with its last part; its duration is the sum of its parts'."""
    index = SegmentIndex()
    fill(index, segments=2, open_parts=3)

    assert [(segment.msn, len(segment.parts), segment.complete) for segment in index.segments] == [
        (0, 10, True),
        (1, 10, True),
        (2, 3, False),
    ]
    assert index.segments[0].duration_us == 2_000_000
    assert index.hint == (2, 3, name_of(2))


def test_after_a_complete_segment_the_hint_is_the_first_part_of_the_next() -> None:
    """The name of the next segment is known before it begins."""
    index = SegmentIndex()
    fill(index, segments=2)

    assert index.hint == (2, 0, name_of(2))


def test_a_part_that_comes_again_changes_nothing() -> None:
    """Parts are read again after a reconnect."""
    index = SegmentIndex()
    fill(index, segments=2, open_parts=2)
    version = index.version

    assert not index.add(part_header(2, 1), 100, 1, b"")
    assert not index.add(part_header(0, 0), 100, 1, b"")
    assert index.version == version


def test_reading_may_begin_in_the_middle_of_a_segment() -> None:
    """Parts of a segment whose beginning has expired are left out."""
    index = SegmentIndex()
    for part in range(4, 10):
        assert not index.add(part_header(5, part, last=part == 9), 100, 1, b"")

    fill(index, first=6, segments=1)

    assert [segment.msn for segment in index.segments] == [6]


def test_a_segment_without_a_marked_last_part_ends_with_the_next_one() -> None:
    """Where frames were lost nobody could mark the last part."""
    index = SegmentIndex()
    fill(index, segments=1, open_parts=2)

    assert index.add(part_header(2, 0, begins_discontinuity=True, discontinuity=1), 100, 1, b"")

    assert index.segments[1].complete
    assert index.segments[2].begins_discontinuity


@pytest.mark.parametrize(("place", "left"), [((3, 5), [5]), ((4, 0), [4, 5])])
def test_a_hole_begins_the_index_anew(place: tuple[int, int], left: list[int]) -> None:
    """Numbers in a playlist have no holes: what lies before one is forgotten, once a segment begins."""
    index = SegmentIndex()
    fill(index, segments=3)

    index.add(part_header(*place), 100, 1, b"")
    fill(index, first=5, segments=1)

    assert [segment.msn for segment in index.segments] == left


def test_numbers_that_begin_again_with_a_newer_session_are_taken() -> None:
    """When the bus lost its parts and the packager began at 0, the old segments are no use."""
    index = SegmentIndex()
    fill(index, first=40, segments=3)

    assert index.add(part_header(0, 0, epoch=EPOCH + 5), 100, 1, b"x")

    assert [segment.msn for segment in index.segments] == [0]


def test_the_end_closes_the_open_segment() -> None:
    """Nothing is hinted at any more, and nobody waits any more."""
    index = SegmentIndex()
    fill(index, segments=1, open_parts=4)

    assert index.add(part_header(1, 4, end=True), 0, 1, b"")

    assert index.ended
    assert index.segments[-1].complete
    assert index.hint is None
    assert index.has(9, 9)
    assert not index.add(part_header(2, 0, end=True), 0, 1, b"")


def test_a_session_after_the_end_goes_on() -> None:
    """Media sequence numbers continue over publish sessions."""
    index = SegmentIndex()
    fill(index, segments=1, open_parts=4)
    index.add(part_header(1, 4, end=True), 0, 1, b"")

    assert index.add(
        part_header(2, 0, epoch=EPOCH + 9, begins_discontinuity=True, discontinuity=1), 9, 1, b""
    )

    assert not index.ended
    assert [segment.msn for segment in index.segments] == [0, 1, 2]


@pytest.mark.parametrize(
    ("msn", "part", "there"),
    [
        (0, None, True),
        (2, None, True),
        (3, None, False),
        (3, 0, True),
        (3, 1, True),
        (3, 2, False),
        (4, 0, False),
        (2, 9, True),
        (2, 10, True),
        (2, 700, True),
    ],
)
def test_what_a_blocked_request_waits_for(msn: int, part: int | None, there: bool) -> None:
    """A segment is there when complete; a part past its segment's end is part 0 of the next."""
    index = SegmentIndex()
    fill(index, segments=3, open_parts=2)

    assert index.has(msn, part) is there


def test_a_part_past_the_end_is_waited_for_as_the_next_segments_first() -> None:
    """Right after the last part of a segment its successor has not begun."""
    index = SegmentIndex()
    fill(index, segments=3)

    assert index.has(2, 9)
    assert not index.has(2, 10)


@pytest.mark.parametrize(
    ("msn", "part", "refused"),
    [
        (5, None, False),
        (5, 0, False),
        (6, None, True),
        (6, 0, True),
        (3, 2 + 15, False),
        (3, 3 + 15, True),
        (4, 15 + 1, True),
    ],
)
def test_what_lies_too_far_ahead_is_refused(msn: int, part: int | None, refused: bool) -> None:
    """A client may ask for two segments beyond the newest, and for so many parts ahead."""
    index = SegmentIndex()
    fill(index, segments=3, open_parts=2)

    assert index.is_too_far(msn, part) is refused


def test_a_segment_is_found_by_number_and_name_only() -> None:
    """The number can be guessed, the name cannot."""
    index = SegmentIndex()
    fill(index, segments=3)

    assert index.find(1, name_of(1)) is index.segments[1]
    assert index.find(1, name_of(2)) is None
    assert index.find(77, name_of(77)) is None


def test_the_window_is_bounded_and_old_bytes_are_let_go() -> None:
    """Segments are listed for the window, and their bytes held for the newest of them only."""
    index = SegmentIndex()
    fill(index, segments=100)

    assert WINDOW_US <= sum(segment.duration_us for segment in index.segments) <= WINDOW_US + 4_000_000
    assert index.segments[0].parts[0].body is None
    assert index.segments[-1].parts[0].body is not None


def test_what_cannot_be_served_any_more_is_forgotten() -> None:
    """When the bus lost its memory only the segments whose bytes are here stay."""
    index = SegmentIndex()
    fill(index, segments=40)

    index.forget_without_body()

    assert 0 < len(index.segments) < 40
    assert all(part.body is not None for segment in index.segments for part in segment.parts)
    assert index.segments[-1].msn == 39


def test_bit_rates_are_measured_over_complete_segments() -> None:
    """Peak and average, in bits per second."""
    index = SegmentIndex()
    assert index.bit_rates() == (0, 0)
    for msn, size in ((0, 50_000), (1, 25_000)):
        index.add(part_header(msn, 0, last=True, duration_us=2_000_000), size, 1, b"")
    index.add(part_header(2, 0), 10**9, 1, b"")

    assert index.bit_rates() == (200_000, 150_000)
