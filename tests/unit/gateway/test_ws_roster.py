"""Who tells a room that somebody came or went."""

from bus_schemas.messages.room import Presence, PresentMember
from bus_schemas.messages.shapes import User
from gateway.ws.roster import ANNOUNCED_MAX, ENTRY_LIFE_S, GRACE_S, SAY_AGAIN_S, Announcement, Roster


def user(name: str) -> User:
    return User(id=name, username=name)


def entry(gateway: str, *names: str, rtt_ms: float = 0.0, beyond: int = 0, **flags: bool) -> Presence:
    members = tuple(PresentMember(user=user(name), connections=1, **flags) for name in names)
    return Presence(room="r", gateway=gateway, members=members, rtt_ms=rtt_ms, guests_beyond=beyond, at=0)


def joined(*names: str) -> list[Announcement]:
    return [Announcement(user(name), "joined") for name in names]


def left(*names: str) -> list[Announcement]:
    return [Announcement(user(name), "left") for name in names]


class Gateways:
    """Some gateways' rosters that hear the same things."""

    def __init__(self, *names: str) -> None:
        self.rosters = {name: Roster(name) for name in names}

    def hear(self, presence: Presence, now: float = 0.0) -> None:
        for roster in self.rosters.values():
            roster.hear(presence, now)

    def due(self, now: float) -> list[tuple[str, str, str]]:
        said: list[tuple[str, str, str]] = [
            (name, one.change, one.user.id)
            for name, roster in self.rosters.items()
            for one in roster.due(now)
        ]
        for _, change, who in said:
            for roster in self.rosters.values():
                roster.heard_said(user(who), change)
        return said


def test_who_came_is_said_by_his_gateway() -> None:
    """The first connection of a user over all gateways is told once, by the gateway that has it."""
    gateways = Gateways("g1", "g2")
    gateways.hear(entry("g1", "ann"))
    gateways.hear(entry("g2", "bob"))

    assert gateways.due(1.0) == [("g1", "joined", "ann"), ("g2", "joined", "bob")]
    assert gateways.due(2.0) == []


def test_a_second_connection_elsewhere_is_no_news() -> None:
    """A user at two gateways came once, and went when the last connection did."""
    gateways = Gateways("g1", "g2")
    gateways.hear(entry("g1", "ann"))
    gateways.hear(entry("g2", "ann"))

    assert gateways.due(1.0) == [("g1", "joined", "ann")]
    gateways.hear(entry("g1"))
    assert gateways.due(2.0) == []
    gateways.hear(entry("g2"))
    assert gateways.due(3.0) == [("g2", "left", "ann")]


def test_two_first_connections_at_once_are_one_joining() -> None:
    """Both gateways see both entries before either speaks: the first by name does."""
    gateways = Gateways("g1", "g2")
    gateways.hear(entry("g2", "ann"))
    gateways.hear(entry("g1", "ann"))

    assert gateways.due(1.0) == [("g1", "joined", "ann")]


def test_a_reload_is_no_news() -> None:
    """Gone and back between two looks is nothing."""
    gateways = Gateways("g1")
    gateways.hear(entry("g1", "ann"))
    gateways.due(1.0)

    gateways.hear(entry("g1"))
    gateways.hear(entry("g1", "ann"))

    assert gateways.due(2.0) == []


def test_members_of_a_killed_gateway_are_said_to_have_left_by_one_of_the_others() -> None:
    """When its entry has expired, exactly one of the others speaks, and only of those who did not come back."""
    gateways = Gateways("g2", "g3")
    gateways.hear(entry("g1", "ann", "bob"), 0.0)
    gateways.hear(entry("g2", "cid"), 0.0)
    gateways.hear(entry("g3", "dan"), 0.0)
    for roster in gateways.rosters.values():
        roster.announced = {name: user(name) for name in ("ann", "bob", "cid", "dan")}

    later = ENTRY_LIFE_S + 1
    gateways.hear(entry("g2", "cid"), later)
    gateways.hear(entry("g3", "dan", "bob"), later)
    for roster in gateways.rosters.values():
        roster.expire(later)

    assert gateways.due(later) == [("g2", "left", "ann")]


