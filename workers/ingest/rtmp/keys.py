"""Where encoders put the stream key."""

from __future__ import annotations

from typing import Final

MAX_KEY_SIZE: Final = 256
"""Characters; ours have under 64."""
_QUOTES: Final = "\"' \t\r\n"


def _query_key(text: str) -> str:
    _, _, query = text.partition("?")
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name == "key" and value:
            return value.strip(_QUOTES)
    return ""


def find_stream_key(app: str, name: str) -> str:
    """The stream key from an application and a publishing name, both as sent; empty when there is none.

    In this order: `?key=` of the name, the name up to its query, `?key=` of the app, the app's
    last part (`live/KEY`, as OBS sends it when its key field is empty). Quotes around either
    are stripped. A key longer than `MAX_KEY_SIZE` reads as none.
    """
    name, app = name.strip(_QUOTES), app.strip(_QUOTES)
    key = _query_key(name) or name.partition("?")[0].strip("/ ")
    if not key:
        _, _, tail = app.partition("?")[0].strip("/").partition("/")
        key = _query_key(app) or tail.strip("/ ")
    return key if len(key) <= MAX_KEY_SIZE else ""
