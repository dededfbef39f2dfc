"""FLV tags as slices of a bus message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.tags import HEADER_SIZE
from media import flv
from workers.transmux.tag_reader import read_tags

TAGS = st.lists(st.tuples(st.sampled_from([8, 9, 18]), st.integers(0, 2**32 - 1), st.binary(max_size=40)))


@given(TAGS)
def test_tags_are_read_back(tags: list[tuple[int, int, bytes]]) -> None:
    """Type, all 32 bits of the time, payload."""
    message = bytes(HEADER_SIZE) + b"".join(flv.mux(*tag) for tag in tags)

    assert [(kind, time, bytes(data)) for kind, time, data in read_tags(message)] == tags


@given(TAGS.filter(bool), st.integers(1, 14))
def test_a_run_that_is_cut_off_is_named(tags: list[tuple[int, int, bytes]], missing: int) -> None:
    """Half a tag is no tag."""
    message = bytes(HEADER_SIZE) + b"".join(flv.mux(*tag) for tag in tags)

    with pytest.raises(flv.FlvError):
        read_tags(message[:-missing])
