"""The conformance script, as far as no server is wanted: choosing, telling, golden frames, looking at shapes."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bus_schemas.socket_examples import Example, examples
from bus_schemas.socket_frames import EVENTS, FRAMES, MOMENTS
from ops.conformance.case import Result
from ops.conformance.run import CASES, chosen, line, report, summary
from ops.conformance.shapes import fault_in_frame
from ops.conformance_cli import add_conformance, write_frames

FROM_SERVERS = [one for one in examples() if one.sender == "server"]


def results() -> list[Result]:
    return [
        Result(CASES[0], "ok", 0.25),
        Result(CASES[1], "FAIL", 1.0, "a seq", "none"),
        Result(CASES[2], "skip", 0.0, seen="limits are off"),
    ]


def run(*words: str) -> tuple[int, str]:
    app = typer.Typer()
    add_conformance(app)
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.output


def test_every_case_has_a_name_of_its_own_and_a_sentence() -> None:
    """Names are what `--only` takes; sentences are what is promised."""
    names = [case.name for case in CASES]

    assert len(set(names)) == len(names) >= 70
    assert all(case.sentence.endswith(".") and "\n" not in case.sentence for case in CASES)


def test_cases_are_chosen_by_a_part_of_their_name() -> None:
    """Any of the words; all without one; the slow ones are left out where one is in a hurry."""
    assert {case.name for case in chosen(["token-by"], quick=False)} == {
        "token-by-header", "token-by-query", "token-by-subprotocol",
    }  # fmt: skip
    assert chosen([], quick=False) == CASES
    assert {case.name for case in CASES} - {case.name for case in chosen([], quick=True)} == {
        case.name for case in CASES if case.slow
    }
    assert chosen(["no-such-case"], quick=False) == ()


def test_what_came_of_a_case_is_told_in_a_line_and_in_json() -> None:
    """A failure says what is promised, what was expected and what was seen; a skip says why."""
    passed, failed, skipped = map(line, results())
    whole = json.loads(report("http://x", results()))

    assert passed == f"ok    {CASES[0].name}"
    assert failed.startswith(f"FAIL  {CASES[1].name}: {CASES[1].sentence}")
    assert "expected: a seq" in failed
    assert "seen:     none" in failed
    assert skipped == f"skip  {CASES[2].name}: limits are off"
    assert summary(results()) == {"passed": 1, "failed": 1, "skipped": 1}
    assert [case["outcome"] for case in whole["cases"]] == ["ok", "fail", "skip"]
    assert whole["cases"][1]["expected"] == "a seq"


@pytest.mark.parametrize("example", FROM_SERVERS, ids=lambda one: one.name)
def test_a_right_frame_has_no_fault(example: Example) -> None:
    """Nor has one with a field that a newer server adds, or of a type that is not known here."""
    frame = json.loads(example.text)
    newer = {**frame, "since_version": 2}

    assert fault_in_frame(frame, example.text) == ""
    assert fault_in_frame(newer, json.dumps(newer)) == ""
    assert fault_in_frame({"type": "of-tomorrow"}, '{"type":"of-tomorrow"}') == ""


def test_examples_of_servers_are_of_every_type() -> None:
    """So that the test above is of all of them."""
    assert {one.kind for one in FROM_SERVERS} == {*FRAMES, *EVENTS, *MOMENTS}


@pytest.mark.parametrize("example", FROM_SERVERS, ids=lambda one: one.name)
def test_a_frame_that_lacks_something_has_a_fault(example: Example) -> None:
    """Every field that is always there is missed, and one of another type is seen."""
    optional = (
        {"id", "room", "retry_after", "state", "message"} if example.kind in ("ack", "error") else {"id"}
    )
    missed = []
    for name in json.loads(example.text):
        if name == "type":
            continue
        frame = json.loads(example.text)
        frame[name] = [[]]
        assert fault_in_frame(frame, json.dumps(frame)), name
        del frame[name]
        if not fault_in_frame(frame, json.dumps(frame)):
            missed.append(name)

    defaulted = {"by", "duration", "item", "items", "undo", "removed", "reason", "client_id"}
    assert set(missed) <= optional | defaulted
    if example.kind in EVENTS:
        assert "seq" not in missed


@pytest.mark.parametrize("text", ["[]", "1", '"type"', "{}", '{"type": 7}'])
def test_what_is_no_frame_has_a_fault(text: str) -> None:
    """A frame is an object with a type."""
    assert fault_in_frame(json.loads(text), text)


def test_golden_frames_are_written_to_files(tmp_path: Path) -> None:
    """Each with its sender, whether it is right, and why it is not; as they stand on the wire."""
    code, output = run("--frames", str(tmp_path / "frames"))
    files = {path.name: json.loads(path.read_text()) for path in (tmp_path / "frames").iterdir()}

    assert code == 0
    assert len(files) == len(list(examples())) == write_frames(tmp_path / "again")
    assert str(len(files)) in output
    assert files["client-join.json"] == {
        "sender": "client", "valid": True, "text": '{"type": "join", "id": "a1", "room": "k3v9w2"}',
    }  # fmt: skip
    assert files["client-seek-nowhere.json"]["fault"] == "seek wants position"


def test_the_command_lists_its_cases_and_wants_a_server() -> None:
    """`--list` checks nothing; without an address, or with words that name no case, a sentence says what to do."""
    code, output = run("--list", "--only", "resum")

    assert code == 0
    assert output.splitlines()[0].startswith("resuming-gives-exactly-what-was-missed: ")
    assert run()[0] == 1
    assert run("http://127.0.0.1:1", "--only", "no-such-case")[0] == 1
