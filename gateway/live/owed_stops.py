"""`on_stop` that is still owed to hooks, in Redis: whoever takes an entry out is the one to tell.

An entry is made before a viewer's first byte, renewed with his session, and taken out when he goes. One that
expired was of a gateway or worker that died: any gateway takes it out, and of several exactly one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from gateway.live.viewer_session import Session
from runtime.logs import get_logger

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = get_logger("live.owed_stops")

_EXPIRIES: Final = "matinee:stops"
_FACTS: Final = "matinee:stops:facts"
AT_ONCE: Final = 200

_TAKE: Final = """
local taken = {}
for i, member in ipairs(ARGV) do
  local facts = false
  if redis.call('ZREM', KEYS[1], member) == 1 then facts = redis.call('HGET', KEYS[2], member) end
  redis.call('HDEL', KEYS[2], member)
  taken[i] = facts
end
return taken
"""
_REAP: Final = """
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local taken = {}
for i = 1, #found, 2 do
  local facts = redis.call('HGET', KEYS[2], found[i])
  redis.call('ZREM', KEYS[1], found[i])
  redis.call('HDEL', KEYS[2], found[i])
  if facts then taken[#taken + 1] = facts; taken[#taken + 1] = found[i + 1] end
end
return taken
"""
"""Looking and taking in one step: two gateways cannot both find the same one."""

Facts = dict[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Owed:
    """What hooks are to be told of one viewer."""

    facts: Facts
    began_ms: int


_OWED: Final = TypeAdapter(Owed)


class OwedStops:
    """What is said to Redis; raises `REDIS_FAULTS` where it does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._take = redis.register_script(_TAKE)
        self._reap = redis.register_script(_REAP)

    async def put(self, entries: Iterable[tuple[Session, Owed, int]]) -> None:
        """These will be owed; each with when it expires, epoch ms. One that is there already stays."""
        listed = list(entries)
        for start in range(0, len(listed), AT_ONCE):
            some = listed[start : start + AT_ONCE]
            async with self._redis.pipeline(transaction=True) as pipe:
                for session, owed, _ in some:
                    pipe.hsetnx(_FACTS, _member(session), to_json(owed).decode())
                pipe.zadd(_EXPIRIES, {_member(session): until for session, _, until in some}, nx=True)
                await pipe.execute()

    async def renew(self, expiries: Iterable[tuple[Session, int]]) -> None:
        """Those that are there live on until then."""
        listed = [(_member(session), until) for session, until in expiries]
        for start in range(0, len(listed), AT_ONCE):
            # NX would bring one back that another gateway has taken out.
            await self._redis.zadd(_EXPIRIES, dict(listed[start : start + AT_ONCE]), xx=True, gt=True)

    async def take(self, sessions: Sequence[Session]) -> list[Owed | None]:
        """What is owed of these and now ours to tell; None where somebody else told, or will."""
        taken: list[Owed | None] = []
        for start in range(0, len(sessions), AT_ONCE):
            some = [_member(session) for session in sessions[start : start + AT_ONCE]]
            found: list[Any] = await self._take(keys=[_EXPIRIES, _FACTS], args=some)
            taken += [_read(facts) if facts else None for facts in found]
        return taken

    async def reap(self, before_ms: int) -> list[tuple[Owed, int]]:
        """Some that expired before then, with when they did; ours to tell."""
        found: list[Any] = await self._reap(keys=[_EXPIRIES, _FACTS], args=[before_ms, AT_ONCE])
        read = [(_read(found[at]), int(float(found[at + 1]))) for at in range(0, len(found), 2)]
        return [(owed, until) for owed, until in read if owed is not None]


def _member(session: Session) -> str:
    return f"{session.stream}:{session.protocol.value}:{session.id}"


def _read(facts: str | bytes) -> Owed | None:
    try:
        return _OWED.validate_json(facts)
    except ValidationError as error:
        log.error("an owed on_stop does not parse", error=str(error))
        return None
