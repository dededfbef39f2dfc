"""The bitrate limit."""

from workers.ingest.bitrate import PATIENCE_S, BitrateLimit


def test_a_burst_within_the_average_passes() -> None:
    """Five seconds' worth at once, then the rate itself."""
    limit = BitrateLimit(1_000, 0.0)

    assert limit.spend(5_000, 0.0) == 0
    assert limit.spend(1_000, 1.0) == 0
    assert not limit.broken(60.0)


def test_what_is_overspent_is_waited_for() -> None:
    """As long as the budget needs, at most a second at a time."""
    limit = BitrateLimit(1_000, 0.0)

    assert limit.spend(5_500, 0.0) == 0.5
    assert limit.spend(9_000, 0.0) == 1.0


def test_pushing_against_the_limit_for_long_breaks_it() -> None:
    """Twice the rate: slowed down, and after the patience is over, broken."""
    limit = BitrateLimit(1_000, 0.0)
    when = [
        second for second in range(60) if limit.spend(2_000, float(second)) and limit.broken(float(second))
    ]

    assert PATIENCE_S <= when[0] <= PATIENCE_S + 6


def test_a_pause_is_forgiven() -> None:
    """Half of the budget regained: patience begins anew."""
    limit = BitrateLimit(1_000, 0.0)
    limit.spend(6_000, 0.0)
    limit.spend(10, 10.0)

    assert not limit.broken(100.0)
