"""Who asks: the person behind a verified access token."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.messages.shapes import User
from gateway.services import SERVICES


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified token and its user as the token says; `membership` reads the user anew."""

    user: User
    token_id: str
    """`jti`: this token."""
    session: str
    """`sid`: the sign-in it comes from; what a revocation names."""
    expires_at: int
    """Epoch ms."""


def bearer_token(request: web.Request) -> str | None:
    """The token of an `Authorization: Bearer` header."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


async def require_principal(request: web.Request) -> Principal:
    """The principal of this request; raises `Refused` unauthenticated without a valid token."""
    token = bearer_token(request)
    if token is None:
        raise Refused(ErrorCode.UNAUTHENTICATED, "Sign in first: send Authorization: Bearer <access token>.")
    return await request.app[SERVICES].tokens.verify(token)
