"""How much of a room's chat is kept."""

from bus_schemas.limits import CLIENT_ID_WINDOW_S
from workers.chat.history import PRUNE_EVERY, forgettable_before, prune_due


def test_one_message_in_so_many_prunes() -> None:
    """Pruning costs every message the same small part."""
    assert sum(prune_due(number) for number in range(1, 10 * PRUNE_EVERY + 1)) == 10


def test_nothing_is_forgotten_within_its_day() -> None:
    """So long a resend is recognised."""
    now = 1_790_000_000_000

    assert now - forgettable_before(now) == CLIENT_ID_WINDOW_S * 1_000
