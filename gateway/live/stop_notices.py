"""`on_stop`, told once for each viewer whoever ends: he, his gateway, or the worker that served him."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from gateway.live.owed_stops import Owed, OwedStops
from gateway.live.shared_sessions import REDIS_FAULTS, expiry_ms
from gateway.live.viewer_session import Session
from runtime.clock import now_ms
from runtime.hooks import Hooks
from runtime.logs import get_logger

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = get_logger("live.stop_notices")

OWE_S: Final = 1.0
STEADY_S: Final = 10.0
"""Redis must have answered for so long, without a break, before what expired in it counts as nobody's."""
BREAK_S: Final = 3.0
"""A look that comes so late says that this process, or the machine, stood still."""
LATE_MS: Final = 3_000
"""How long an entry must have expired: its gateway may be slow."""
REAP_S: Final = 2.0
GONE_MAX: Final = 10_000
"""Viewers whose end waits to be told; more of them expire, and are told of then."""


class StopNotices:
    """The notices of one gateway; does nothing where no hook wants them. Raises what Redis raises but in `owe`."""

    def __init__(self, redis: Redis, hooks: Hooks) -> None:
        self._owed = OwedStops(redis)
        self._hooks = hooks
        self._wanted = hooks.asks("on_stop")
        self._gone: set[Session] = set()
        self._steady_since: float | None = None
        self._looked = self._reaped = 0.0
        self._missed = False
        """Whether Redis was away, and may have lost what it had."""

    async def owe(self, session: Session) -> None:
        """A viewer begins; never fails: one that Redis did not take is owed again when it is back."""
        if not self._wanted:
            return
        session.began_ms = now_ms()
        try:
            async with asyncio.timeout(OWE_S):
                await self._owed.put([_entry(session)])
        except REDIS_FAULTS as error:
            self._missed = True
            log.debug("a viewer not written down", error=repr(error))

    async def renew(self, sessions: Iterable[Session]) -> None:
        """These go on."""
        if self._wanted:
            now = now_ms()
            await self._owed.renew([(session, expiry_ms(session, now)) for session in sessions])

    def gone(self, session: Session) -> None:
        """This one is over: told with the next `settle`."""
        if self._wanted and len(self._gone) < GONE_MAX:
            self._gone.add(session)

    async def settle(self, watching: Iterable[Session]) -> None:
        """Tell of those who are gone; `watching` are those who are not."""
        if not self._wanted:
            return
        if self._missed:
            await self._owed.put([_entry(session) for session in (*watching, *self._gone)])
            self._missed = False
        gone = list(self._gone)
        if not gone:
            return
        now = now_ms()
        for owed in await self._owed.take(gone):
            if owed is not None:
                self._tell(owed, now)
        self._gone.difference_update(gone)

    async def reap(self, now: float) -> None:
        """Tell of viewers whose gateway or worker died; asked each second (`now`: loop's clock, s)."""
        if not self._wanted:
            return
        if self._steady_since is None or now - self._looked > BREAK_S:
            self._steady_since = now
        self._looked = now
        if now - self._steady_since < STEADY_S or now - self._reaped < REAP_S:
            return
        self._reaped = now
        for owed, until in await self._owed.reap(now_ms() - LATE_MS):
            log.info("a viewer of a process that died", stream=owed.facts.get("stream"))
            self._tell(owed, until)

    def lost_sight(self) -> None:
        """Redis does not answer."""
        self._steady_since = None
        self._missed = True

    def _tell(self, owed: Owed, ended_ms: int) -> None:
        watched_s = max(0, round((ended_ms - owed.began_ms) / 1_000))
        self._hooks.tell("on_stop", {**owed.facts, "duration": watched_s})


def _entry(session: Session) -> tuple[Session, Owed, int]:
    return session, Owed(session.facts, session.began_ms), expiry_ms(session, now_ms())
