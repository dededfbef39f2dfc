"""Accounts as an operator makes and changes them: rows in PostgreSQL, audited in the same transaction."""

import asyncio
import contextlib
import json
import unicodedata
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

import argon2
import asyncpg

from bus_schemas.limits import PASSWORD_MAX, PASSWORD_MIN, USERNAME_MAX, USERNAME_MIN
from bus_schemas.messages.room import AuditRecorded
from bus_schemas.subjects import AUDIT
from ops.errors import OperatorError
from runtime.clock import now_ms
from runtime.ids import new_id, new_secret
from runtime.invitation_codes import digest_of, new_code
from runtime.logs import redact
from runtime.settings import AuthSettings
from runtime.trace import current

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

ROLES: Final = ("root", "admin", "user")
_TIMEOUT: Final = 10.0
_STARTING_S: Final = 15.0
"""How long a server that is starting is waited for."""
_OPERATOR: Final = "operator"
"""The actor of what is done at the command line: whoever may run it, no account of ours."""


async def first_root_account(dsn: str, auth: AuthSettings) -> str | None:
    """Make the account `root` where there is no root account yet; its password, else None."""
    password = new_secret()[:20]
    async with connected(dsn) as connection, connection.transaction():
        await connection.execute("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE")
        if await connection.fetchval("SELECT 1 FROM users WHERE role = 'root' LIMIT 1"):
            return None
        name = "root" if await _find(connection, "root") is None else f"root-{new_id(4)}"
        await _insert(connection, name, password, "root", auth)
    return password


async def add_account(dsn: str, auth: AuthSettings, username: str, password: str, role: str) -> None:
    """Make an account. Raises OperatorError for a name, password or role out of range, or a taken name."""
    check_username(username)
    check_password(password)
    async with connected(dsn) as connection, connection.transaction():
        try:
            await _insert(connection, username, password, check_role(role), auth)
        except asyncpg.UniqueViolationError:
            raise OperatorError(
                f"The name {username} is taken: choose another, or use user passwd."
            ) from None


async def set_password(dsn: str, auth: AuthSettings, username: str, password: str) -> None:
    """Give an account another password and end its sessions. Raises OperatorError."""
    check_password(password)
    async with connected(dsn) as connection, connection.transaction():
        account = await _require(connection, username)
        await connection.execute(
            "UPDATE users SET password_hash = $2 WHERE id = $1", account, password_hash(password, auth)
        )
        await connection.execute("DELETE FROM refresh_tokens WHERE user_id = $1", account)
        await _audit(connection, "user.password", account, {})


async def set_role(dsn: str, username: str, role: str) -> None:
    """Give an account another site role; its sessions get it with their next token. Raises OperatorError."""
    check_role(role)
    async with connected(dsn) as connection, connection.transaction():
        account = await _require(connection, username)
        await connection.execute("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE")
        others = await connection.fetchval(
            "SELECT count(*) FROM users WHERE role = 'root' AND state = 'active' AND id <> $1", account
        )
        if role != "root" and others == 0:
            raise OperatorError(f"{username} is the last root account: give another account that role first.")
        await connection.execute("UPDATE users SET role = $2 WHERE id = $1", account, role)
        await _audit(connection, "user.role", account, {"role": role})


async def make_invitation(dsn: str, expires_in_s: int | None) -> str:
    """A code with which one account can be registered where registration is by invitation."""
    code, now = new_code(), now_ms()
    expires_at = None if expires_in_s is None else now + expires_in_s * 1000
    async with connected(dsn) as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO site_invitations (hash, created_by, created_at, expires_at) VALUES ($1, $2, $3, $4)",
            digest_of(code),
            _OPERATOR,
            now,
            expires_at,
        )
        await _audit(connection, "user.invitation_made", "", {"expires_at": str(expires_at or "")})
    return code


def check_username(username: str) -> None:
    """Raises OperatorError for a name that registration would refuse."""
    plain = username.strip()
    printable = all(unicodedata.category(letter)[0] != "C" for letter in username)
    if plain != username or not printable or not USERNAME_MIN <= len(username) <= USERNAME_MAX:
        raise OperatorError(
            f"A username has {USERNAME_MIN} to {USERNAME_MAX} printable characters and no space around it: "
            f"choose another."
        )


def check_password(password: str) -> None:
    """Raises OperatorError for a password that registration would refuse."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise OperatorError(f"A password has {PASSWORD_MIN} to {PASSWORD_MAX} characters: choose another.")


def check_role(role: str) -> str:
    """The role, or an OperatorError that names those there are."""
    if role not in ROLES:
        raise OperatorError(f"There is no role {role!r}: choose one of {', '.join(ROLES)}.")
    return role


def username_key(username: str) -> str:
    """What must be unique: names that look the same are the same."""
    return unicodedata.normalize("NFKC", username).casefold()


def password_hash(password: str, auth: AuthSettings) -> str:
    """Argon2id by the settings, in its own encoded form."""
    hasher = argon2.PasswordHasher(
        time_cost=auth.argon2_passes, memory_cost=auth.argon2_memory_kib, parallelism=1
    )
    return hasher.hash(password)


@contextlib.asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[Connection]:
    """A connection for one command; OperatorError where the database is not there or not migrated."""
    try:
        connection = await _connect(dsn)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise OperatorError(
            f"PostgreSQL at {redact(dsn)} does not answer ({error}): start it, or set MATINEE_POSTGRES_DSN."
        ) from error
    try:
        yield connection
    except asyncpg.UndefinedTableError as error:
        raise OperatorError("The database has no tables of matinee yet: run ./matinee migrate.") from error
    finally:
        await connection.close()


async def _connect(dsn: str) -> Connection:
    """As soon as the server lets us in: one that is starting says so."""
    async with asyncio.timeout(_STARTING_S):
        while True:
            try:
                return await asyncpg.connect(dsn, timeout=_TIMEOUT, command_timeout=_TIMEOUT)
            except asyncpg.CannotConnectNowError:
                await asyncio.sleep(0.1)


async def _insert(
    connection: Connection, username: str, password: str, role: str, auth: AuthSettings
) -> None:
    account = new_id()
    await connection.execute(
        "INSERT INTO users (id, username, username_key, password_hash, role, created_at) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        account,
        username,
        username_key(username),
        password_hash(password, auth),
        role,
        now_ms(),
    )
    await _audit(connection, "user.add", account, {"username": username, "role": role})


async def _find(connection: Connection, username: str) -> str | None:
    found: str | None = await connection.fetchval(
        "SELECT id FROM users WHERE username_key = $1", username_key(username)
    )
    return found


async def _require(connection: Connection, username: str) -> str:
    account = await _find(connection, username)
    if account is None:
        raise OperatorError(f"There is no account {username}: check the spelling, or use user add.")
    return account


async def _audit(connection: Connection, act: str, target: str, detail: dict[str, str]) -> None:
    """A row for who looks back, and one in the outbox from which a gateway relays it to the bus."""
    record = AuditRecorded(id=new_id(), at=now_ms(), actor=_OPERATOR, act=act, target=target, detail=detail)
    await connection.execute(
        "INSERT INTO audit (id, at, actor, act, target, address, detail) VALUES ($1, $2, $3, $4, $5, '', $6)",
        record.id,
        record.at,
        record.actor,
        record.act,
        record.target,
        json.dumps(detail),
    )
    await connection.execute(
        "INSERT INTO outbox (id, subject, stream, body, traceparent) VALUES ($1, $2, $3, $4, $5)",
        record.id,
        AUDIT.at(category="user"),
        AUDIT.stream,
        record.model_dump_json(),
        current(),
    )
