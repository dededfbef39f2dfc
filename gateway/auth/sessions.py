"""Sign-ins: an access token that lasts minutes, and a refresh token that is replaced at each use."""

from __future__ import annotations

import hashlib

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.messages.base import Shape
from bus_schemas.messages.shapes import User
from bus_schemas.permissions import MemberState
from gateway.db.queries import Queryable
from gateway.services import Services
from runtime.clock import now_ms
from runtime.ids import new_id, new_secret


class SignedIn(Shape):
    """What a sign-in gives."""

    user: User
    access_token: str
    refresh_token: str
    """Good for one use; the answer to that use carries the next."""
    expires_in: int
    """Seconds the access token lasts."""


def digest_of(refresh_token: str) -> bytes:
    """What is stored of a refresh token: SHA-256 is enough for 192 random bits."""
    return hashlib.sha256(refresh_token.encode("utf-8", "replace")).digest()


def check_account(user: User) -> None:
    """Raises `Refused` forbidden for an account that is not active."""
    if user.state is MemberState.BANNED:
        raise Refused(ErrorCode.FORBIDDEN, "This account is banned.")
    if user.state is MemberState.PENDING:
        raise Refused(ErrorCode.FORBIDDEN, "This account waits for approval.")


async def open_session(services: Services, db: Queryable, user: User, family: str | None = None) -> SignedIn:
    """Tokens for this user: of a new sign-in, or the next ones of `family`."""
    family = family or new_id()
    refresh_token = new_secret()
    now = now_ms()
    expires_at = now + services.ctx.settings.auth.refresh_token_s * 1000
    await services.accounts.add_refresh(
        db, digest_of(refresh_token), family=family, user=user.id, now_ms=now, expires_at=expires_at
    )
    access_token, life_s = services.tokens.issue_access(user, family)
    return SignedIn(user=user, access_token=access_token, refresh_token=refresh_token, expires_in=life_s)


async def refresh_session(services: Services, refresh_token: str, address: str) -> SignedIn:
    """Trade a refresh token for new tokens.

    One that was used before is in two hands: the whole sign-in is ended. Raises `Refused` unauthenticated.
    """
    digest = digest_of(refresh_token)
    stolen = answer = None
    async with services.pool.acquire() as connection, connection.transaction():
        stored = await services.accounts.lock_refresh(connection, digest)
        now = now_ms()
        if stored is None or stored.expires_at <= now:
            raise Refused(
                ErrorCode.UNAUTHENTICATED, "The refresh token is unknown or has expired: sign in again."
            )
        if stored.used:
            stolen = stored.family
            await services.accounts.remove_family(connection, stolen)
            await services.audit.record(
                connection, "auth.refresh_reused", actor=stored.user, target=stolen, address=address
            )
        else:
            user = await services.accounts.by_id(connection, stored.user)
            if user is None:
                raise Refused(ErrorCode.UNAUTHENTICATED, "The account is gone.")
            check_account(user)
            await services.accounts.use_refresh(connection, digest, now)
            answer = await open_session(services, connection, user, stored.family)
    if answer is not None:
        return answer
    services.outbox.kick()
    assert stolen is not None
    await services.tokens.revocations.revoke(stolen)
    raise Refused(
        ErrorCode.UNAUTHENTICATED,
        "This refresh token was used before, so its sign-in was ended: sign in again.",
    )
