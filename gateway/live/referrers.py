"""Whose pages may show our streams (FEATURES E10): a rule against hot-linking, not against people.

A browser says truly which page it plays on; anything else may say what it likes, or nothing. So players
that name no page are let in, and what is secret wants a play token.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit


def may_embed(page: str, own: str, hosts: Sequence[str]) -> bool:
    """Whether a page of this address, as `Origin` or `Referer` has it, may play.

    `own`: our own host, which always may; `hosts`: lower-case host names, `*.` in front for all below one.
    No hosts: every page may. A page without a host (`null`, a file, a sandboxed frame) is none of `hosts`.
    """
    if not hosts or not page:
        return True
    try:
        host = urlsplit(page).hostname or ""
    except ValueError:
        return False
    return host == own or any(fnmatchcase(host, pattern) for pattern in hosts)
