"""A case: one sentence of the contract, and what shows that a server keeps it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from ops.conformance.world import World

Outcome = Literal["ok", "FAIL", "skip"]


@dataclass(frozen=True, slots=True)
class Case:
    """A named case; `slow` ones take tens of seconds and run beside the others."""

    name: str
    sentence: str
    check: Callable[[World], Awaitable[None]]
    slow: bool = False


def cases(*checks: Callable[[World], Awaitable[None]], slow: bool = False) -> tuple[Case, ...]:
    """Cases of these functions: the name is the function's, the sentence its docstring."""
    return tuple(
        Case(
            check.__name__.replace("_", "-"),
            (inspect.getdoc(check) or "").replace("\n", " "),
            check,
            slow=slow,
        )
        for check in checks
    )


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case."""

    case: Case
    outcome: Outcome
    seconds: float
    expected: str = ""
    seen: str = ""
    """What was seen where it failed; the reason where it was skipped."""
