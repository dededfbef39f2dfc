"""What hooks are told of a publisher, and what their answer makes of his key."""

from bus_schemas.messages.live import StreamKey, StreamLimits
from runtime.hook_reply import HookAnswer
from workers.ingest.admission import PublishAttempt
from workers.ingest.publish_hooks import as_answered, facts_of

KEY = StreamKey(stream="s1", room="r1", owner="u1", limits=StreamLimits(viewers=9))


def test_an_answer_that_says_nothing_changes_nothing() -> None:
    """The key's own value, limits and room included."""
    assert as_answered(KEY, HookAnswer(code=0)) == KEY


def test_a_renamed_stream_is_not_in_the_keys_room() -> None:
    """The same name again is no renaming."""
    renamed = as_answered(KEY, HookAnswer(code=0, stream="s2"))

    assert (renamed.stream, renamed.room, renamed.owner) == ("s2", None, "u1")
    assert as_answered(KEY, HookAnswer(code=0, stream="s1")).room == "r1"


def test_title_and_limits_are_the_answers() -> None:
    """In place of the key's own."""
    limits = StreamLimits(bitrate_kbps=500)

    changed = as_answered(KEY, HookAnswer(code=0, title="Show", limits=limits))

    assert (changed.title, changed.limits) == ("Show", limits)


def test_facts_are_short_and_text() -> None:
    """Whatever an encoder sends can be written as JSON."""
    attempt = PublishAttempt(
        connection="n1-aa", address="10.0.0.1", secure=True, encoder="x\udcff" + "y" * 2_000, app="live",
        query="pass=1&user=a", key=KEY,
    )  # fmt: skip

    facts = facts_of(attempt)

    assert facts["param"] == "?pass=1&user=a"
    assert facts["protocol"] == "rtmps"
    assert facts["stream_url"] == "/live/s1"
    assert all(len(str(value).encode()) <= 2_000 for value in facts.values())
