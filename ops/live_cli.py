"""`matinee room`, `stream` and `nodes`: what a running Matinee is doing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import typer
from pydantic import BaseModel, ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from bus_schemas.messages.base import TOKEN
from bus_schemas.messages.live import LiveEvent, PublisherClaim, StreamControl, StreamMeasured
from bus_schemas.messages.room import NodeSeen
from bus_schemas.streams import LIVE_EVENTS, NODES, PUBLISHERS, BucketSpec
from bus_schemas.subjects import LIVE_CONTROL, LIVE_EVENT
from bus_schemas.viewers import PROTOCOLS, sessions_key
from ops import data_directory
from ops.accounts import connected
from ops.connections import load_settings, running_endpoints
from ops.errors import OperatorError
from ops.options import Data
from ops.table import table
from runtime import direct
from runtime.bus import Bus, BusUnusable, connect
from runtime.clock import now_ms
from runtime.emit import emit
from runtime.kv import Bucket
from runtime.metrics import Metrics

M = TypeVar("M", bound=BaseModel)

_TIMEOUT = 10.0
_REDIS_TIMEOUT = 2.0
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
    async with connected(dsn) as connection:
        rows = await connection.fetch(_ROOMS, _MOST_ROWS, timeout=_TIMEOUT)
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
        claims = sorted(await _values(bus, PUBLISHERS, PublisherClaim), key=lambda claim: claim.stream)
        measured = {claim.stream: await _measured(bus, claim.stream) for claim in claims}
    watching = await _viewers(data, [claim.stream for claim in claims])
    rows = [
        (
            claim.stream,
            *_figures(measured[claim.stream]),
            watching.get(claim.stream, "?"),
            claim.address,
            claim.node,
            f"{(now_ms() - claim.at) / 1000:.0f} s",
            len(claim.takeovers),
        )
        for claim in claims
    ]
    print(table(_STREAM_HEADS, rows))


_STREAM_HEADS = (
    "STREAM", "CODECS", "KBIT/S", "FPS", "GAPS", "REPAIRS", "VIEWERS", "PUBLISHER", "NODE", "SINCE", "TAKEOVERS",
)  # fmt: skip


def _figures(measured: StreamMeasured | None) -> tuple[object, ...]:
    """Codecs, bitrate, frame rate, gaps, repairs; dashes where nothing was measured yet."""
    if measured is None:
        return ("-",) * 5
    codecs = "+".join(codec for codec in (measured.video_codec, measured.audio_codec) if codec)
    interval_ms = max(measured.interval_ms, 1)
    return (
        codecs or "-",
        measured.bytes * 8 // interval_ms,
        round(measured.video_frames * 1_000 / interval_ms, 1),
        measured.gaps,
        measured.repairs,
    )


async def _measured(bus: Bus, stream: str) -> StreamMeasured | None:
    """The newest event of the stream, where it is one of figures."""
    stored = await direct.last(bus, LIVE_EVENTS.name, LIVE_EVENT.at(stream=stream))
    try:
        event = LiveEvent.model_validate_json(stored.data).root if stored is not None else None
    except ValidationError:
        return None
    return event if isinstance(event, StreamMeasured) else None


async def _viewers(data: Path, streams: list[str]) -> dict[str, str]:
    """Viewers by protocol, as `5 (flv 3, hls 2)`; nothing where Redis does not answer."""
    url = running_endpoints(load_settings(), data).redis_url
    found = {}
    redis = Redis.from_url(url, socket_timeout=_REDIS_TIMEOUT, socket_connect_timeout=_REDIS_TIMEOUT)
    try:
        for stream in streams:
            counts = {
                protocol.value: int(await redis.zcount(sessions_key(stream, protocol), now_ms(), "+inf"))
                for protocol in PROTOCOLS
            }
            parts = ", ".join(f"{protocol} {count}" for protocol, count in counts.items() if count)
            found[stream] = f"{sum(counts.values())} ({parts})" if parts else "0"
    except (RedisError, OSError, TimeoutError):
        return found
    finally:
        await redis.aclose()
    return found


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
