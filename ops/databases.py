"""What has to be in PostgreSQL and NATS before any of our processes starts."""

import asyncpg

from ops.data_directory import Endpoints
from ops.errors import OperatorError
from runtime.bus import BusUnusable
from runtime.bus import connect as connect_bus
from runtime.metrics import Metrics
from runtime.postgres import DatabaseUnusable, migrate

_TIMEOUT = 10.0
_ALREADY_THERE = asyncpg.DuplicateDatabaseError


async def make_database(dsn: str) -> None:
    """Make the database that the address names, where the server does not have it yet."""
    server, _, name = dsn.rpartition("/")
    connection = await asyncpg.connect(f"{server}/postgres", timeout=_TIMEOUT)
    try:
        if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name) is None:
            await connection.execute(f'CREATE DATABASE "{name}"', timeout=_TIMEOUT)
    except _ALREADY_THERE:
        return
    finally:
        await connection.close()


async def bring_up_to_date(endpoints: Endpoints) -> list[str]:
    """Make database, tables, streams, buckets and consumers as declared; the names of migrations applied.

    Raises OperatorError where one of the servers refuses.
    """
    await make_database(endpoints.postgres_dsn)
    return await migrate_all(endpoints.postgres_dsn, endpoints.nats_url)


async def migrate_all(postgres_dsn: str, nats_url: str) -> list[str]:
    """`matinee migrate`: bring both to what this version declares."""
    try:
        applied = await migrate(postgres_dsn)
        bus = await connect_bus(nats_url, Metrics(), name="matinee-migrate")
        try:
            await bus.migrate()
        finally:
            await bus.nc.close()
    except (BusUnusable, DatabaseUnusable) as error:
        raise OperatorError(str(error)) from error
    return applied
