"""`matinee room`, `stream` and `nodes`: what a running Matinee is doing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import asyncpg
import typer
from pydantic import BaseModel, ValidationError

from bus_schemas.messages.base import TOKEN
from bus_schemas.messages.live import PublisherClaim, StreamControl
from bus_schemas.messages.room import NodeSeen
from bus_schemas.streams import NODES, PUBLISHERS, BucketSpec
from bus_schemas.subjects import LIVE_CONTROL
from ops import data_directory
from ops.connections import load_settings, running_endpoints
from ops.errors import OperatorError
from ops.options import Data
from ops.table import table
from runtime.bus import Bus, BusUnusable, connect
from runtime.clock import now_ms
from runtime.emit import emit
from runtime.kv import Bucket
from runtime.metrics import Metrics

M = TypeVar("M", bound=BaseModel)

_TIMEOUT = 10.0
_MOST_ROWS = 500

rooms = typer.Typer(help="Rooms.", no_args_is_help=True)
streams = typer.Typer(help="Live streams.", no_args_is_help=True)


@rooms.callback()
def _rooms() -> None:
    """Rooms."""


@rooms.command("list")
def list_rooms(*, data: Data = data_directory.DEFAULT) -> None:
    """List the rooms, newest first."""
    asyncio.run(_list_rooms(data.absolute()))


@streams.command("list")
def list_streams(*, data: Data = data_directory.DEFAULT) -> None:
    """List the streams that are published now."""
    asyncio.run(_list_streams(data.absolute()))


@streams.command()
def kick(stream: str, *, reason: str = "", data: Data = data_directory.DEFAULT) -> None:
    """Send a stream's publisher away."""
    asyncio.run(_kick(stream, reason, data.absolute()))


def add_nodes(app: typer.Typer) -> None:
    """Add `matinee nodes`, a command without a group."""

    @app.command()
    def nodes(*, data: Data = data_directory.DEFAULT) -> None:
        """List the processes that are alive."""
        asyncio.run(_list_nodes(data.absolute()))


async def _list_rooms(data: Path) -> None:
    dsn = running_endpoints(load_settings(), data).postgres_dsn
    try:
        connection = await asyncpg.connect(dsn, timeout=_TIMEOUT)
    except (OSError, asyncpg.PostgresError) as error:
        raise OperatorError(
            f"PostgreSQL does not answer ({error}): start it, or correct its address."
        ) from error
    try:
        rows = await connection.fetch(_ROOMS, _MOST_ROWS, timeout=_TIMEOUT)
    finally:
        await connection.close()
    print(table(("ROOM", "NAME", "CREATOR", "MEMBERS", "PASSWORD", "HIDDEN"), [tuple(row) for row in rows]))


_ROOMS = """\
SELECT r.id, r.name, u.username, (SELECT count(*) FROM members m WHERE m.room = r.id),
       CASE WHEN r.password_hash IS NULL THEN 'no' ELSE 'yes' END, CASE WHEN r.hidden THEN 'yes' ELSE 'no' END
FROM rooms r JOIN users u ON u.id = r.creator_id
ORDER BY r.created_at DESC
LIMIT $1
"""


async def _list_streams(data: Path) -> None:
    async with _bus(data) as bus:
        claims = await _values(bus, PUBLISHERS, PublisherClaim)
    rows = [
        (one.stream, one.node, f"{(now_ms() - one.at) / 1000:.0f} s", len(one.takeovers)) for one in claims
    ]
    print(table(("STREAM", "NODE", "SINCE", "TAKEOVERS"), rows))


async def _kick(stream: str, reason: str, data: Path) -> None:
    if not TOKEN.fullmatch(stream):
        raise OperatorError(f"{stream!r} is no stream id: take one from ./matinee stream list.")
    async with _bus(data) as bus:
        if await Bucket(bus.js, PUBLISHERS).get(stream) is None:
            raise OperatorError(f"Nobody publishes {stream}: take a stream from ./matinee stream list.")
        await emit(bus, LIVE_CONTROL, StreamControl(stream=stream, reason=reason), stream=stream)
        await bus.nc.flush()
    print(f"The publisher of {stream} is sent away.")


async def _list_nodes(data: Path) -> None:
    async with _bus(data) as bus:
        nodes = await _values(bus, NODES, NodeSeen)
    rows = [
        (one.kind, one.node, one.pid, one.version, f"{(now_ms() - one.started_at) / 1000:.0f} s", one.address)
        for one in sorted(nodes, key=lambda one: (one.kind, one.node))
    ]
    print(table(("KIND", "NODE", "PID", "VERSION", "UP", "ADDRESS"), rows))


@contextlib.asynccontextmanager
async def _bus(data: Path) -> AsyncIterator[Bus]:
    try:
        bus = await connect(running_endpoints(load_settings(), data).nats_url, Metrics(), name="matinee-cli")
    except BusUnusable as error:
        raise OperatorError(str(error)) from error
    try:
        yield bus
    finally:
        await bus.nc.close()


async def _values(bus: Bus, spec: BucketSpec, model: type[M]) -> list[M]:
    """All readable values of a bucket; one that a newer version wrote otherwise is left out."""
    bucket = Bucket(bus.js, spec)
    values = []
    for key in await bucket.keys():
        entry = await bucket.get(key)
        if entry is None:
            continue
        with contextlib.suppress(ValidationError):
            values.append(model.model_validate_json(entry.value))
    return values
