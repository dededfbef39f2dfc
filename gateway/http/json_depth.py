"""How deep JSON is nested, found without building it. Pure."""

from __future__ import annotations

import re
from typing import Final

_STRUCTURE: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


def deeper_than(body: bytes, limit: int) -> bool:
    """Whether arrays and objects are nested more than `limit` deep; what is no JSON may answer either."""
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    depth = 0
    for match in _STRUCTURE.finditer(body):
        first = body[match.start()]
        if first in b"[{":
            depth += 1
            if depth > limit:
                return True
        elif first in b"]}":
            depth -= 1
    return False
