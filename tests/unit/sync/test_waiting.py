"""Whom a room waits for."""

from bus_schemas.messages.room import Presence, PresentMember, WaitDebt
from bus_schemas.messages.shapes import Hold, User, UserRef
from workers.sync.waiting import (
    DEBTS_KEPT,
    FIRST_LOAD_MS,
    FRESH_MS,
    HOLD_MS,
    Laggard,
    Watch,
    begun,
    charged,
    continued,
    watch,
)

NOW = 1_790_000_000_000
BOB, EVE = UserRef(id="bob", username="Bob"), UserRef(id="eve", username="Eve")


def member(user: str, **fields: object) -> PresentMember:
    found = {"user": User(id=user, username=user.title()), "connections": 1, "item": "a", "loaded": "a"}
    return PresentMember.model_validate(found | {"reported_at": NOW, "buffering": True} | fields)


def entry(gateway: str, *members: PresentMember) -> Presence:
    return Presence(room="r1", gateway=gateway, members=members, at=NOW)


def test_who_buffers_what_the_room_plays_is_a_laggard() -> None:
    """Not who buffers another item, who never reported, or who has long said nothing."""
    members = [
        member("bob"),
        member("eve", loaded="b"),
        member("old", item="b"),
        member("mute", reported_at=0),
        member("gone", reported_at=NOW - FRESH_MS - 1),
        member("fine", buffering=False),
    ]

    seen = watch([entry("g1", *members[:3]), entry("g2", *members[3:])], "a", NOW)

    assert seen == Watch(6, (Laggard(BOB, first=False), Laggard(EVE, first=True)))


def test_somebody_at_two_gateways_counts_once_by_his_newest_report() -> None:
    """The phone he put away says nothing against the screen he watches."""
    seen = watch(
        [entry("g1", member("bob", reported_at=NOW - 5)), entry("g2", member("bob", buffering=False))],
        "a",
        NOW,
    )

    assert seen == Watch(1, ())


def test_a_hold_is_for_at_most_half() -> None:
    """Two of four are waited for, two of three are not."""
    both = (Laggard(BOB, first=False), Laggard(EVE, first=False))

    assert begun(Watch(4, both), (), NOW) == Hold(since=NOW, until=NOW + HOLD_MS, members=(BOB, EVE))
    assert begun(Watch(3, both), (), NOW) is None
    assert begun(Watch(4, ()), (), NOW) is None


def test_a_first_load_may_take_a_minute() -> None:
    """As long as one of them has not shown the item; a room in which all load waits too."""
    first = Laggard(BOB, first=True)

    alone = begun(Watch(1, (first,)), (), NOW)
    mixed = begun(Watch(4, (first, Laggard(EVE, first=False))), (), NOW)

    assert alone == Hold(since=NOW, until=NOW + FIRST_LOAD_MS, members=(BOB,))
    assert mixed is not None
    assert mixed.until == NOW + FIRST_LOAD_MS
    assert begun(Watch(3, (first, Laggard(EVE, first=True))), (), NOW) is None


def test_a_hold_grows_no_longer_by_those_who_join_it() -> None:
    """Another one who buffers is waited for too, until the same moment; with the last one ready it is over."""
    hold = Hold(since=NOW, until=NOW + HOLD_MS, members=(BOB,))
    both = Watch(5, (Laggard(BOB, first=False), Laggard(EVE, first=True)))

    after = continued(hold, both, (), NOW + 4_000)

    assert after == Hold(since=NOW, until=NOW + HOLD_MS, members=(BOB, EVE))
    assert continued(hold, Watch(5, ()), (), NOW + 4_000) is None
    assert continued(hold, both, (), NOW + HOLD_MS) is None


def test_a_hold_shrinks_when_the_one_who_loads_is_ready() -> None:
    """The other is waited for no longer than he would be alone."""
    hold = Hold(since=NOW, until=NOW + FIRST_LOAD_MS, members=(BOB, EVE))
    only = Watch(5, (Laggard(EVE, first=False),))

    assert continued(hold, only, (), NOW + 2_000) == Hold(since=NOW, until=NOW + HOLD_MS, members=(EVE,))
    assert continued(hold, only, (), NOW + HOLD_MS) is None


def test_one_who_buffers_for_ever_costs_one_hold_and_then_a_tenth() -> None:
    """Over an hour of nothing but buffering the room plays nine tenths of the time."""
    seen = Watch(4, (Laggard(BOB, first=False),))
    debts: tuple[WaitDebt, ...] = ()
    now, held = NOW, 0
    while now < NOW + 3_600_000:
        hold = begun(seen, debts, now)
        if hold is None:
            now += 1_000
            continue
        assert hold.until - hold.since <= HOLD_MS
        held += hold.until - hold.since
        now = hold.until
        debts = charged(debts, hold.members, hold.until - hold.since, now)

    assert HOLD_MS < held < 3_600_000 * 0.11


def test_one_who_buffers_again_and_again_for_a_moment_soon_stops_nobody() -> None:
    """Ten times a second, for a minute: the room has stopped a dozen times, not hundreds."""
    seen = Watch(4, (Laggard(BOB, first=False),))
    debts: tuple[WaitDebt, ...] = ()
    stops = 0
    for now in range(NOW, NOW + 60_000, 100):
        hold = begun(seen, debts, now)
        if hold is not None:
            stops += 1
            debts = charged(debts, hold.members, 50, now + 50)

    assert 5 <= stops <= 12


def test_a_clock_put_back_makes_no_debt_and_no_hold_longer() -> None:
    """The hold keeps its end, and what is owed stays owed."""
    hold = Hold(since=NOW, until=NOW + HOLD_MS, members=(BOB,))
    seen = Watch(4, (Laggard(BOB, first=False),))
    debts = charged((), (BOB,), 4_000, NOW)

    after = continued(hold, seen, debts, NOW - 3_600_000)

    assert after == hold
    assert charged(debts, (BOB,), -3_600_000, NOW - 3_600_000)[0].ms == 5_000


def test_a_load_that_was_waited_for_is_not_waited_for_again() -> None:
    """The minute is given once for an item; soon after there is nothing left at all."""
    first = Watch(4, (Laggard(BOB, first=True),))
    debts = charged((), (BOB,), FIRST_LOAD_MS, NOW)

    assert begun(first, debts, NOW + 1_000) is None
    later = begun(first, debts, NOW + 60_000)
    assert later is not None
    assert later.until - later.since <= HOLD_MS


def test_debts_are_few_and_are_paid_back() -> None:
    """The largest are kept; one that is paid is forgotten."""
    many = [UserRef(id=f"u{n}", username="U") for n in range(100)]

    debts = charged((), many, 1_000, NOW)

    assert len(debts) == DEBTS_KEPT
    assert charged(debts, (), 0, NOW + 10_000) == ()
