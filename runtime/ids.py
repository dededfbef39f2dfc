"""Identifiers that may stand as tokens of a subject, in a URL and on a command line."""

from __future__ import annotations

import secrets
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZabcdefghjkmnpqrstvwxyz"


def new_id(length: int = 14) -> str:
    """A random id without look-alike letters; 14 of 54 letters are 80 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def new_secret() -> str:
    """A bearer secret of 192 bits: stream keys, passwords made for a person to copy."""
    return new_id(34)
