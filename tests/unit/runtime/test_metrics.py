"""Metrics by their declared names."""

import pytest

from bus_schemas.metrics import METRICS
from runtime.metrics import Metrics


def test_every_declared_metric_can_be_made() -> None:
    """By its kind, once; asked for again it is the same one."""
    metrics = Metrics()

    for spec in METRICS:
        make = getattr(metrics, spec.kind)
        assert make(spec.name) is make(spec.name)
    for spec in METRICS:
        assert f"# HELP {spec.name.removesuffix('_total')}" in metrics.render().decode()


def test_a_name_that_is_not_declared_is_refused() -> None:
    """Dashboards rely on the list; so does a kind."""
    with pytest.raises(KeyError):
        Metrics().counter("matinee_surprise_total")
    with pytest.raises(KeyError):
        Metrics().gauge("matinee_handled_total")


@pytest.mark.parametrize("spec", METRICS, ids=lambda spec: spec.name)
def test_names_follow_the_convention(spec: object) -> None:
    """Counters end in _total, and only they do; histograms have buckets, and only they do."""
    name, kind, buckets = (getattr(spec, field) for field in ("name", "kind", "buckets"))

    assert name.startswith("matinee_")
    assert name.endswith("_total") == (kind == "counter")
    assert bool(buckets) == (kind == "histogram")
