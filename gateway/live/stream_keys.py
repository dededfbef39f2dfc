"""The bucket `STREAM_KEYS`: what ingest asks whether a key opens anything. This gateway's database is the truth."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Final

import asyncpg
from nats.errors import Error as NatsError

from bus_schemas.messages.live import StreamKey
from bus_schemas.streams import STREAM_KEYS
from gateway.db.streams import StreamRow
from gateway.services import Services
from runtime.kv import Bucket
from runtime.logs import get_logger

log = get_logger("live.stream_keys")

PAGE: Final = 500
RETRY_S: Final = 2.0
RECHECK_S: Final = 15.0
"""Longer than a request may take."""


def hash_key(key: str) -> str:
    """SHA-256 of a stream key, hexadecimal: its name in bucket and database."""
    return hashlib.sha256(key.encode()).hexdigest()


async def put_key(services: Services, row: StreamRow) -> None:
    """Let the stream's key open it; after the database has it."""
    await Bucket(services.ctx.bus.js, STREAM_KEYS).put(row.key_hash, _value(row))


def _value(row: StreamRow) -> bytes:
    value = StreamKey(stream=row.id, room=row.room, owner=row.owner, private=row.private, limits=row.limits)
    return value.model_dump_json().encode()


async def repair_keys(services: Services) -> None:
    """Make the bucket say what the database says: a gateway may have died between the two."""
    while True:
        try:
            added, removed = await _repair(services)
        except (NatsError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as exc:
            log.warning("stream keys not compared", error=repr(exc))
            await asyncio.sleep(RETRY_S)
            continue
        if added or removed:
            log.warning("stream keys repaired", added=added, removed=removed)
        return


async def _repair(services: Services) -> tuple[int, int]:
    bucket = Bucket(services.ctx.bus.js, STREAM_KEYS)
    # In this order a key that is in the bucket and then not in the database has been taken away.
    held = set(await bucket.keys())
    known: set[str] = set()
    added: list[StreamRow] = []
    after = ""
    while rows := await services.streams.page(services.pool, after=after, limit=PAGE):
        after = rows[-1].id
        known.update(row.key_hash for row in rows)
        for row in rows:
            entry = await bucket.get(row.key_hash)
            if entry is None or entry.value != _value(row):
                await put_key(services, row)
                added.append(row)
    removed = 0
    for key_hash in held - known:
        if await bucket.get(key_hash) is not None:
            await bucket.delete(key_hash)
            removed += 1
    if added:
        # One of them may have been about to go: its key went first.
        await asyncio.sleep(RECHECK_S)
        for row in added:
            now = await services.streams.by_id(services.pool, row.id)
            if now is None or now.key_hash != row.key_hash:
                await bucket.delete(row.key_hash)
    return len(added), removed
