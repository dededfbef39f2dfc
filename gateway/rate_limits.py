"""Rate limits: per second in this process, per minute shared by all gateways through Redis."""

from __future__ import annotations

import asyncio
import math
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bus_schemas.errors import ErrorCode, Refused
from runtime.logs import get_logger

log = get_logger("rate_limits")

SUBJECTS_MAX: Final = 100_000
"""Subjects remembered at once; the oldest full ones go first."""
WINDOW_S: Final = 60


class TokenBuckets:
    """Token buckets by key: pure, the time is an argument (seconds, monotonic)."""

    def __init__(self, subjects_max: int = SUBJECTS_MAX) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}
        self._subjects_max = subjects_max

    def take(self, key: str, rate: float, burst: float, now: float) -> float:
        """Take one: 0 when there was one, else the seconds until there is."""
        tokens, since = self._buckets.pop(key, (burst, now))
        tokens = min(burst, tokens + max(0.0, now - since) * rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / rate
        self._buckets[key] = (tokens - 1 if wait == 0.0 else tokens, now)
        if len(self._buckets) > self._subjects_max:
            # Dicts keep insertion order, and each take moves its key to the end: the first is idle longest.
            del self._buckets[next(iter(self._buckets))]
        return wait

    def __len__(self) -> int:
        return len(self._buckets)


class RateLimits:
    """`take` lets a request through or refuses it with the seconds to wait.

    A per-second limit is each gateway's own (a burst of one second's worth); a per-minute limit is a
    window in Redis that all gateways share. While Redis is away the minute is counted here.
    """

    def __init__(self, redis: Redis, *, enabled: bool) -> None:
        self._redis = redis
        self._enabled = enabled
        self._buckets = TokenBuckets()
        self._redis_away = False

    def take_now(self, name: str, subject: str, per_second: float) -> None:
        """Like `take` per second, without awaiting: for hot paths."""
        if self._enabled:
            now = asyncio.get_running_loop().time()
            wait = self._buckets.take(f"{name} {subject}", per_second, per_second, now)
            if wait:
                raise _refused(wait)

    async def take(
        self, name: str, subject: str, *, per_second: float | None = None, per_minute: int | None = None
    ) -> None:
        """Count one use of `name` by `subject`; raises `Refused` rate_limited with `retry_after`."""
        if per_second is not None:
            self.take_now(name, subject, per_second)
        if per_minute is not None and self._enabled:
            wait = await self._take_minute(f"{name} {subject}", per_minute)
            if wait:
                raise _refused(wait)

    async def _take_minute(self, key: str, per_minute: int) -> float:
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.set(f"matinee:limit:{key}", 0, ex=WINDOW_S, nx=True)
                pipe.incr(f"matinee:limit:{key}")
                pipe.ttl(f"matinee:limit:{key}")
                _, used, left_s = await pipe.execute()
        except (RedisError, OSError, TimeoutError) as exc:
            if not self._redis_away:
                log.warning("Redis is away, limits per minute are counted here", error=repr(exc))
            self._redis_away = True
            now = asyncio.get_running_loop().time()
            return self._buckets.take(f"minute {key}", per_minute / WINDOW_S, per_minute, now)
        self._redis_away = False
        return 0.0 if int(used) <= per_minute else float(max(1, int(left_s)))


def _refused(wait: float) -> Refused:
    seconds = max(1, math.ceil(wait))
    return Refused(
        ErrorCode.RATE_LIMITED,
        f"Too many requests: try again in {seconds} second{'' if seconds == 1 else 's'}.",
        retry_after=seconds,
    )