def test_members_of_a_draining_gateway_are_given_time_to_come_back() -> None:
    """A gateway that takes its entry away sends its members elsewhere; those who do not come are told of."""
    roster = Roster("g2")
    roster.begin([entry("g1", "ann", "bob")], 0.0)
    roster.hear(entry("g2"), 0.0)

    roster.hear_gone("g1", 10.0)
    assert roster.due(10.1) == []
    roster.hear(entry("g2", "bob"), 10.2)

    assert roster.due(10.0 + GRACE_S) == left("ann")


def test_whoever_was_there_before_is_not_announced_again() -> None:
    """A gateway that opens a room takes those in it for known."""
    roster = Roster("g2")
    roster.begin([entry("g1", "ann")], 0.0)
    roster.hear(entry("g2", "ann", "bob"), 0.0)

    assert roster.due(1.0) == joined("bob")


def test_a_gateway_that_died_and_came_back_under_its_name_answers_for_its_dead() -> None:
    """Who does not come back to it is said to have left, by itself."""
    roster = Roster("g1")
    roster.begin([entry("g1", "ann", "bob")], 0.0)
    roster.hear(entry("g1", "bob"), 1.0)

    assert roster.due(1.0 + GRACE_S) == left("ann")


def test_what_was_not_heard_is_said_again() -> None:
    """An announcement the bus did not take is repeated, not at every look."""
    roster = Roster("g1")
    roster.hear(entry("g1", "ann"), 0.0)

    assert roster.due(1.0) == joined("ann")
    assert roster.due(1.0 + SAY_AGAIN_S / 2) == []
    assert roster.due(1.0 + SAY_AGAIN_S) == joined("ann")


def test_one_who_went_before_he_was_announced_is_said_to_have_left() -> None:
    """A newcomer's snapshot may have shown him: everybody hears that he went, from one gateway."""
    gateways = Gateways("g1", "g2")
    gateways.hear(entry("g1"))
    gateways.hear(entry("g2", "ann"))
    gateways.hear(entry("g2"))

    assert gateways.due(1.0) == [("g2", "left", "ann")]


def test_a_crowd_is_only_counted() -> None:
    """Above the bound nobody is announced; below it again, what changed is said."""
    roster = Roster("g1")
    crowd = [f"u{number}" for number in range(ANNOUNCED_MAX)]
    roster.hear(entry("g1", *crowd, beyond=1), 0.0)

    assert roster.count() == ANNOUNCED_MAX + 1
    assert roster.due(1.0) == []
    roster.hear(entry("g1", "u0"), 2.0)
    assert roster.due(2.0) == [*joined("u0"), *left(*crowd[1:])]


def test_the_count_is_told_when_it_changes() -> None:
    """Each change of the count is told once."""
    roster = Roster("g1")
    roster.hear(entry("g1", "ann"), 0.0)

    assert roster.changed_count() == 1
    assert roster.changed_count() is None
    roster.hear(entry("g2", "ann", "bob"), 0.0)
    assert roster.changed_count() == 2


def test_the_slowest_member_anywhere_counts() -> None:
    """The lead of a play command goes by the slowest round trip of all gateways."""
    roster = Roster("g1")
    roster.hear(entry("g1", "ann", rtt_ms=20.0), 0.0)
    roster.hear(entry("g2", "bob", rtt_ms=180.0), 0.0)

    assert roster.rtt_ms() == 180.0
    assert Roster("g1").rtt_ms() == 0.0


def test_one_at_two_gateways_is_one_who_buffers_if_he_does_anywhere() -> None:
    """Connections of a user are added up."""
    roster = Roster("g1")
    roster.hear(entry("g1", "ann"), 0.0)
    roster.hear(entry("g2", "ann", buffering=True), 0.0)

    found = roster.present()["ann"]

    assert (found.connections, found.buffering) == (2, True)


def test_one_gateway_speaks_for_each_who_is_here() -> None:
    """Of the gateways that have somebody the first one, once the room knows that he came."""
    gateways = Gateways("g1", "g2")
    gateways.hear(entry("g1", "ann"))
    gateways.hear(entry("g2", "ann", "bob"))
    g1, g2 = gateways.rosters.values()
    assert (set(g1.ours()), set(g2.ours())) == (set(), set())

    for roster in (g1, g2):
        for name in ("ann", "bob"):
            roster.heard_said(user(name), "joined")

    assert (set(g1.ours()), set(g2.ours())) == ({"ann"}, {"bob"})
