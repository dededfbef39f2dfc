"""Where DASH periods stand on the wall clock: said once by some gateway, the same at all of them, in Redis."""

from __future__ import annotations

import asyncio
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.live.mpd import Anchor
from runtime.logs import get_logger

log = get_logger("live.anchors")

KEPT_S: Final = 2 * 24 * 3_600
REDIS_S: Final = 1.0


class Anchors:
    """The anchors of all gateways; without Redis each gateway keeps to its own."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def share(self, stream: str, init: str, period: str, own: Anchor) -> Anchor:
        """What was said first of this period: `own`, if nobody was before us."""
        key = f"matinee:dash:{stream}:{init}:{period}"
        try:
            async with asyncio.timeout(REDIS_S):
                await self._redis.set(key, f"{own.start_ms}:{own.media_ms}", nx=True, ex=KEPT_S)
                said = str(await self._redis.get(key) or "")
            start, _, media = said.partition(":")
            return Anchor(int(start), int(media))
        except (RedisError, OSError, TimeoutError, ValueError) as exc:
            log.warning("an anchor is not shared", stream=stream, error=repr(exc))
            return own
