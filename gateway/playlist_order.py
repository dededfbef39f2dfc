"""Positions of a playlist's items: integers with gaps, so that a move rewrites one row. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

STEP: Final = 1_024
POSITION_MAX: Final = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an item goes, and the new positions of the others where the gap was used up."""

    position: int
    others: dict[str, int]


def place(siblings: Sequence[tuple[str, int]], before: str | None) -> Placement:
    """A position in front of `before`, or at the end; `siblings` are ids and positions in order.

    The item placed is not among them. Raises KeyError if `before` is not.
    """
    if before is None:
        index = len(siblings)
    else:
        index = next((n for n, (item, _) in enumerate(siblings) if item == before), -1)
        if index < 0:
            raise KeyError(before)
    if index == len(siblings):
        position = siblings[-1][1] + STEP if siblings else STEP
        if position <= POSITION_MAX:
            return Placement(position, {})
    else:
        low = siblings[index - 1][1] if index else siblings[0][1] - 2 * STEP
        high = siblings[index][1]
        if high - low >= 2 and low >= -POSITION_MAX:
            return Placement((low + high) // 2, {})
    ids = [item for item, _ in siblings]
    others = {item: (n + 1 if n < index else n + 2) * STEP for n, item in enumerate(ids)}
    return Placement((index + 1) * STEP, others)
