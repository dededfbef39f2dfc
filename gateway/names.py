"""Text from people: what may stand in a name, and what is taken out of a title. Pure."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

from bus_schemas.limits import ROOM_NAME_MAX, TITLE_MAX, USERNAME_MAX, USERNAME_MIN

_DIRECTION: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
"""They turn the text around them, so a name could rewrite the line it stands in."""


def is_control(character: str) -> bool:
    """Control characters, lone surrogates, line and paragraph separators, direction marks."""
    return character in _DIRECTION or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}


def is_blank(text: str) -> bool:
    """Whether nothing of it can be seen: spaces and format characters only."""
    return all(unicodedata.category(character) in {"Zs", "Cf", "Cc", "Mn"} for character in text)


def clean_text(text: str) -> str:
    """Without control characters, and without space around it."""
    if text.isprintable() and text.isascii():
        return text.strip()
    return "".join(character for character in text if not is_control(character)).strip()


def _name(text: str) -> str:
    if any(is_control(character) for character in text):
        raise ValueError("control characters are not allowed")
    text = text.strip()
    if is_blank(text):
        raise ValueError("something must be there to see")
    return text


def _username(text: str) -> str:
    name = _name(text)
    if len(name) < USERNAME_MIN:
        raise ValueError(f"at least {USERNAME_MIN} characters, spaces around it not counted")
    return name


RoomName = Annotated[
    str, StringConstraints(min_length=1, max_length=ROOM_NAME_MAX, strict=True), AfterValidator(_name)
]
Username = Annotated[
    str,
    StringConstraints(min_length=USERNAME_MIN, max_length=USERNAME_MAX, strict=True),
    AfterValidator(_username),
]
Title = Annotated[str, StringConstraints(max_length=TITLE_MAX, strict=True), AfterValidator(clean_text)]
