"""Positions with gaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.playlist_order import POSITION_MAX, STEP, place


def applied(siblings: list[tuple[str, int]], item: str, before: str | None) -> list[tuple[str, int]]:
    """The list after the item was placed."""
    placement = place(siblings, before)
    moved = [(name, placement.others.get(name, position)) for name, position in siblings]
    return sorted([*moved, (item, placement.position)], key=lambda pair: pair[1])


def test_the_first_item_and_each_at_the_end_stand_a_step_apart() -> None:
    """No other item moves."""
    assert place([], None).position == STEP
    assert place([("a", STEP)], None).position == 2 * STEP


def test_in_front_of_the_first_and_between_two_there_is_room() -> None:
    """Half-way, without touching the others."""
    siblings = [("a", 1024), ("b", 2048)]

    assert (place(siblings, "a").position, place(siblings, "b").position) == (0, 1536)
    assert place(siblings, "b").others == {}


def test_a_gap_that_is_used_up_renumbers_all() -> None:
    """Everybody gets a place a step apart, in the same order."""
    assert applied([("a", 5), ("b", 6)], "x", "b") == [("a", STEP), ("x", 2 * STEP), ("b", 3 * STEP)]


def test_at_the_end_of_all_numbers_it_starts_over() -> None:
    """Positions stay within the column."""
    assert applied([("a", POSITION_MAX)], "x", None) == [("a", STEP), ("x", 2 * STEP)]


def test_in_front_of_nothing_is_an_error() -> None:
    """The caller says so to whoever asked."""
    with pytest.raises(KeyError):
        place([("a", 1)], "b")


@given(st.lists(st.integers(min_value=0, max_value=30), max_size=60))
def test_any_series_of_insertions_keeps_the_order_asked_for(places: list[int]) -> None:
    """Against a plain list: same order, distinct positions, all within the column."""
    expected: list[str] = []
    siblings: list[tuple[str, int]] = []
    for n, where in enumerate(places):
        before = expected[where] if where < len(expected) else None
        siblings = applied(siblings, f"i{n}", before)
        expected.insert(where if before else len(expected), f"i{n}")

    positions = [position for _, position in siblings]
    assert [name for name, _ in siblings] == expected
    assert len(set(positions)) == len(positions)
    assert all(abs(position) <= POSITION_MAX for position in positions)
