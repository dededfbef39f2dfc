"""Codes of invitations, and the links that carry them. Pure but for the randomness of a new one."""

from __future__ import annotations

import hashlib

from bus_schemas.limits import INVITATION_CODE_LENGTH
from runtime.ids import new_id


def new_code() -> str:
    """A code nobody guesses."""
    return new_id(INVITATION_CODE_LENGTH)


def room_link(origin: str, room: str, code: str) -> str:
    """The address that leads into the room."""
    return f"{origin}/r/{room}?invitation={code}"


def site_link(origin: str, code: str) -> str:
    """The address at which an account can be made."""
    return f"{origin}/account?invitation={code}"


def digest_of(code: str) -> bytes:
    """What is stored of a code for the site: SHA-256 is enough for so many random bits."""
    return hashlib.sha256(code.encode("utf-8", "replace")).digest()
