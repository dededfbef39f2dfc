"""Which processes run, and with which environment."""

import pytest

from ops.errors import OperatorError
from ops.plan import MODULES, ProcessPlan, environment_of, parse_scale


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("", {}),
        ("gateway=2,sync=2", {"gateway": 2, "sync": 2}),
        (" gateway = 2 , chat=0,", {"gateway": 2, "chat": 0}),
    ],
)
def test_scale_changes_what_it_names(text: str, changed: dict[str, int]) -> None:
    """Kinds that are not named run once."""
    assert parse_scale(text) == {**dict.fromkeys(MODULES, 1), **changed}


@pytest.mark.parametrize(
    "text", ["gatway=2", "gateway", "gateway=-1", "gateway=two", "gateway=65", "gateway=²", "=1"]
)
def test_a_wrong_scale_is_told_in_one_sentence(text: str) -> None:
    """It names what was wrong and what to write."""
    with pytest.raises(OperatorError, match=r"^--scale .*\.$"):
        parse_scale(text)


def test_a_process_gets_its_own_settings_over_the_shared_over_the_inherited() -> None:
    """What the supervisor decided wins over the operator's environment."""
    plan = ProcessPlan("gateway", "gateway-1", metrics_port=9001, own_port=9002)
    inherited = {
        "PATH": "/bin",
        "MATINEE_NATS_URL": "theirs",
        "MATINEE_METRICS__PORT": "1",
        "MATINEE_CHAT__X": "y",
    }

    environment = environment_of(plan, inherited, {"MATINEE_NATS_URL": "ours"})

    assert environment["MATINEE_NATS_URL"] == "ours"
    assert environment["MATINEE_METRICS__PORT"] == "9001"
    assert environment["MATINEE_GATEWAY__OWN_PORT"] == "9002"
    assert environment["MATINEE_NODE"] == "gateway-1"
    assert environment["MATINEE_CHAT__X"] == "y"
    assert environment["PATH"] == "/bin"


def test_the_command_lines_own_variable_does_not_reach_a_process() -> None:
    """A process would refuse MATINEE_DATA as a setting that does not exist."""
    environment = environment_of(ProcessPlan("chat", "chat-1", 9001), {"MATINEE_DATA": "/srv"}, {})

    assert "MATINEE_DATA" not in environment
    assert "MATINEE_GATEWAY__OWN_PORT" not in environment
