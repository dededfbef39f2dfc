"""PostgreSQL: a pool that is patient at start, and numbered migrations under an advisory lock."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg

from runtime.logs import get_logger, redact

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Pool = asyncpg.Pool

log = get_logger("postgres")

MIGRATIONS: Final = Path(__file__).resolve().parent.parent / "migrations"
CONNECT_DEADLINE_S: Final = 30.0
COMMAND_TIMEOUT_S: Final = 10.0
_LOCK: Final = 0x6D617469
"""Key of the advisory lock, "mati"."""


class DatabaseUnusable(Exception):
    """PostgreSQL cannot be used: a sentence that says what to do."""


async def connect(dsn: str, *, size: int = 8, application: str = "matinee") -> Pool:
    """A pool, waiting for the server up to a deadline; raises `DatabaseUnusable`."""
    deadline = asyncio.get_running_loop().time() + CONNECT_DEADLINE_S
    while True:
        try:
            return await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=size,
                command_timeout=COMMAND_TIMEOUT_S,
                timeout=5,
                server_settings={"application_name": application},
            )
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, TimeoutError) as exc:
            if asyncio.get_running_loop().time() > deadline:
                raise DatabaseUnusable(
                    f"PostgreSQL at {redact(dsn)} does not answer ({exc!r}): start it, or set MATINEE_POSTGRES_DSN."
                ) from exc
            await asyncio.sleep(0.1)


async def migrate(dsn: str, folder: Path = MIGRATIONS) -> list[str]:
    """Apply the `NNNN_name.sql` files not applied yet, in order, each in a transaction; gives their names."""
    connection = await asyncpg.connect(dsn, timeout=CONNECT_DEADLINE_S)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations"
            " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = {row["name"] for row in await connection.fetch("SELECT name FROM migrations")}
        files = sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))  # noqa: ASYNC240  # nothing else runs yet
        if unknown := done - {file.stem for file in files}:
            raise DatabaseUnusable(
                f"the database is newer than this program (it has {', '.join(sorted(unknown))}): use the newer program."
            )
        applied = []
        for file in files:
            if file.stem in done:
                continue
            async with connection.transaction():
                await connection.execute(file.read_text())
                await connection.execute("INSERT INTO migrations (name) VALUES ($1)", file.stem)
            applied.append(file.stem)
        if applied:
            log.info("migrations applied", names=applied)
        return applied
    finally:
        await connection.close()
