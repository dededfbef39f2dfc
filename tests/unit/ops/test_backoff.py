"""When a child is started again."""

from ops.backoff import Backoff


def test_the_first_end_is_followed_by_a_start_almost_at_once() -> None:
    """A killed worker is back before its viewers notice."""
    assert Backoff().after_end(lived=0.0).delay() == 0.05


def test_patience_doubles_and_has_an_end() -> None:
    """A child that cannot live is not started in a tight loop, and never waited for longer than 5 s."""
    backoff = Backoff()
    delays = []
    for _ in range(40):
        backoff = backoff.after_end(lived=0.1)
        delays.append(backoff.delay())

    assert delays[:4] == [0.05, 0.1, 0.2, 0.4]
    assert delays[-1] == 5.0


def test_a_child_that_lived_well_begins_anew() -> None:
    """One crash a day is always the first."""
    tired = Backoff(failures=9)

    assert tired.after_end(lived=60.0) == Backoff(failures=1)
