"""Viewer sessions of all gateways, in Redis: sorted sets by stream and protocol, scored by when each expires.

A gateway renews its own every few seconds; those of a gateway that died expire. An inferred session may be
seen by two gateways: it is one member, and the later expiry counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from redis.exceptions import RedisError

from bus_schemas.viewers import PROTOCOLS, Protocol, sessions_key
from gateway.live.viewer_session import Session
from runtime.clock import now_ms
from runtime.logs import get_logger

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = get_logger("live.sessions")

CONNECTED_S: Final = 12.0
"""A connected session that is not renewed for so long was of a gateway that died."""
KEY_S: Final = 120
"""A stream's sets go when nobody renews any session of it: longer than the longest silence."""
AT_ONCE: Final = 500
REDIS_FAULTS: Final = (RedisError, OSError, TimeoutError)

_COUNT: Final = """
local counts = {}
for i, key in ipairs(KEYS) do counts[i] = redis.call('ZCOUNT', key, ARGV[1], '+inf') end
return counts
"""
_ADMIT: Final = """
local watching = 0
for _, key in ipairs(KEYS) do watching = watching + redis.call('ZCOUNT', key, ARGV[1], '+inf') end
if watching >= tonumber(ARGV[2]) then return 0 end
local key = KEYS[tonumber(ARGV[3])]
redis.call('ZADD', key, ARGV[4], ARGV[5])
redis.call('EXPIRE', key, ARGV[6])
return 1
"""
"""Counting and adding in one step: two gateways cannot both give the last place away."""


class SharedSessions:
    """What is said to Redis; raises `REDIS_FAULTS` where it does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._count = redis.register_script(_COUNT)
        self._admit = redis.register_script(_ADMIT)

    async def admit(self, session: Session, limit: int) -> bool:
        """Add the session unless the stream has `limit` viewers already."""
        place = 1 + PROTOCOLS.index(session.protocol)
        now = now_ms()
        arguments: list[str | int] = [now, limit, place, expiry_ms(session, now), session.id, KEY_S]
        return bool(await self._admit(keys=_keys(session.stream), args=arguments))

    async def knows(self, stream: str, protocol: Protocol, session: str) -> bool:
        """Whether some gateway has this session."""
        score = await self._redis.zscore(sessions_key(stream, protocol), session)
        return score is not None and score > now_ms()

    async def renew(self, sessions: Iterable[Session]) -> None:
        """Write when these expire."""
        now = now_ms()
        by_key: dict[str, dict[str, float]] = {}
        for session in sessions:
            by_key.setdefault(sessions_key(session.stream, session.protocol), {})[session.id] = expiry_ms(
                session, now
            )
        for key, members in by_key.items():
            listed = list(members.items())
            async with self._redis.pipeline(transaction=False) as pipe:
                for start in range(0, len(listed), AT_ONCE):
                    pipe.zadd(key, dict(listed[start : start + AT_ONCE]), gt=True)
                pipe.zremrangebyscore(key, "-inf", now)
                pipe.expire(key, KEY_S)
                await pipe.execute()

    async def remove(self, sessions: Iterable[Session]) -> None:
        """These are over."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for session in sessions:
                pipe.zrem(sessions_key(session.stream, session.protocol), session.id)
            await pipe.execute()

    async def counts(self, streams: list[str]) -> dict[str, dict[Protocol, int]]:
        """Viewers over all gateways, by stream and protocol; protocols without any are left out."""
        counted: dict[str, dict[Protocol, int]] = {}
        for start in range(0, len(streams), AT_ONCE):
            some = streams[start : start + AT_ONCE]
            found = await self._count(keys=[key for stream in some for key in _keys(stream)], args=[now_ms()])
            for number, stream in enumerate(some):
                row = found[number * len(PROTOCOLS) : (number + 1) * len(PROTOCOLS)]
                counted[stream] = {
                    protocol: int(n) for protocol, n in zip(PROTOCOLS, row, strict=True) if int(n)
                }
        return counted


def expiry_ms(session: Session, now: int) -> int:
    """When a session renewed now is over unless it is renewed again, epoch ms."""
    return now + int(1_000 * (session.silence_s if session.inferred else CONNECTED_S))


def _keys(stream: str) -> list[str]:
    return [sessions_key(stream, protocol) for protocol in PROTOCOLS]
