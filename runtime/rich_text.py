"""Chat text as HTML, for clients that want it; what is stored and sent is the plain text."""

from __future__ import annotations

from collections.abc import MutableMapping
from html import escape
from typing import Final

import bleach

_HREF: Final = (None, "href")
_REL: Final = (None, "rel")
_TARGET: Final = (None, "target")

_Attributes = MutableMapping[tuple[str | None, str], str]


def _outward(attributes: _Attributes, _new: bool = False, /) -> _Attributes:
    """A link somebody typed: no vote for search engines, no way back into our page, no word of where it was."""
    if attributes.get(_HREF, "").startswith(("http://", "https://")):
        attributes[_REL] = "nofollow noopener noreferrer"
        attributes[_TARGET] = "_blank"
    return attributes


def as_html(text: str) -> str:
    """The text with all markup escaped, links made clickable, lines broken."""
    linked: str = bleach.linkify(escape(text, quote=False), callbacks=[_outward])
    return linked.replace("\n", "<br>")
