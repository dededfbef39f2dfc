"""The sync core's copy in Python against the file that the browser's core is held to."""

import json

from bench.sync.vectors import FILE, generate


def test_the_file_of_vectors_is_what_this_copy_of_the_sync_core_answers() -> None:
    """The same inputs give the same actions and numbers as in the file, which the browser's tests read too."""
    written = json.loads(FILE.read_text("utf-8"))

    assert json.loads(json.dumps(generate())) == written


def test_the_vectors_leave_no_part_of_the_controller_out() -> None:
    """Every phase and every kind of action occurs somewhere in the file."""
    calls = [call for case in generate()["controller"] for call in case["calls"] if call["call"] == "decide"]

    phases = {call["answer"]["phase"] for call in calls}
    kinds = {action[0] for call in calls for action in call["answer"]["actions"]}
    assert phases == {
        "idle", "following", "paused", "holding", "waiting", "not_yet", "gone", "ended", "gave_up"
    }  # fmt: skip
    assert kinds == {"rate", "seek", "play", "pause"}
