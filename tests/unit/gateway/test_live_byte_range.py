"""Byte ranges of media that is wholly there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.live.byte_range import RangeUnsatisfiableError, read_range


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (None, None),
        ("bytes=0-", (0, 100)),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("Bytes=90-500", (90, 100)),
        ("bytes=-7", (93, 100)),
        ("bytes=-500", (0, 100)),
        ("bytes=9-5", None),
        ("bytes=-", None),
        ("bytes=0-1,4-5", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
        ("bytes=1-99999999999999999999", None),
    ],
)
def test_a_range_is_read_or_counts_as_none(header: str | None, found: tuple[int, int] | None) -> None:
    """First byte and the one behind the last; what makes no sense asks for everything."""
    assert read_range(header, 100) == found


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_range_without_a_byte_is_refused(header: str) -> None:
    """To be answered with 416."""
    with pytest.raises(RangeUnsatisfiableError):
        read_range(header, 100)


@given(st.text(max_size=30), st.integers(0, 1_000))
def test_any_header_gives_a_range_within_the_media(header: str, size: int) -> None:
    """Whatever is asked for."""
    try:
        found = read_range("bytes=" + header, size)
    except RangeUnsatisfiableError:
        return
    assert found is None or 0 <= found[0] < found[1] <= size
