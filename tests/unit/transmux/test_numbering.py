"""Media sequence numbers, names and discontinuities."""

import pytest

from bus_schemas.parts import PartFlags
from workers.transmux.numbering import LOST_SINCE_MS, Numbering, number_beyond


def place() -> Numbering:
    """Names that say their number."""
    return Numbering(lambda msn: f"name-{msn}")


def test_a_segment_takes_the_name_that_was_promised() -> None:
    """What is announced as the next name is the next name."""
    numbering = place()
    promised = numbering.next_name
    numbering.close_segment()

    assert (numbering.msn, numbering.part, numbering.name) == (1, 0, promised)


def test_the_first_segment_is_no_discontinuity() -> None:
    """There is nothing before it to differ from."""
    numbering = place()
    numbering.break_timeline()
    numbering.open_segment()
    first = numbering.segment_flags, numbering.discontinuity
    numbering.close_segment()
    numbering.break_timeline()
    numbering.open_segment()

    assert first == (PartFlags.NONE, 0)
    assert (numbering.segment_flags, numbering.discontinuity) == (PartFlags.DISCONTINUITY, 1)


@pytest.mark.parametrize(
    ("first_ms", "target"), [(500, 2), (2_000, 2), (2_002, 2), (2_051, 3), (9_990, 10), (10_020, 10), (30_000, 10)]
)  # fmt: skip
def test_the_first_segment_fixes_the_target_duration(first_ms: int, target: int) -> None:
    """2 to 10 s, rounded up, for ever."""
    numbering = place()
    numbering.fix_target_duration(first_ms)
    numbering.fix_target_duration(7_000)

    assert numbering.target_duration == target


def test_where_all_is_lost_numbers_go_on_by_the_clock() -> None:
    """Beyond what began at 0 long ago, and beyond what began here an hour before and was cut in seconds ever since."""
    year_ms, hour_ms = 365 * 86_400_000, 3_600_000
    now = LOST_SINCE_MS + year_ms

    assert number_beyond(now) > year_ms // 1000
    assert number_beyond(now + hour_ms) > number_beyond(now) + hour_ms // 1000
    assert number_beyond(LOST_SINCE_MS + 34 * year_ms) < 1 << 31
    assert number_beyond(0) == 1, "a clock that was never set"
