"""How many may watch from one address."""

import pytest

from bus_schemas.errors import ErrorCode, Refused
from gateway.live.audience import ViewersPerAddress


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
