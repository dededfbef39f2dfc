"""Cursors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.errors import ErrorCode, Refused
from gateway.http.paging import cursor, cut, read_cursor


@given(st.integers(-(1 << 61), 1 << 61), st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True))
def test_a_cursor_reads_as_it_was_written(number: int, item: str) -> None:
    """And may stand in a URL."""
    text = cursor(number, item)

    assert read_cursor(text) == (number, item)
    assert text.replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=60))
def test_anything_else_is_invalid_or_a_position(text: str) -> None:
    """Nothing but a refusal, and no NUL for the database to choke on."""
    code, item = ErrorCode.INVALID, ""
    try:
        _, item = read_cursor(text)
    except Refused as exc:
        code = exc.code

    assert code is ErrorCode.INVALID
    assert "\0" not in item


@pytest.mark.parametrize(("rows", "more"), [(2, False), (3, True)])
def test_one_row_more_than_the_page_means_there_is_another(rows: int, more: bool) -> None:
    """The cursor is that of the last row shown."""
    page, after = cut(list(range(rows)), 2, lambda row: (row, "x"))

    assert page == (0, 1)
    assert after == (cursor(1, "x") if more else None)
