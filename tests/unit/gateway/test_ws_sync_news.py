"""What a room is told of how its members keep to it, and how often."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from bus_schemas.messages.room import PresentMember
from bus_schemas.messages.shapes import SyncReport, User
from gateway.ws.sync_news import AT_ONCE_MAX, BUFFERING_EVERY_S, DRIFT_EVERY_S, SyncNews, shown

LOOK_S = 0.5


def member(name: str, drift_ms: float | None = None, *, buffering: bool = False) -> PresentMember:
    return PresentMember(
        user=User(id=name, username=name), connections=1, drift_ms=drift_ms, buffering=buffering
    )


def look(news: SyncNews, now: float, *members: PresentMember) -> list[str]:
    """Whom a gateway tells of at a look; it says it, and hears it said."""
    due = news.due({one.user.id: one for one in members}, now)
    for one in due:
        news.said(one.user.id, shown(one), now)
    return [one.user.id for one in due]


def test_nothing_is_news_of_players_that_do_well() -> None:
    """A report that says what everybody takes for granted is not even looked at."""
    news = SyncNews()
    news.reported("a", None, buffering=False)

    assert not news.pending
    assert look(news, 0.0, member("a")) == []


def test_who_buffers_is_told_at_the_next_look_and_that_he_no_longer_does() -> None:
    """Each turn once, however often it is reported."""
    news = SyncNews()
    news.reported("a", None, buffering=True)
    assert news.pending

    assert look(news, 0.0, member("a", buffering=True), member("b")) == ["a"]
    news.reported("a", None, buffering=True)
    assert not news.pending
    assert look(news, 5.0, member("a", buffering=True)) == []
    news.reported("a", None, buffering=False)
    assert look(news, 6.0, member("a")) == ["a"]


@pytest.mark.parametrize(
    ("told", "now", "is_news"),
    [
        (0.0, 50.0, False),
        (0.0, 50.2, True),
        (30.0, -21.0, True),
        (30.0, -20.0, False),
        (None, 1.0, True),
        (5.0, None, True),
    ],
)
def test_a_drift_is_news_when_it_moved(told: float | None, now: float | None, is_news: bool) -> None:
    """By more than 50 ms, or from or to having none."""
    news = SyncNews()
    news.said("a", SyncReport(drift_ms=told), 0.0)
    news.reported("a", now, buffering=False)

    assert news.pending is is_news
    assert look(news, 100.0, member("a", now)) == (["a"] if is_news else [])


def test_small_steps_add_up_to_news() -> None:
    """What counts is the difference to what the room was told, not to the last report."""
    news = SyncNews()
    told = [drift for drift in range(0, 200, 20) if look(news, drift * 10.0, member("a", float(drift)))]

    assert told == [0, 60, 120, 180]


def test_one_who_turns_all_the_time_is_told_of_now_and_then() -> None:
    """Buffering at most once a second, drift every three; what stands at the end is told."""
    turns: list[tuple[float, Callable[[int], PresentMember]]] = [
        (BUFFERING_EVERY_S, lambda number: member("a", buffering=number % 2 == 0)),
        (DRIFT_EVERY_S, lambda number: member("a", float(number * 100))),
    ]
    for every, make in turns:
        news = SyncNews()
        looks = [number * LOOK_S for number in range(121)]
        told = [now for number, now in enumerate(looks) if look(news, now, make(number))]

        assert len(told) <= 60 / every + 1
        assert all(later - earlier >= every for earlier, later in pairwise(told))
        last = make(120)
        look(news, 100.0, last)
        assert look(news, 200.0, last) == []


def test_what_is_too_early_stays_pending_until_it_is_told() -> None:
    """Nobody has to report again for it."""
    news = SyncNews()
    look(news, 0.0, member("a", buffering=True))

    assert look(news, 0.5, member("a")) == []
    assert news.pending
    assert look(news, 1.0, member("a")) == ["a"]
    look(news, 1.5, member("a"))
    assert not news.pending


def test_a_room_of_liars_has_so_much_news_at_a_look_and_each_gets_his_turn() -> None:
    """Two hundred who turn at every look: ten are told of each time, those of longest ago first."""
    news = SyncNews()
    told: dict[str, int] = {}
    for number in range(60):
        members = [member(f"u{n}", buffering=number % 2 == 0) for n in range(200)]
        at_once = look(news, number * LOOK_S, *members)
        assert len(at_once) <= AT_ONCE_MAX
        assert news.pending
        for user in at_once:
            told[user] = told.get(user, 0) + 1

    assert len(told) == 200
    assert max(told.values()) - min(told.values()) <= 2


def test_buffering_goes_before_drift() -> None:
    """Who stands still is the greater news."""
    news = SyncNews()
    members = [member(f"d{n}", 500.0) for n in range(AT_ONCE_MAX)] + [member("b", buffering=True)]

    assert look(news, 0.0, *members)[0] == "b"


def test_what_somebody_else_told_the_room_counts_as_told() -> None:
    """A gateway that hears it said does not say it again; one that hears another thing says how it is."""
    news = SyncNews()
    news.heard("a", SyncReport(buffering=True), 0.0)
    assert look(news, 10.0, member("a", buffering=True)) == []

    news.heard("a", SyncReport(), 11.0)

    assert news.pending
    assert look(news, 12.0, member("a", buffering=True)) == ["a"]


def test_who_left_is_forgotten() -> None:
    """He comes back as somebody nothing was told of."""
    news = SyncNews()
    look(news, 0.0, member("a", 300.0))
    look(news, 10.0)

    assert look(news, 20.0, member("a", 300.0)) == ["a"]


def test_a_wild_drift_harms_nobody() -> None:
    """What a liar reports is a number, shown as one, and bounded like any other news."""
    news = SyncNews()
    wild = member("a", 1.7e308)

    assert look(news, 0.0, wild) == ["a"]
    assert look(news, 10.0, wild) == []
    assert look(news, 20.0, member("a", -1.7e308)) == ["a"]
