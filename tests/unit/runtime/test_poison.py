"""What becomes of a message whose handler failed."""

import pytest

from bus_schemas.streams import CONSUMERS, SYNC_CONSUMER, TRANSMUX_CONSUMER, ConsumerSpec
from runtime.poison import REASON_MAX, Retry, SetAside, Unreadable, verdict


def test_each_failure_waits_for_its_own_backoff() -> None:
    """The n-th failed delivery waits the n-th time; the last is set aside."""
    error = RuntimeError("away")

    decided = [verdict(error, delivery, SYNC_CONSUMER) for delivery in range(1, 6)]

    assert decided == [
        Retry(0.05),
        Retry(0.2),
        Retry(0.5),
        Retry(1.0),
        SetAside("failed", "RuntimeError: away"),
    ]


def test_what_cannot_be_read_is_never_tried_again() -> None:
    """It will not get better."""
    decided = verdict(Unreadable("v: must be 1"), 1, SYNC_CONSUMER)

    assert decided == SetAside("unreadable", "v: must be 1")


def test_what_may_be_delivered_for_ever_is_not_set_aside() -> None:
    """A job without a limit waits for its lease to run out."""
    assert verdict(RuntimeError(), 10_000, TRANSMUX_CONSUMER) == Retry(TRANSMUX_CONSUMER.ack_wait_s)


def test_a_reason_is_short() -> None:
    """An error can be as long as the message that caused it."""
    decided = verdict(Unreadable("x" * 100_000), 1, SYNC_CONSUMER)

    assert isinstance(decided, SetAside)
    assert len(decided.reason) == REASON_MAX


@pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda consumer: consumer.name)
def test_no_consumer_retries_at_once(consumer: ConsumerSpec) -> None:
    """A failing part behind is given time."""
    for delivery in range(1, 20):
        decided = verdict(RuntimeError(), delivery, consumer)
        assert isinstance(decided, SetAside) or decided.delay_s >= 0.05
