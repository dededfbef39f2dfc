"""Where encoders put the stream key, and players the stream and its token."""

from __future__ import annotations

from typing import Final

MAX_KEY_SIZE: Final = 256
"""Characters; ours have under 64."""
_QUOTES: Final = "\"' \t\r\n"


def _query_value(text: str, wanted: str) -> str:
    for pair in text.partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        if name == wanted and value:
            return value.strip(_QUOTES)
    return ""


def find_stream_key(app: str, name: str) -> str:
    """The stream key from an application and a publishing name, both as sent; empty when there is none.

    In this order: `?key=` of the name, the name up to its query, `?key=` of the app, the app's
    last part (`live/KEY`, as OBS sends it when its key field is empty). Quotes around either
    are stripped. A key longer than `MAX_KEY_SIZE` reads as none.
    """
    name, app = name.strip(_QUOTES), app.strip(_QUOTES)
    key = _query_value(name, "key") or name.partition("?")[0].strip("/ ")
    if not key:
        key = _query_value(app, "key") or _behind_first(app)
    return key if len(key) <= MAX_KEY_SIZE else ""


def find_played(app: str, name: str) -> tuple[str, str]:
    """The stream and the play token from an application and a name to play; either may be empty.

    The stream is the name up to its query, or the app's last part; the token is `?token=` of either.
    """
    name, app = name.strip(_QUOTES), app.strip(_QUOTES)
    stream = name.partition("?")[0].strip("/ ") or _behind_first(app)
    token = _query_value(name, "token") or _query_value(app, "token")
    return (stream if len(stream) <= MAX_KEY_SIZE else ""), token


def first_part(app: str) -> str:
    """The application without what may be a key behind it: `live` of `live/KEY?key=KEY`."""
    return app.strip(_QUOTES).partition("?")[0].strip("/").partition("/")[0][:MAX_KEY_SIZE]


def other_query(app: str, name: str, secret: str) -> str:
    """What stands behind `?` of name and app, without the pairs named `secret`."""
    pairs = [pair for text in (name, app) for pair in text.strip(_QUOTES).partition("?")[2].split("&")]
    return "&".join(pair for pair in pairs if pair and pair.partition("=")[0] != secret)


def _behind_first(app: str) -> str:
    return app.partition("?")[0].strip("/").partition("/")[2].strip("/ ")
