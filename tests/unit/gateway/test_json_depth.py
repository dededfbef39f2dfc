"""How deep JSON is nested."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.json_depth import deeper_than


def depth(value: Any) -> int:
    """The plain way."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def test_brackets_in_strings_do_not_count() -> None:
    """Nor after an escaped quote."""
    assert not deeper_than(json.dumps(["[" * 50, '"[[[' * 20, "\\"]).encode(), 1)


@pytest.mark.parametrize("brackets", [32, 33])
def test_33_levels_are_one_too_many(brackets: int) -> None:
    """The limit itself is allowed."""
    assert deeper_than(b"[" * brackets + b"]" * brackets, 32) == (brackets > 32)


values = st.recursive(
    st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(values, st.integers(0, 6))
def test_it_agrees_with_the_parsed_value(value: Any, limit: int) -> None:
    """For any JSON."""
    assert deeper_than(json.dumps(value).encode(), limit) == (depth(value) > limit)


@given(st.binary())
def test_any_bytes_get_an_answer(body: bytes) -> None:
    """Garbage included."""
    assert deeper_than(body, 2) in (True, False)
