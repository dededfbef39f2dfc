"""Percentiles and the one table each benchmark prints."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def machine() -> str:
    """The processor and how many of it, the system, Python."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} × {model}, {platform.system()} {platform.release()}, Python {platform.python_version()}"


@dataclass
class Table:
    """Conditions, then rows of figures."""

    title: str
    columns: tuple[str, ...]
    conditions: list[str] = field(default_factory=list)
    rows: list[tuple[str, ...]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What broke a promise: printed last, and the exit code is 1."""

    def add(self, *cells: object) -> None:
        """One row; floats get three significant figures."""
        self.rows.append(tuple(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells))

    def __str__(self) -> str:
        rows = [self.columns, *self.rows]
        widths = [max(len(row[at]) for row in rows) for at in range(len(self.columns))]
        lines = [f"## {self.title}", "", f"{time.strftime('%Y-%m-%d')}, {machine()}"]
        lines += [f"- {condition}" for condition in self.conditions]
        lines.append("")
        for number, row in enumerate(rows):
            lines.append(
                "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
            )
            if number == 0:
                lines.append("|" + "|".join("-" * (width + 2) for width in widths) + "|")
        lines += ["", *(f"FAILED: {failure}" for failure in self.failures)]
        return "\n".join(lines).rstrip() + "\n"
