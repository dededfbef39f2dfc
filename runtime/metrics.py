"""Prometheus metrics by the names of `bus_schemas.metrics`, and no others."""

from __future__ import annotations

import asyncio
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from bus_schemas.metrics import METRICS, MetricSpec

_BY_NAME: Final[dict[str, MetricSpec]] = {spec.name: spec for spec in METRICS}


class Metrics:
    """The metrics of one process; each family is made when first asked for."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._made: dict[str, Counter | Gauge | Histogram] = {}

    def counter(self, name: str) -> Counter:
        """The counter of that name; KeyError for one that is not declared."""
        made = self._made.get(name) or self._make(Counter, name, "counter")
        assert isinstance(made, Counter)
        return made

    def gauge(self, name: str) -> Gauge:
        """The gauge of that name; KeyError for one that is not declared."""
        made = self._made.get(name) or self._make(Gauge, name, "gauge")
        assert isinstance(made, Gauge)
        return made

    def histogram(self, name: str) -> Histogram:
        """The histogram of that name; KeyError for one that is not declared."""
        made = self._made.get(name) or self._make(Histogram, name, "histogram")
        assert isinstance(made, Histogram)
        return made

    def _make(
        self, family: type[Counter | Gauge | Histogram], name: str, kind: str
    ) -> Counter | Gauge | Histogram:
        spec = _BY_NAME[name]
        if spec.kind != kind:
            raise KeyError(f"{name} is a {spec.kind}, not a {kind}")
        made: Counter | Gauge | Histogram
        if family is Histogram:
            made = Histogram(name, spec.help, spec.labels, buckets=spec.buckets, registry=self.registry)
        else:
            made = family(name, spec.help, spec.labels, registry=self.registry)
        self._made[name] = made
        return made

    def render(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


async def watch_loop_lag(metrics: Metrics, interval_s: float = 0.5) -> None:
    """Measure, for ever, how late the loop runs a timer."""
    gauge = metrics.gauge("matinee_loop_lag_seconds")
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + interval_s
        await asyncio.sleep(interval_s)
        gauge.set(max(0.0, loop.time() - due))
