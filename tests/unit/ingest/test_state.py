"""The table of states."""

from workers.ingest.rtmp.state import TRANSITIONS, Act, State


def test_a_failed_connection_stays_failed() -> None:
    """Nothing leads out of FAILED, and every state leads there."""
    assert all(TRANSITIONS[state, Act.FAIL] is State.FAILED for state in State)
    assert {act for state, act in TRANSITIONS if state is State.FAILED} == {Act.FAIL}


def test_every_state_can_be_reached() -> None:
    """No state of the enumeration is dead."""
    reached = {State.HANDSHAKE}
    for _ in State:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}
    assert reached == set(State)
