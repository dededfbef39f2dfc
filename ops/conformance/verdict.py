"""What may come of looking: it is as the contract says, it is not, or it cannot be seen from outside."""

from __future__ import annotations

from typing import Final

SEEN_MAX: Final = 500


class Failed(Exception):
    """The server does not keep the contract: what that says, and what was seen instead."""

    def __init__(self, expected: str, seen: object) -> None:
        super().__init__(f"expected {expected}, saw {seen}")
        self.expected = expected
        text = seen if isinstance(seen, str) else repr(seen)
        self.seen = text if len(text) <= SEEN_MAX else f"{text[:SEEN_MAX]}…"


class Skipped(Exception):
    """It cannot be decided from outside on this server: why."""


def expect(holds: object, expected: str, seen: object) -> None:
    """Raises `Failed` unless it holds."""
    if not holds:
        raise Failed(expected, seen)
