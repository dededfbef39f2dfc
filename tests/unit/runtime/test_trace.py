"""W3C trace context."""

import contextvars

import pytest

from runtime import trace

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_trace_goes_on_under_its_id() -> None:
    """The same trace, the same flags, a span of its own."""
    value = trace.enter(GIVEN)

    assert value[:36] == GIVEN[:36]
    assert value[36:52] != GIVEN[36:52]
    assert value[52:] == "-01"
    assert trace.trace_id() == "0af7651916cd43dd8448eb211c80319c"
    assert trace.current() == value


@pytest.mark.parametrize(
    "header",
    [
        None, "", "nonsense", GIVEN.upper(), GIVEN[:-1], GIVEN + "0", "01" + GIVEN[2:],
        "00-" + "0" * 32 + GIVEN[35:], GIVEN[:36] + "0" * 16 + GIVEN[52:], GIVEN + "\r\nx: y",
    ],
)  # fmt: skip
def test_a_header_that_is_none_begins_a_trace(header: str | None) -> None:
    """What a stranger sends is continued only if it is a traceparent."""
    value = trace.enter(header)

    assert value != header
    assert trace.trace_id() != "0af7651916cd43dd8448eb211c80319c"


def test_a_context_without_a_trace_has_none_until_it_is_asked_for() -> None:
    """`trace_id` begins nothing, `current` does."""

    def fresh() -> tuple[str | None, str, str | None]:
        return trace.trace_id(), trace.current(), trace.trace_id()

    before, value, after = contextvars.Context().run(fresh)

    assert before is None
    assert value[3:35] == after
