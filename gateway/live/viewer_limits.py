"""How many may watch a stream: the site's limit, and the stream's own or what a hook said in its place."""

from __future__ import annotations

import asyncio
from typing import Final

from nats.errors import Error as NatsError
from pydantic import ValidationError

from bus_schemas.messages.live import PublisherClaim
from bus_schemas.streams import PUBLISHERS
from gateway.db.streams import StreamRow
from runtime.bus import Bus
from runtime.kv import Bucket
from runtime.logs import get_logger

log = get_logger("live.viewer_limits")

KNOWN_S: Final = 2.0
"""How long a publisher's claim is remembered."""
KNOWN_MAX: Final = 10_000


def limit_of(own: int, hooked: int | None, site: int) -> int:
    """The limit that holds, 0 for none: `hooked` stands in place of `own`, within the site's. Pure."""
    limits = [limit for limit in (own if hooked is None else hooked, site) if limit]
    return min(limits, default=0)


class ViewerLimits:
    """Looks limits up for those who begin to watch."""

    def __init__(self, bus: Bus, site: int) -> None:
        self._bus = bus
        self._site = site
        self._known: dict[str, tuple[float, int | None]] = {}

    async def of(self, row: StreamRow) -> int:
        """How many may watch this stream now; 0: as many as come."""
        return limit_of(row.limits.viewers, await self._hooked(row.id), self._site)

    async def _hooked(self, stream: str) -> int | None:
        now = asyncio.get_running_loop().time()
        until, hooked = self._known.get(stream, (0.0, None))
        if until > now:
            return hooked
        try:
            claim = await Bucket(self._bus.js, PUBLISHERS).get(stream)
            hooked = PublisherClaim.model_validate_json(claim.value).viewers if claim is not None else None
        except (NatsError, TimeoutError, ValidationError) as error:
            # What was known goes on: who watches is not put to the proof while the bus is away.
            log.debug("a publisher's claim not read", stream=stream, error=repr(error))
        self._known.pop(stream, None)
        if len(self._known) >= KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[stream] = now + KNOWN_S, hooked
        return hooked
