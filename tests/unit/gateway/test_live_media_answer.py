"""Answers with media and playlists: compression that is wanted, bytes that are not copied."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.live.media_answer import PIECE, pieces, takes_gzip


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("deflate, GZIP;q=0.5", True),
        ("x-gzip", True),
        ("*", True),
        ("br, *;q=0.1", True),
        ("", False),
        ("identity", False),
        ("br, gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("*;q=0", False),
        ("gzipped", False),
    ],
)
def test_gzip_is_for_who_takes_it(accepted: str, takes: bool) -> None:
    """By name, in any case, or by the star; a weight of nothing refuses it."""
    assert takes_gzip(accepted) is takes


@given(st.lists(st.binary(max_size=9), max_size=5), st.integers(0, 40), st.integers(0, 40), st.integers(1, 7))
def test_pieces_are_the_bytes_of_the_range(bodies: list[bytes], start: int, stop: int, scale: int) -> None:
    """Whatever the range, of bodies smaller and greater than a piece; none is greater than one."""
    large = [body * (scale * PIECE // 4) for body in bodies]
    start, stop = (at * scale * PIECE // 4 + at for at in sorted((start, stop)))
    whole = b"".join(large)
    stop = min(stop, len(whole))

    cut = list(pieces(large, start, stop))

    assert b"".join(cut) == whole[start:stop]
    assert all(len(piece) <= PIECE for piece in cut)


def test_a_body_that_goes_out_whole_is_not_copied() -> None:
    """Parts are shared by all who ask for them."""
    bodies = [b"one", b"two"]

    assert all(piece is body for piece, body in zip(pieces(bodies, 0, 6), bodies, strict=True))
