"""Where encoders put the stream key, and what else they say."""

import pytest

from workers.ingest.rtmp.keys import find_stream_key, first_part, other_query


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


@pytest.mark.parametrize(
    ("app", "name", "first", "query"),
    [
        ("live", "KEY", "live", ""),
        ("live/KEY", "", "live", ""),
        ("live/KEY?key=KEY&a=b", "x?c=d", "live", "c=d&a=b"),
        ("live?key=KEY", "main?key=KEY&lang=en", "live", "lang=en"),
        ("", "", "", ""),
    ],
)
def test_what_hooks_hear_holds_no_key(app: str, name: str, first: str, query: str) -> None:
    """The application's first part, and the pairs of both queries but the key's."""
    assert first_part(app) == first
    assert other_query(app, name, "key") == query
