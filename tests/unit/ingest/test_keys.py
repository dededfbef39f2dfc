"""Where encoders put the stream key."""

import pytest

from workers.ingest.rtmp.keys import find_stream_key


@pytest.mark.parametrize(
    ("app", "name", "key"),
    [
        ("live", "KEY", "KEY"),
        ("live", "KEY?token=x", "KEY"),
        ("live", '"KEY"', "KEY"),
        ("live", "'KEY' ", "KEY"),
        ("live", "?key=KEY", "KEY"),
        ("live", "main?a=b&key=KEY", "KEY"),
        ("live/KEY", "", "KEY"),
        ("live/KEY/", "", "KEY"),
        ('"live/KEY"', "", "KEY"),
        ("live?key=KEY", "", "KEY"),
        ("live/other", "KEY", "KEY"),
        ("live", "", ""),
        ("", "", ""),
        ("live", "x" * 257, ""),
    ],
)
def test_the_key_is_found_where_it_was_put(app: str, name: str, key: str) -> None:
    """In the name, behind `?key=`, or as the application's tail; quotes are stripped."""
    assert find_stream_key(app, name) == key
