"""What may be said: text is plain and stays as typed, without what is no text. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bus_schemas.errors import ErrorCode
from bus_schemas.limits import CHAT_MAX, CLIENT_ID_MAX, DANMAKU_MAX

_BREAKS: Final = re.compile("\r\n?|\x85|\u2028|\u2029")
_KEPT: Final = frozenset("\n\t")
# Embeddings, overrides and isolates turn the direction of what follows, the next message included;
# the marks U+200E and U+200F only sort their neighbours, and stay.
_BIDI: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_NO_TEXT: Final = frozenset({"Cc", "Cs"})
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Mn", "Me", "Zs", "Zl", "Zp"})
_COLOR: Final = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why it is not posted."""

    code: ErrorCode
    detail: str


class Filter:
    """What an operator does not want to read: each letter of it becomes an asterisk, whatever its case."""

    def __init__(self, blocked: Iterable[str] = ()) -> None:
        # The longest first, so that a word that contains another is masked whole.
        words = sorted({word.strip() for word in blocked if word.strip()}, key=len, reverse=True)
        self._words = re.compile("|".join(map(_as_pattern, words)), re.IGNORECASE) if words else None

    def chat(self, text: str) -> str | Refusal:
        """A chat message as it will be stored, 1 to `CHAT_MAX` characters."""
        return self._checked(_cleaned(text), CHAT_MAX, "A message")

    def danmaku(self, text: str) -> str | Refusal:
        """A danmaku, one line, 1 to `DANMAKU_MAX` characters."""
        return self._checked(" ".join(_cleaned(text).split()), DANMAKU_MAX, "A danmaku")

    def _checked(self, text: str, longest: int, what: str) -> str | Refusal:
        if all(unicodedata.category(character) in _INVISIBLE for character in text):
            return Refusal(ErrorCode.INVALID, f"{what} needs something to read.")
        if len(text) > longest:
            return Refusal(
                ErrorCode.INVALID, f"{what} has at most {longest} characters, this one {len(text)}."
            )
        return self._words.sub(lambda match: "*" * len(match[0]), text) if self._words else text


def color(value: str) -> str | Refusal:
    """A colour as `#rrggbb`, in small letters."""
    if _COLOR.fullmatch(value):
        return value.lower()
    return Refusal(ErrorCode.INVALID, "A colour is written #rrggbb.")


def client_id(value: str) -> str | Refusal:
    """The name a client gave its message: what makes a resend harmless."""
    if 1 <= len(value) <= CLIENT_ID_MAX and value.isprintable():
        return value
    return Refusal(ErrorCode.INVALID, f"A client_id has 1 to {CLIENT_ID_MAX} printable characters.")


def _cleaned(text: str) -> str:
    text = _BREAKS.sub("\n", text)
    return "".join(
        character
        for character in text
        if character in _KEPT or (unicodedata.category(character) not in _NO_TEXT and character not in _BIDI)
    )


def _as_pattern(word: str) -> str:
    # Scripts that write words apart are matched word by word, so that a short word spoils no longer one.
    pattern = re.escape(word)
    return rf"(?<!\w){pattern}(?!\w)" if word.isascii() else pattern
