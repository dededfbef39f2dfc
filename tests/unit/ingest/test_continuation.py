"""How a session begins after another."""

import pytest

from bus_schemas.tags import TagFlags, TagHeader
from workers.ingest.continuation import Before, Beginning, begin_after
from workers.ingest.headers import CodecHeaders

HEADERS = CodecHeaders(b"v", b"a")
SECOND = 1_000_000


def before(flags: int = TagFlags.NONE, headers: CodecHeaders | None = HEADERS) -> Before:
    return Before(TagHeader(flags, 2, 50, 700, 60_000, 100 * SECOND), headers, 2, 700)


def test_the_first_session_begins_at_zero() -> None:
    """Nothing was there before."""
    assert begin_after(Before(), 0, 15) == Beginning()
    assert Before().least_epoch == 1


def test_a_session_cut_off_is_gone_on_with() -> None:
    """The silence stands on the timeline; headers and generation are handed over."""
    assert begin_after(before(), 103 * SECOND, 15) == Beginning(63_000, 2, HEADERS)
    assert before().least_epoch == 701


def test_a_takeover_leaves_room_for_the_last_message() -> None:
    """Even without any silence the timelines do not overlap."""
    assert begin_after(before(), 100 * SECOND, 15).start_ms == 60_100


@pytest.mark.parametrize(
    ("left", "now"),
    [(before(TagFlags.END), 101), (before(), 116), (before(headers=None), 101)],
    ids=["ended on purpose", "the grace is over", "its headers are gone"],
)
def test_what_cannot_be_gone_on_with_is_a_new_timeline(left: Before, now: int) -> None:
    """From zero, marked as a discontinuity."""
    assert begin_after(left, now * SECOND, 15) == Beginning(flags=TagFlags.DISCONTINUITY)
