"""The header in front of media."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.tags import HEADER_SIZE, TagFormatError, TagHeader

headers = st.builds(
    TagHeader,
    flags=st.integers(0, 15),
    generation=st.integers(0, (1 << 16) - 1),
    sequence=st.integers(0, (1 << 32) - 1),
    epoch=st.integers(0, (1 << 64) - 1),
    dts_ms=st.integers(-(1 << 63), (1 << 63) - 1),
    arrival_us=st.integers(0, (1 << 64) - 1),
)


@given(headers, st.binary(max_size=40))
def test_what_is_packed_is_unpacked(header: TagHeader, body: bytes) -> None:
    """Whatever follows it."""
    packed = header.pack()

    assert len(packed) == HEADER_SIZE == 32
    assert TagHeader.unpack(packed + body) == header
    assert TagHeader.unpack(memoryview(packed + body)) == header


@given(st.binary(max_size=100))
def test_any_bytes_are_a_header_or_a_format_error(data: bytes) -> None:
    """Nothing else is raised."""
    try:
        header = TagHeader.unpack(data)
    except TagFormatError:
        assert len(data) < HEADER_SIZE or data[0] != 1
    else:
        assert header.pack()[:4] == data[:4]


@pytest.mark.parametrize("size", [0, 1, HEADER_SIZE - 1])
def test_too_few_bytes(size: int) -> None:
    """Half a header is none."""
    with pytest.raises(TagFormatError, match="too short"):
        TagHeader.unpack(bytes((1,)) * size)


def test_a_version_this_code_does_not_read() -> None:
    """It says which one it reads."""
    with pytest.raises(TagFormatError, match="version 2, this code reads 1"):
        TagHeader.unpack(bytes((2,)) + bytes(HEADER_SIZE))
