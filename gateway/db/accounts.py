"""Users, guests and their refresh tokens."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from bus_schemas.messages.shapes import User
from bus_schemas.permissions import MemberState, SiteRole
from gateway.db.queries import Connection, Queryable, load

if TYPE_CHECKING:
    from asyncpg import Record


def username_key(username: str) -> str:
    """What two usernames may not share: compatibility forms and case count for nothing."""
    return unicodedata.normalize("NFKC", username).casefold()


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token as stored."""

    family: str
    user: str
    expires_at: int
    used: bool


def _user_of(row: Record) -> User:
    return User(
        id=row["id"],
        username=row["username"],
        role=SiteRole(row["role"]),
        state=MemberState(row["state"]),
        guest=row["guest"],
    )


class Accounts:
    """The tables `users` and `refresh_tokens`."""

    def __init__(self) -> None:
        self._sql = load("accounts")

    async def by_id(self, db: Queryable, user: str) -> User | None:
        """One user or guest."""
        row = await db.fetchrow(self._sql["by_id"], user)
        return _user_of(row) if row else None

    async def lock(self, connection: Connection, user: str) -> User | None:
        """The same, changed by nobody else until the transaction ends: what a count of his is held by."""
        row = await connection.fetchrow(self._sql["lock"], user)
        return _user_of(row) if row else None

    async def with_password(self, db: Queryable, username: str) -> tuple[User, str | None] | None:
        """The account of that name, in whatever case, and its password's hash."""
        row = await db.fetchrow(self._sql["by_name"], username_key(username))
        return (_user_of(row), row["password_hash"]) if row else None

    async def password_hash(self, db: Queryable, user: str) -> str | None:
        """The hash of a user's password, where he has one."""
        found: str | None = await db.fetchval(self._sql["password_hash"], user)
        return found

    async def add(
        self, db: Queryable, user: User, *, password_hash: str | None, email: str | None, now_ms: int
    ) -> bool:
        """A new account or guest; False if the name is taken."""
        key = None if user.guest else username_key(user.username)
        row = await db.fetchval(
            self._sql["add"], user.id, user.username, key, email, password_hash,
            user.role.value, user.guest, now_ms,
        )  # fmt: skip
        return row is not None

    async def rename(self, db: Queryable, user: User, username: str) -> bool:
        """Another username; False if it is taken."""
        key = None if user.guest else username_key(username)
        try:
            await db.execute(self._sql["rename"], user.id, username, key)
        except asyncpg.UniqueViolationError:
            return False
        return True

    async def set_email(self, db: Queryable, user: str, email: str | None) -> None:
        """Set or take away the e-mail address."""
        await db.execute(self._sql["set_email"], user, email)

    async def set_password(self, db: Queryable, user: str, password_hash: str) -> None:
        """Another password."""
        await db.execute(self._sql["set_password"], user, password_hash)

    async def remove(self, connection: Connection, user: str) -> None:
        """Delete the user with his rooms, memberships, streams and tokens."""
        await connection.execute(self._sql["remove"], user)

    async def stream_keys(self, db: Queryable, user: str) -> list[tuple[str, str]]:
        """Id and key hash of each stream of the user, and of each stream of a room of his."""
        return [(row["id"], row["key_hash"]) for row in await db.fetch(self._sql["stream_keys"], user)]

    async def add_refresh(
        self, db: Queryable, digest: bytes, *, family: str, user: str, now_ms: int, expires_at: int
    ) -> None:
        """Store a new refresh token by its hash."""
        await db.execute(self._sql["add_refresh"], digest, family, user, now_ms, expires_at)

    async def lock_refresh(self, connection: Connection, digest: bytes) -> RefreshToken | None:
        """A refresh token, used by nobody else until the transaction ends."""
        row = await connection.fetchrow(self._sql["lock_refresh"], digest)
        if row is None:
            return None
        return RefreshToken(row["family"], row["user_id"], row["expires_at"], row["used_at"] is not None)

    async def use_refresh(self, connection: Connection, digest: bytes, now_ms: int) -> None:
        """Mark it used: seen again, it is stolen."""
        await connection.execute(self._sql["use_refresh"], digest, now_ms)

    async def remove_family(self, db: Queryable, family: str) -> None:
        """Forget all refresh tokens of a sign-in."""
        await db.execute(self._sql["remove_family"], family)

    async def families(self, db: Queryable, user: str) -> list[str]:
        """The user's sign-ins."""
        return [row["family"] for row in await db.fetch(self._sql["families"], user)]

    async def remove_expired_refresh(self, db: Queryable, now_ms: int) -> None:
        """Clear away what has expired."""
        await db.execute(self._sql["remove_expired_refresh"], now_ms)

    async def remove_guests(self, db: Queryable, created_before: int) -> None:
        """Clear away guests made before then, with their memberships."""
        await db.execute(self._sql["remove_guests"], created_before)
