"""The takeover limit and the hash of keys."""

import pytest

from workers.ingest.registry import key_hash, may_take_over


@pytest.mark.parametrize(
    ("takeovers", "now", "allowed"),
    [
        ((), 0, True),
        ((1_000, 5_000), 6_000, True),
        ((1_000, 5_000, 9_000), 10_000, False),
        ((1_000, 5_000, 9_000), 38_999, False),
        ((1_000, 5_000, 9_000), 39_000, True),
        ((1_000, 5_000, 40_000), 41_000, True),
        ((0, 31_000, 35_000, 40_000), 41_000, False),
    ],
)
def test_three_takeovers_in_half_a_minute_are_enough(
    takeovers: tuple[int, ...], now: int, allowed: bool
) -> None:
    """The newcomer after them waits until 30 s have passed since the last."""
    assert may_take_over(takeovers, now, 3) is allowed


def test_keys_are_looked_up_by_their_hash() -> None:
    """SHA-256 in hexadecimal, as the gateway writes it."""
    assert key_hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
