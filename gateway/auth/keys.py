"""RSA keys that sign tokens: in PostgreSQL, shared by all gateways; the newest signs, all verify.

To rotate, insert a newer row: gateways find it within `RELOAD_S`; delete the old one after the longest
life of a token.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from gateway.db.queries import load
from runtime.ids import new_id
from runtime.postgres import Pool

KEY_BITS: Final = 2048
RELOAD_S: Final = 30.0
_FIRST_KEY_LOCK: Final = 0x6B657973
"""Advisory lock, "keys": of gateways that start together one makes the first key."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key pair under its name."""

    kid: str
    private: rsa.RSAPrivateKey
    public: rsa.RSAPublicKey

    @classmethod
    def from_pem(cls, kid: str, pem: str) -> SigningKey:
        """Read a stored key; raises ValueError or TypeError for what is none."""
        private = serialization.load_pem_private_key(pem.encode(), password=None)
        if not isinstance(private, rsa.RSAPrivateKey):
            raise TypeError(f"signing key {kid} is no RSA key")
        return cls(kid, private, private.public_key())

    def as_jwk(self) -> dict[str, Any]:
        """The public half as RFC 7517 wants it."""
        jwk: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(self.public))
        jwk.pop("key_ops", None)
        return {**jwk, "kid": self.kid, "use": "sig", "alg": "RS256"}


class Keys:
    """The keys as this gateway last read them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = load("signing_keys")
        self._by_kid: dict[str, SigningKey] = {}
        self._newest: SigningKey | None = None

    @property
    def signing(self) -> SigningKey:
        """The key that signs now."""
        assert self._newest is not None, "keys are loaded at start"
        return self._newest

    def by_kid(self, kid: str) -> SigningKey | None:
        """A key that verifies, if it is ours."""
        return self._by_kid.get(kid)

    def jwks(self) -> dict[str, Any]:
        """The public keys, RFC 7517."""
        return {"keys": [key.as_jwk() for key in self._by_kid.values()]}

    async def reload(self) -> None:
        """Read all keys; called at start and every `RELOAD_S`."""
        self._take(await self._pool.fetch(self._sql["all"]))

    async def load_or_make(self, now_ms: int) -> None:
        """Read the keys, making the first one if there is none."""
        await self.reload()
        if self._by_kid:
            return
        pem = await asyncio.to_thread(_new_pem)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _FIRST_KEY_LOCK)
            await connection.execute(self._sql["add_first"], new_id(), pem, now_ms)
        await self.reload()

    def _take(self, rows: list[Any]) -> None:
        known = self._by_kid
        keys = [known.get(row["kid"]) or SigningKey.from_pem(row["kid"], row["private_pem"]) for row in rows]
        self._by_kid = {key.kid: key for key in keys}
        self._newest = keys[0] if keys else None


def _new_pem() -> str:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
