"""SQL in files, each statement under a name: `-- name: by_id`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg

from runtime.postgres import Pool

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Queryable = Pool | Connection
else:
    Connection = asyncpg.Connection
    Queryable = asyncpg.Connection

FOLDER: Final = Path(__file__).resolve().parent
_NAME: Final = re.compile(r"^-- name: ([a-z_]+)\n", re.MULTILINE)


def parse(text: str) -> dict[str, str]:
    """Statements by name; raises ValueError on a name given twice or on text before the first."""
    before, *pieces = _NAME.split(text)
    if any(line and not line.startswith("--") for line in before.splitlines()):
        raise ValueError("SQL before the first name")
    statements: dict[str, str] = {}
    for name, statement in zip(pieces[::2], pieces[1::2], strict=True):
        if name in statements:
            raise ValueError(f"{name} stands twice")
        statements[name] = statement.strip().rstrip(";")
    return statements


def load(noun: str) -> Mapping[str, str]:
    """The statements of `gateway/db/{noun}.sql`."""
    return parse((FOLDER / f"{noun}.sql").read_text("utf-8"))
