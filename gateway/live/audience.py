"""How many watch: FLV by open connections, HLS by who asked lately; summed over gateways through Redis."""

from __future__ import annotations

import asyncio
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bus_schemas.errors import ErrorCode, Refused
from runtime.clock import now_ms
from runtime.logs import get_logger

log = get_logger("live.audience")

LATELY_S: Final = 12.0
"""A player asks for its playlist at least once in 1.5 target durations."""
CLIENTS_MAX: Final = 20_000
"""Clients told apart per stream; more are not counted."""
TELL_S: Final = 4.0
STALE_S: Final = 3 * TELL_S


class RecentClients:
    """Distinct clients of one stream by when they asked last: pure, the time is an argument (s)."""

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}

    def see(self, client: int, now: float) -> None:
        """This client asked."""
        self._seen.pop(client, None)
        if len(self._seen) < CLIENTS_MAX:
            self._seen[client] = now

    def count(self, now: float) -> int:
        """How many asked lately."""
        # Dicts keep the order of insertion, and each sight moves a client to the end.
        while self._seen:
            client = next(iter(self._seen))
            if now - self._seen[client] <= LATELY_S:
                break
            del self._seen[client]
        return len(self._seen)


class SharedCounts:
    """Counts by stream and gateway, in Redis hashes that expire; without Redis each gateway knows its own."""

    def __init__(self, redis: Redis, node: str) -> None:
        self._redis = redis
        self._node = node

    async def tell(self, counts: dict[str, int]) -> None:
        """Write this gateway's counts; failing is only logged."""
        if not counts:
            return
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for stream, count in counts.items():
                    pipe.hset(_key(stream), self._node, f"{count}:{now_ms()}")
                    pipe.expire(_key(stream), int(STALE_S))
                await pipe.execute()
        except (RedisError, OSError, TimeoutError) as exc:
            log.debug("viewers not told", error=repr(exc))

    async def others(self, stream: str) -> int:
        """What the other gateways told."""
        try:
            async with asyncio.timeout(1):
                # redis-py types this as awaitable or not.
                told: dict[str, str] = await self._redis.hgetall(_key(stream))  # type: ignore[assignment,misc,unused-ignore]
        except (RedisError, OSError, TimeoutError):
            return 0
        fresh = now_ms() - STALE_S * 1_000
        total = 0
        for node, value in told.items():
            count, _, at = value.partition(":")
            if node != self._node and int(at) > fresh:
                total += int(count)
        return total


class ViewersPerAddress:
    """Counts open connections by address; a limit of 0 is none."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[str, int] = {}

    def enter(self, address: str) -> None:
        """One more; raises `Refused` rate_limited above the limit."""
        here = self._open.get(address, 0)
        if self._limit and here >= self._limit:
            raise Refused(
                ErrorCode.RATE_LIMITED,
                f"{here} streams are open from this address already: close one first.",
                retry_after=5,
            )
        self._open[address] = here + 1

    def leave(self, address: str) -> None:
        """One less."""
        left = self._open.pop(address, 1) - 1
        if left > 0:
            self._open[address] = left


def _key(stream: str) -> str:
    return f"matinee:viewers:{stream}"
