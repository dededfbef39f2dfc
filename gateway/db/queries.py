"""The SQL of the gateway's tables, from the files beside this one, and what it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg

from runtime.postgres import Pool
from runtime.sql import queries

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Queryable = Pool | Connection
else:
    Connection = asyncpg.Connection
    Queryable = asyncpg.Connection

DATABASE_FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""What work in the background survives; asyncpg's internal error comes from a connection dying under it."""

FOLDER: Final = Path(__file__).resolve().parent


def load(noun: str) -> Mapping[str, str]:
    """The statements of `gateway/db/{noun}.sql`."""
    return queries(FOLDER / f"{noun}.sql")
