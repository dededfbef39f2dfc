"""Readiness."""

from runtime.health import Health


def test_ready_is_started_well_and_not_stopping() -> None:
    """Every fault is named; stopping and starting are faults too."""
    health = Health()
    well = [None, "NATS does not answer"]
    health.add("bus", lambda: well[0])

    starting = health.faults()
    health.started = True
    ready = health.faults()
    well.reverse()
    ill = health.faults()
    health.stopping = True
    stopping = health.faults()

    assert starting == {"lifecycle": "starting"}
    assert ready == {}
    assert ill == {"bus": "NATS does not answer"}
    assert stopping == {"bus": "NATS does not answer", "lifecycle": "stopping"}
