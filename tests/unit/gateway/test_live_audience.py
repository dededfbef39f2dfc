"""How many watch."""

import pytest

from bus_schemas.errors import ErrorCode, Refused
from gateway.live.audience import CLIENTS_MAX, LATELY_S, RecentClients, ViewersPerAddress


def test_a_client_counts_once_however_often_it_asks() -> None:
    """Five playlist requests a second are one viewer."""
    clients = RecentClients()
    for number in range(50):
        clients.see(1, number * 0.2)
    clients.see(2, 9.0)

    assert clients.count(10.0) == 2


def test_who_asked_long_ago_is_gone() -> None:
    """A player that stopped is no viewer, one that goes on is."""
    clients = RecentClients()
    clients.see(1, 0.0)
    clients.see(2, 1.0)
    clients.see(1, LATELY_S)

    assert clients.count(LATELY_S + 2) == 1
    assert clients.count(2 * LATELY_S + 1) == 0


def test_clients_are_bounded() -> None:
    """Made-up clients cannot fill the memory."""
    clients = RecentClients()
    for number in range(CLIENTS_MAX + 100):
        clients.see(number, 1.0)

    assert clients.count(1.0) == CLIENTS_MAX


def test_an_address_may_hold_so_many_connections_and_no_more() -> None:
    """One more is refused with a time to try again; one that left makes room."""
    viewers = ViewersPerAddress(2)
    viewers.enter("a")
    viewers.enter("a")
    viewers.enter("b")

    with pytest.raises(Refused) as refused:
        viewers.enter("a")
    viewers.leave("a")
    viewers.enter("a")

    assert refused.value.code is ErrorCode.RATE_LIMITED
    assert refused.value.retry_after


def test_without_a_limit_nobody_is_refused() -> None:
    """Benchmarks come from one address."""
    viewers = ViewersPerAddress(0)
    for _ in range(10_000):
        viewers.enter("a")
