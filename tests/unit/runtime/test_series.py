"""Series per stream whose number is bounded."""

from runtime.metrics import Metrics
from runtime.series import OTHER, StreamSeries, greatest

NAMES = ("matinee_stream_bitrate_bps", "matinee_stream_fps")


def shown(metrics: Metrics, name: str) -> dict[str, float]:
    """The family's samples by stream."""
    return {
        sample.labels["stream"]: sample.value
        for family in metrics.registry.collect()
        if family.name == name
        for sample in family.samples
    }


def test_the_greatest_stand_for_themselves_and_the_rest_is_summed() -> None:
    """Nothing is lost from the sums."""
    values = {f"s{number}": (float(number), 1.0) for number in range(10)}

    kept, rest = greatest(values, 3)

    assert kept == {"s9": (9.0, 1.0), "s8": (8.0, 1.0), "s7": (7.0, 1.0)}
    assert rest == (21.0, 7.0)


def test_few_streams_have_no_others() -> None:
    """A sum of nothing is no series."""
    assert greatest({"s": (1.0,)}, 1) == ({"s": (1.0,)}, None)
    assert greatest({}, 0) == ({}, None)


def test_a_series_goes_with_its_stream() -> None:
    """After a hundred thousand names there are as many series as streams now."""
    metrics = Metrics()
    series = StreamSeries(metrics, 2, NAMES)
    for number in range(1_000):
        series.show({f"s{number}": (1.0, 2.0)})
    series.show({"a": (5.0, 25.0), "b": (4.0, 30.0), "c": (3.0, 50.0)})
    crowded = shown(metrics, NAMES[0])

    series.show({"a": (5.0, 25.0)})

    assert crowded == {"a": 5.0, "b": 4.0, OTHER: 3.0}
    assert shown(metrics, NAMES[0]) == {"a": 5.0}
    assert shown(metrics, NAMES[1]) == {"a": 25.0}
    series.show({})
    assert shown(metrics, NAMES[0]) == {}
