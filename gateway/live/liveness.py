"""Whether a stream is live, as the bus says."""

from __future__ import annotations

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.streams import LIVE_HEADERS, PUBLISHERS
from bus_schemas.subjects import LIVE_HEADER
from runtime import direct
from runtime.bus import Bus
from runtime.kv import Bucket


def offline(stream: str) -> Refused:
    """The answer for a stream that is known and not live."""
    return Refused(ErrorCode.STREAM_OFFLINE, f"Nobody publishes stream {stream} now.")


async def is_live(bus: Bus, stream: str) -> bool:
    """Whether the stream can be played: it has codec headers, or a publisher whose headers are on their way."""
    if await direct.last(bus, LIVE_HEADERS.name, LIVE_HEADER.at(stream=stream)) is not None:
        return True
    return await Bucket(bus.js, PUBLISHERS).get(stream) is not None
