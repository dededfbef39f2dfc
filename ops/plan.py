"""Which processes run, on which ports, with which settings: decided before anything starts."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.errors import OperatorError

PROJECT = Path(__file__).resolve().parent.parent

MODULES: dict[str, str] = {
    "gateway": "gateway",
    "ingest": "workers.ingest",
    "transmux": "workers.transmux",
    "sync": "workers.sync",
    "chat": "workers.chat",
}
"""Each kind of process and the module that runs it."""

EDGES = ("gateway", "ingest")
"""Kinds that the world connects to: they are drained first, while those behind them still answer."""

MOST_OF_A_KIND = 64


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """One process of ours."""

    kind: str
    name: str
    """`gateway-1`: kind and number, the same after every restart."""
    metrics_port: int
    own_port: int = 0
    """A gateway's port of its own; 0 for the other kinds."""


def parse_scale(text: str) -> dict[str, int]:
    """How many of each kind: `gateway=2,sync=2` gives 2, 2 and 1 of each other.

    Raises OperatorError for an unknown kind or a number outside 0 to 64.
    """
    scale = dict.fromkeys(MODULES, 1)
    for part in filter(None, (word.strip() for word in text.split(","))):
        kind, _, number = (word.strip() for word in part.partition("="))
        if kind not in MODULES:
            raise OperatorError(
                f"--scale names {kind!r}, which is none of {', '.join(MODULES)}: correct the name."
            )
        if not (number.isascii() and number.isdigit() and int(number) <= MOST_OF_A_KIND):
            raise OperatorError(
                f"--scale {part!r} needs a number from 0 to {MOST_OF_A_KIND}, as in {kind}=2."
            )
        scale[kind] = int(number)
    return scale


def command_of(module: str, *arguments: str) -> tuple[str, ...]:
    """How a module of ours is run by the interpreter that runs us."""
    return (sys.executable, "-m", module, *arguments)


def environment_of(
    plan: ProcessPlan, inherited: Mapping[str, str], shared: Mapping[str, str]
) -> dict[str, str]:
    """The environment of one process: what we inherited, what all share, what is its own."""
    own = {"MATINEE_NODE": plan.name, "MATINEE_METRICS__PORT": str(plan.metrics_port)}
    if plan.own_port:
        own["MATINEE_GATEWAY__OWN_PORT"] = str(plan.own_port)
    return {**python_environment(inherited), **shared, **own}


def python_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The inherited environment such that our modules are found, whatever folder the operator is in."""
    environment = {name: value for name, value in inherited.items() if name != "MATINEE_DATA"}
    return {**environment, "PYTHONPATH": str(PROJECT), "PYTHONSAFEPATH": "1"}
