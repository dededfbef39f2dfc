"""The `Range` header of a request for media that is wholly there (RFC 9110, 14). Pure."""

from __future__ import annotations

import re
from typing import Final

_ONE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)


class RangeUnsatisfiableError(ValueError):
    """No byte of the range is there: answered with 416."""


def read_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and the one behind the last that are asked for, of `size`; None for all of them.

    A header that makes no sense, or asks for several ranges, counts as none (RFC 9110, 14.2).
    Raises `RangeUnsatisfiableError`.
    """
    found = _ONE.fullmatch(header.strip()) if header else None
    if found is None or found[1] == found[2] == "":
        return None
    if not found[1]:
        length = int(found[2])
        if not length or not size:
            raise RangeUnsatisfiableError
        return max(size - length, 0), size
    start = int(found[1])
    stop = int(found[2]) + 1 if found[2] else size
    if found[2] and stop <= start:
        return None
    if start >= size:
        raise RangeUnsatisfiableError
    return start, min(stop, size)
