"""Which viewer a request is of, and what hooks are told of him. Pure but for aiohttp's request."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from aiohttp import hdrs, web

from gateway.live.viewer_session import Session

PARAM: Final = "session"
"""Query parameter of an inferred session's id."""
COOKIE: Final = "matinee_viewer"
"""The same for players that were given no address with an id in it, and keep cookies."""
_ID: Final = re.compile(r"[A-Za-z0-9]{8,32}")
_OURS: Final = frozenset({"token", PARAM})
FACT_MAX: Final = 500


def named(request: web.Request) -> str | None:
    """The id in the request's address."""
    return _id(request.query.get(PARAM))


def carried(request: web.Request) -> str | None:
    """The id in the request's cookie."""
    return _id(request.cookies.get(COOKIE))


def derived(request: web.Request, address: str, namesake: int = 0) -> str:
    """An id made of what tells viewers apart who bring none: address, client, token; and which of several alike."""
    told_by = [address, request.headers.get(hdrs.USER_AGENT, ""), request.query.get("token", "")]
    if namesake:
        told_by.append(str(namesake))
    return hashlib.blake2b("\0".join(told_by).encode(errors="replace"), digest_size=14).hexdigest()


def give_cookie(request: web.Request, response: web.Response, session: Session) -> None:
    """Let a player that came without an id bring one the next time."""
    if named(request) is None and carried(request) is None:
        response.set_cookie(
            COOKIE, session.id, path=f"/live/{session.stream}/", httponly=True, samesite="Lax"
        )


def facts_of(request: web.Request, session: Session) -> dict[str, str | int | None]:
    """What hooks are told, by SRS's names. Our own tokens are nobody's business."""
    query = "&".join(f"{name}={value}" for name, value in request.query.items() if name not in _OURS)
    page = request.headers.get(hdrs.REFERER, "").partition("?")[0]
    return {
        "client_id": session.id,
        "ip": session.address,
        "vhost": _fact(request.host),
        "app": "live",
        "stream": session.stream,
        "param": _fact(f"?{query}") if query else "",
        "stream_url": f"/live/{session.stream}",
        "stream_id": session.stream,
        "pageUrl": _fact(page),
        "protocol": session.protocol.value,
    }


def _id(text: str | None) -> str | None:
    return text if text and _ID.fullmatch(text) else None


def _fact(text: str) -> str:
    """What somebody sent, short, and without what is no text."""
    return text[:FACT_MAX].encode("utf-8", "replace").decode()
