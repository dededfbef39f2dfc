"""Titles from addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.limits import TITLE_MAX
from gateway.playlists import title_from_url


@pytest.mark.parametrize(
    ("url", "title"),
    [
        ("https://a.example/films/The%20Film.mkv?x=1#t", "The Film.mkv"),
        ("https://a.example", "a.example"),
        ("https://a.example/dir/", "dir"),
        ("https://a.example/%00", "a.example"),
        ("https://a.example/" + "x" * 300, "x" * TITLE_MAX),
    ],
)
def test_the_last_piece_of_the_path_else_the_host(url: str, title: str) -> None:
    """Percent-decoded, without control characters, not too long."""
    assert title_from_url(url) == title


@given(st.text(max_size=50))
def test_any_path_gives_a_title(path: str) -> None:
    """Never empty, never too long."""
    assert 0 < len(title_from_url("https://a.example/" + path.replace("[", ""))) <= TITLE_MAX
