"""Series per stream with a bound: the greatest have their own, the rest are summed as `other`.

A series goes when its stream does; the number of them never depends on how many names there have been.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Final

from runtime.metrics import Metrics

OTHER: Final = "other"
"""No stream has this name: an id is longer."""


def greatest(
    values: Mapping[str, tuple[float, ...]], limit: int
) -> tuple[dict[str, tuple[float, ...]], tuple[float, ...] | None]:
    """The `limit` streams with the greatest first value, and the sum of the rest; None where there is no rest."""
    if len(values) <= limit:
        return dict(values), None
    chosen = heapq.nlargest(limit, values.items(), key=lambda item: (item[1], item[0]))
    kept = dict(chosen)
    rest = [row for stream, row in values.items() if stream not in kept]
    return kept, tuple(map(sum, zip(*rest, strict=True)))


class StreamSeries:
    """Gauges with one label, `stream`, of these names, shown together."""

    def __init__(self, metrics: Metrics, limit: int, names: tuple[str, ...]) -> None:
        self._gauges = [metrics.gauge(name) for name in names]
        self._limit = limit
        self._shown: set[str] = set()

    def show(self, values: Mapping[str, tuple[float, ...]]) -> None:
        """These are the streams there are, with a value for each gauge."""
        rows, rest = greatest(values, self._limit)
        if rest is not None:
            rows[OTHER] = rest
        for stream in self._shown - rows.keys():
            for gauge in self._gauges:
                gauge.remove(stream)
        for stream, row in rows.items():
            for gauge, value in zip(self._gauges, row, strict=True):
                gauge.labels(stream).set(value)
        self._shown = set(rows)
