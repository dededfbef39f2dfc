"""How much of a room's chat is kept. Pure."""

from __future__ import annotations

from typing import Final

from bus_schemas.limits import CLIENT_ID_WINDOW_S

KEPT: Final = 500
"""Messages of a room that history reaches back to."""
PRUNE_EVERY: Final = 32
"""One stored message in so many pays for taking out old ones."""


def prune_due(number: int) -> bool:
    """Whether the message with this number is one that prunes."""
    return number % PRUNE_EVERY == 0


def forgettable_before(now_ms: int) -> int:
    """Epoch ms: older messages may go, and their `client_id` may be used again; younger ones make resends harmless."""
    return now_ms - CLIENT_ID_WINDOW_S * 1000
