"""Sessions that were ended before their tokens expire: one set in Redis, followed by every gateway.

Each gateway keeps the set in memory and asks Redis four times a second whether it grew, so that checking
a token costs a dictionary look-up, and a sign-out holds everywhere within half a second. A Redis that
comes back empty is filled again from memory: what was revoked stays revoked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bus_schemas.errors import ErrorCode, Refused
from runtime.clock import now_ms
from runtime.logs import get_logger

log = get_logger("revocation")

POLL_S: Final = 0.25
PLAY_LIFE_MS: Final = 12 * 3_600_000
"""The longest life of a play token: a session begun with one."""
_SET: Final = "matinee:revoked"
_VERSION: Final = "matinee:revoked:version"


def play_key(stream: str, user: str) -> str:
    """The name under which one user's play tokens of one stream are revoked."""
    return f"play:{stream}:{user}"


class Revocations:
    """Sessions (`sid`) whose tokens count no more. `on_revoked` callbacks run as soon as one is known here."""

    def __init__(self, redis: Redis, token_life_s: int) -> None:
        self._redis = redis
        self._token_life_ms = token_life_s * 1000
        self._until: dict[str, int] = {}
        self._version = -1
        self.on_revoked: list[Callable[[str], None]] = []

    def __contains__(self, session: str) -> bool:
        return session in self._until

    def revoked_at(self, play: str) -> int | None:
        """When playing was ended for whom `play_key` names, epoch ms; tokens made later count again."""
        until = self._until.get(play)
        return None if until is None else until - PLAY_LIFE_MS

    async def revoke(self, *sessions: str) -> None:
        """End these sessions everywhere; raises `Refused` unavailable if Redis did not take it."""
        await self._revoke(sessions, now_ms() + self._token_life_ms)

    async def revoke_play(self, user: str, streams: Sequence[str]) -> None:
        """End what this user plays of these streams, everywhere; raises like `revoke`."""
        await self._revoke([play_key(stream, user) for stream in streams], now_ms() + PLAY_LIFE_MS)

    async def _revoke(self, sessions: Sequence[str], until: int) -> None:
        if not sessions:
            return
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.zadd(_SET, dict.fromkeys(sessions, until))
                pipe.incr(_VERSION)
                await pipe.execute()
        except (RedisError, OSError, TimeoutError) as exc:
            self._version = -1
            raise Refused(
                ErrorCode.UNAVAILABLE, "Signing out is not possible right now: try again.", retry_after=1
            ) from exc
        finally:
            # Here at least it counts at once; `follow` carries it over when Redis is back.
            for session in sessions:
                self._learn(session, until)

    async def load(self) -> None:
        """Read the set; raises what Redis raises."""
        version = int(await self._redis.get(_VERSION) or 0)
        if version == self._version:
            return
        now = now_ms()
        rows: Sequence[Any] = await self._redis.zrangebyscore(_SET, now, "+inf", withscores=True)
        there = {str(session): int(until) for session, until in rows}
        missing = {session: until for session, until in self._until.items() if until > now}
        missing = {session: until for session, until in missing.items() if session not in there}
        for session, until in there.items():
            self._learn(session, until)
        if missing:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.zadd(_SET, dict(missing))
                pipe.incr(_VERSION)
                await pipe.execute()
        self._version = version

    async def follow(self) -> None:
        """Keep in step, for ever."""
        away = False
        rounds = 0
        while True:
            await asyncio.sleep(POLL_S)
            rounds += 1
            try:
                await self.load()
                if rounds % 240 == 0:
                    await self._forget_expired()
                away = False
            except (RedisError, OSError, TimeoutError) as exc:
                if not away:
                    log.warning("Redis is away, revocations made elsewhere are late", error=repr(exc))
                away = True

    async def _forget_expired(self) -> None:
        now = now_ms()
        self._until = {session: until for session, until in self._until.items() if until > now}
        await self._redis.zremrangebyscore(_SET, "-inf", now)

    def _learn(self, session: str, until: int) -> None:
        if self._until.get(session, 0) < until:
            self._until[session] = until
            for callback in self.on_revoked:
                callback(session)
