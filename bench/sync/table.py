"""`matinee bench sync`: the simulated evening with every scheme, one table a round trip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from bench.sync.matinee import Matinee
from bench.sync.simulation import CONVERGED_S, NEVER_S, SCHEMES, Figures, simulate
from bench.sync.world import Conditions
from bench.tables import Table

CONDITIONS: Final = (Conditions(20.0, 10.0), Conditions(100.0, 50.0), Conditions(300.0, 100.0))
PROMISED: Final = CONDITIONS[1]
"""Under these the promises below are kept."""
P95_MS: Final = 20.0
SEEKS_PER_HOUR: Final = 1.0
CONVERGENCE_S: Final = 2.0
ALIKE: Final = {"stall s/h": 0.2, "hard seeks/h": 0.1}
"""Nearer than this is alike. Stalls come from outside and are the same for all; one seek in ten hours answers a stall
of over three seconds, which a scheme without any such seek leaves standing for good."""

_COLUMNS: Final = (
    "scheme", "p50 ms", "p95 ms", "p99 ms", "hard seeks/h", "stall s/h", "play s", "seek s", "join s", "wake s",
)  # fmt: skip


def broken(figures: Figures) -> list[str]:
    """What of the promises was not kept."""
    found = []
    if figures.error(0.95) > P95_MS:
        found.append(f"p95 error {figures.error(0.95):.1f} ms, promised {P95_MS:g}")
    if figures.seeks_per_hour > SEEKS_PER_HOUR:
        found.append(
            f"{figures.seeks_per_hour:.2f} hard seeks per member and hour, promised {SEEKS_PER_HOUR:g}"
        )
    if figures.convergence("seek") > CONVERGENCE_S:
        found.append(f"together {figures.convergence('seek'):.2f} s after a seek, promised {CONVERGENCE_S:g}")
    return found


def columns(figures: Figures) -> dict[str, float]:
    """The figures under the names of the table; less is better in each."""
    values = [
        *(figures.error(share) for share in (0.5, 0.95, 0.99)), figures.seeks_per_hour, figures.stall_per_hour,
        *(figures.convergence(what) for what in ("play", "seek", "join", "wake")),
    ]  # fmt: skip
    return dict(zip(_COLUMNS[1:], values, strict=True))


def beaten(ours: Figures, other: Figures) -> Iterator[str]:
    """The columns in which the other one is better than we."""
    theirs = columns(other)
    for name, value in columns(ours).items():
        if value > theirs[name] + ALIKE.get(name, 0.0):
            yield f"{name}: {value:.3g} against {theirs[name]:.3g}"


def _cell(name: str, value: float) -> str:
    if name.endswith(" s") and value >= NEVER_S:
        return f"> {NEVER_S:g}"
    return f"{value:.1f}" if name.endswith("ms") else f"{value:.2f}"


def run(*, members: int = 20, seconds: float = 3_600.0, seed: int = 1) -> Sequence[Table]:
    """The tables; failures where a promise was broken or a baseline does better."""
    tables = []
    for conditions in CONDITIONS:
        table = Table(
            f"Everybody on the same frame, simulated: round trip {conditions.rtt_ms:g} ± {conditions.jitter_ms:g} ms",
            _COLUMNS,
        )
        table.conditions += [
            f"{members} members, {seconds:g} s, seed {seed}; clocks wrong by up to {conditions.skew_ms / 60_000:g} min "
            f"and {conditions.drift_ppm:g} ppm, loss {conditions.loss:.0%}, "
            f"{conditions.stalls_per_hour:g} stalls per member and hour",
            "late joins, lost connections, machines that sleep a minute; play, pause and seeks",
            "error: true position against the room's own, from 10 s after a command, join or waking",
            "hard seeks: beyond the one that a command, join or waking asks for; stall: beyond their first 2 s",
            f"play, seek, join, wake: p95 until within {CONVERGED_S * 1_000:g} ms for a second on end",
        ]
        results = {
            scheme: simulate(scheme, conditions, members=members, seconds=seconds, seed=seed)
            for scheme in SCHEMES
        }
        for scheme, figures in results.items():
            cells = [_cell(name, value) for name, value in columns(figures).items()]
            table.add(scheme.name, *cells)
        if conditions is PROMISED:
            table.failures += broken(results[Matinee])
            for scheme, figures in results.items():
                table.failures += [
                    f"{scheme.name} is better in {what}" for what in beaten(results[Matinee], figures)
                ]
        tables.append(table)
    return tables
