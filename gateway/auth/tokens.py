"""Access tokens and play tokens: RS256, verified once and then found by their hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import jwt
from jwt.types import Options

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.messages.shapes import User
from bus_schemas.permissions import SiteRole
from gateway.auth.keys import Keys
from gateway.auth.principal import Principal
from gateway.auth.revocation import Revocations, play_key
from runtime.clock import now_ms
from runtime.ids import new_id
from runtime.settings import AuthSettings

V = TypeVar("V")

ALGORITHM: Final = "RS256"
ACCESS_AUDIENCE: Final = "matinee"
PLAY_AUDIENCE: Final = "matinee:play"
TOKEN_MAX: Final = 4_096
"""Characters of a token worth looking at."""
CACHE_MAX: Final = 20_000
_REQUIRED: Final[Options] = {"require": ["exp", "iat", "iss", "aud", "sub", "jti"]}


@dataclass(frozen=True, slots=True)
class PlayGrant:
    """A verified play token: this user may play this stream until then."""

    stream: str
    user: str
    expires_at: int
    """Epoch ms."""
    issued_at: int
    """Epoch ms."""

    @property
    def is_over(self) -> bool:
        """Whether its time has passed."""
        return self.expires_at <= now_ms()


def _refused(why: str) -> Refused:
    return Refused(ErrorCode.UNAUTHENTICATED, f"The token {why}: sign in again.")


class Tokens:
    """Makes and verifies tokens. Verifying one seen before is a hash and two look-ups."""

    def __init__(self, keys: Keys, revocations: Revocations, settings: AuthSettings) -> None:
        self.keys = keys
        self.revocations = revocations
        self._settings = settings
        self._access: dict[bytes, Principal] = {}
        self._play: dict[bytes, PlayGrant] = {}

    def issue_access(self, user: User, session: str) -> tuple[str, int]:
        """An access token and its life in seconds."""
        life_s = self._settings.guest_token_s if user.guest else self._settings.access_token_s
        claims = {
            "aud": ACCESS_AUDIENCE,
            "sub": user.id,
            "sid": session,
            "name": user.username,
            "role": user.role.value,
            "guest": user.guest,
        }
        return self._sign(claims, life_s)[0], life_s

    async def verify(self, token: str) -> Principal:
        """Who holds this access token; raises `Refused` unauthenticated."""
        digest = _digest(token)
        principal = self._access.get(digest)
        if principal is None:
            principal = _principal(self._read(token, ACCESS_AUDIENCE))
            _keep(self._access, digest, principal)
        elif principal.expires_at <= now_ms():
            self._access.pop(digest, None)
            raise _refused("has expired")
        if self.is_revoked(principal):
            raise _refused("was revoked")
        return principal

    def is_revoked(self, principal: Principal) -> bool:
        """Whether the sign-in behind it was ended; what a long connection asks again and again."""
        return principal.session in self.revocations

    def issue_play(self, stream: str, user: str, life_s: int | None = None) -> tuple[str, int]:
        """A play token for one stream, and when it expires, epoch ms; it lives as set, or `life_s`."""
        return self._sign(
            {"aud": PLAY_AUDIENCE, "sub": user, "stream": stream, "at": now_ms()},
            life_s or self._settings.play_token_s,
        )

    def verify_play(self, token: str, stream: str) -> PlayGrant:
        """The grant; raises `Refused` unauthenticated for a bad token, forbidden for another stream's."""
        grant = self.read_play(token, stream)
        if grant.is_over:
            raise _refused("has expired")
        return grant

    def read_play(self, token: str, stream: str) -> PlayGrant:
        """The same of a token that may have expired, where it began a session that goes on."""
        digest = _digest(token)
        grant = self._play.get(digest)
        if grant is None:
            grant = _grant(self._read(token, PLAY_AUDIENCE, expired=True))
            _keep(self._play, digest, grant)
        if grant.stream != stream:
            raise Refused(ErrorCode.FORBIDDEN, "The play token is for another stream.")
        revoked_at = self.revocations.revoked_at(play_key(stream, grant.user))
        if revoked_at is not None and grant.issued_at <= revoked_at:
            raise _refused("was revoked")
        return grant

    def _sign(self, claims: dict[str, Any], life_s: int) -> tuple[str, int]:
        issued = now_ms() // 1000
        key = self.keys.signing
        expires = issued + life_s
        whole = {**claims, "iss": self._settings.issuer, "iat": issued, "exp": expires, "jti": new_id()}
        return jwt.encode(whole, key.private, algorithm=ALGORITHM, headers={"kid": key.kid}), expires * 1000

    def _read(self, token: str, audience: str, *, expired: bool = False) -> dict[str, Any]:
        """The claims; with `expired` of a token whose time may have passed too."""
        if len(token) > TOKEN_MAX:
            raise _refused("is none of ours")
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = self.keys.by_kid(kid) if isinstance(kid, str) else None
            if key is None:
                raise _refused("is none of ours")
            # The algorithm is ours to say, never the token's (RFC 8725, 3.1).
            claims: dict[str, Any] = jwt.decode(
                token, key.public, algorithms=[ALGORITHM], audience=audience,
                issuer=self._settings.issuer, options={**_REQUIRED, "verify_exp": not expired},
            )  # fmt: skip
        except jwt.ExpiredSignatureError as exc:
            raise _refused("has expired") from exc
        except (jwt.PyJWTError, ValueError, TypeError) as exc:
            raise _refused("is none of ours") from exc
        return claims


def _digest(token: str) -> bytes:
    return hashlib.blake2b(token.encode("utf-8", "replace"), digest_size=20).digest()


def _keep(cache: dict[bytes, V], digest: bytes, value: V) -> None:
    if len(cache) >= CACHE_MAX:
        del cache[next(iter(cache))]
    cache[digest] = value


def _grant(claims: dict[str, Any]) -> PlayGrant:
    at = claims.get("at")
    issued_at = at if isinstance(at, int) else int(claims["iat"]) * 1000
    return PlayGrant(str(claims.get("stream")), str(claims["sub"]), int(claims["exp"]) * 1000, issued_at)


def _principal(claims: dict[str, Any]) -> Principal:
    try:
        user = User(
            id=claims["sub"],
            username=claims["name"],
            role=SiteRole(claims["role"]),
            guest=claims["guest"],
        )
        return Principal(user, str(claims["jti"]), str(claims["sid"]), int(claims["exp"]) * 1000)
    except (KeyError, ValueError) as exc:
        raise _refused("is none of ours") from exc
