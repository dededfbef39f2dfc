"""Chat text as HTML, for clients that want it; what is stored and sent is the plain text."""

from __future__ import annotations

from html import escape

import bleach
from bleach.callbacks import nofollow, target_blank


def as_html(text: str) -> str:
    """The text with all markup escaped, links made clickable (`nofollow`, in a new window), lines broken."""
    linked: str = bleach.linkify(escape(text, quote=False), callbacks=[nofollow, target_blank])
    return linked.replace("\n", "<br>")
