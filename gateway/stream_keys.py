"""Taking stream keys away: the key opens nothing any more, and who publishes by it is put off."""

from __future__ import annotations

from collections.abc import Sequence

from bus_schemas.messages.live import StreamControl
from bus_schemas.streams import STREAM_KEYS
from bus_schemas.subjects import LIVE_CONTROL
from gateway.services import Services
from runtime.emit import emit
from runtime.kv import Bucket


async def close_streams(services: Services, streams: Sequence[tuple[str, str]], reason: str) -> None:
    """`streams` are ids and key hashes.

    Call it before the rows go: if the process dies in between, the streams are closed but can still be
    rotated or deleted; the other way round a key without a row would open the door for ever.
    """
    bucket = Bucket(services.ctx.bus.js, STREAM_KEYS)
    for stream, key_hash in streams:
        await bucket.delete(key_hash)
        await emit(services.ctx.bus, LIVE_CONTROL, StreamControl(stream=stream, reason=reason), stream=stream)
