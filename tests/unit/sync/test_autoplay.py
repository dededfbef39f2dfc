"""What follows an item."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.messages.shapes import PlaybackMode
from workers.sync.autoplay import PLAYED_KEPT, Entry, Step, at_end, chosen, depth_first, following, preceding

A, B, C = Entry("a", position=1), Entry("b", position=2), Entry("c", position=3)
ABC = [A, B, C]
SEQUENTIAL, ONE, ALL, SHUFFLE = PlaybackMode


def test_playing_order_is_depth_first() -> None:
    """Siblings by position, each followed by what is below it."""
    entries = [
        Entry("z", position=30), Entry("folder", position=20), Entry("f2", "folder", 2), Entry("f1", "folder", 1),
        Entry("first", position=10), Entry("deep", "f1", 5),
    ]  # fmt: skip

    assert [entry.id for entry in depth_first(entries)] == ["first", "folder", "f1", "deep", "f2", "z"]


def test_an_entry_below_one_that_is_gone_is_not_lost() -> None:
    """It stands at the top."""
    assert [entry.id for entry in depth_first([Entry("orphan", "gone", 2), A])] == ["a", "orphan"]


@pytest.mark.parametrize(
    ("mode", "current", "after"),
    [
        (SEQUENTIAL, "a", "b"), (SEQUENTIAL, "c", None), (SEQUENTIAL, "gone", "a"), (SEQUENTIAL, None, "a"),
        (ONE, "b", "b"), (ONE, "gone", None), (ALL, "b", "c"), (ALL, "c", "a"),
    ],
)  # fmt: skip
def test_what_follows_an_item_that_ended(mode: PlaybackMode, current: str | None, after: str | None) -> None:
    """By the room's mode; after an item that is gone, the first one."""
    entry = at_end(ABC, current, mode, ()).entry

    assert (entry.id if entry else None) == after


@pytest.mark.parametrize(
    ("mode", "current", "before"),
    [
        (SEQUENTIAL, "b", "a"), (SEQUENTIAL, "a", None), (SEQUENTIAL, "gone", "c"), (ONE, "b", "a"),
        (ALL, "a", "c"), (ALL, "c", "b"),
    ],
)  # fmt: skip
def test_what_previous_leads_to(mode: PlaybackMode, current: str, before: str | None) -> None:
    """One back; around the corner only when all repeats."""
    entry = preceding(ABC, current, mode, ()).entry

    assert (entry.id if entry else None) == before


def test_next_leaves_an_item_that_repeats() -> None:
    """repeat_one repeats by itself; a person who asks for the next gets it."""
    assert following(ABC, "a", ONE, ()) == Step(B)


@pytest.mark.parametrize("mode", PlaybackMode)
def test_an_empty_playlist_leads_nowhere(mode: PlaybackMode) -> None:
    """Whatever was played."""
    assert at_end([], "a", mode, ("a",)).entry is None
    assert following([], "a", mode, ("a",)).entry is None
    assert preceding([], "a", mode, ()).entry is None


@given(st.integers(1, 30), st.integers(1, 4))
def test_shuffle_plays_each_item_once_a_round(count: int, rounds: int) -> None:
    """Round after round, none twice, none left out, and no item right after itself."""
    playlist = [Entry(f"i{number}", position=number) for number in range(count)]
    current = "i0"
    played: tuple[str, ...] = (current,)
    order = ["i0"]

    for _ in range(count * rounds - 1):
        step = at_end(playlist, current, SHUFFLE, played)
        assert step.entry is not None
        current, played = step.entry.id, step.played
        order.append(current)

    for number in range(rounds):
        assert sorted(order[number * count : (number + 1) * count]) == sorted(entry.id for entry in playlist)
    if count > 1:
        assert all(one != other for one, other in itertools.pairwise(order))


def test_shuffle_is_the_same_for_all() -> None:
    """Any worker, in any order of rows, decides the same."""
    playlist = [Entry(f"i{number}", position=number) for number in range(20)]

    assert following(playlist, "i3", SHUFFLE, ("i3",)) == following(playlist[::-1], "i3", SHUFFLE, ("i3",))


def test_shuffle_goes_back_the_way_it_came() -> None:
    """Over items that were removed meanwhile too."""
    assert preceding(ABC, "c", SHUFFLE, ("a", "gone", "c")) == Step(A, ("a",))
    assert preceding(ABC, "a", SHUFFLE, ("a",)).entry is None


def test_a_round_is_bounded() -> None:
    """Whoever adds an item, picks it and removes it again, for ever, makes no state without end."""
    played: tuple[str, ...] = ()
    for number in range(PLAYED_KEPT + 50):
        played = chosen(Entry(f"i{number}"), SHUFFLE, played).played
    stepped = following([A, B], "a", SHUFFLE, (*played, "a"))

    assert len(played) == PLAYED_KEPT
    assert played[-1] == f"i{PLAYED_KEPT + 49}"
    assert stepped.entry == B
    assert len(stepped.played) == PLAYED_KEPT


def test_an_item_somebody_chose_counts_as_played() -> None:
    """Only in shuffle is there a round to count in."""
    assert chosen(B, SHUFFLE, ("b", "a")) == Step(B, ("a", "b"))
    assert chosen(B, SEQUENTIAL, ()) == Step(B, ())
