"""Token buckets."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.rate_limits import TokenBuckets


def test_a_burst_passes_and_then_one_waits_for_the_next_token() -> None:
    """Three at once of three a second; the fourth waits a third of a second."""
    buckets = TokenBuckets()

    waits = [buckets.take("a", 3, 3, 10.0) for _ in range(4)]

    assert waits == [0, 0, 0, 1 / 3]
    assert buckets.take("a", 3, 3, 10.4) == 0


def test_subjects_do_not_share() -> None:
    """One who floods costs another nothing."""
    buckets = TokenBuckets()
    buckets.take("a", 1, 1, 0.0)

    assert buckets.take("a", 1, 1, 0.0) > 0
    assert buckets.take("b", 1, 1, 0.0) == 0


def test_the_number_of_subjects_is_bounded() -> None:
    """The one idle longest is forgotten."""
    buckets = TokenBuckets(subjects_max=2)
    for subject in "abc":
        buckets.take(subject, 1, 1, 0.0)

    assert len(buckets) == 2
    assert buckets.take("a", 1, 1, 0.0) == 0


@given(st.lists(st.floats(min_value=0, max_value=5), min_size=1, max_size=200), st.integers(1, 20))
def test_never_more_pass_than_the_burst_and_the_rate_allow(steps: list[float], rate: int) -> None:
    """Whatever the pattern of arrivals."""
    buckets = TokenBuckets()
    now = passed = 0.0
    for step in steps:
        now += step
        passed += buckets.take("a", rate, rate, now) == 0

    assert passed <= rate + (now - steps[0]) * rate + 1e-6
