"""Viewer sessions: begun, seen and ended by the handlers of all protocols; limited, counted, told to hooks.

A protocol that holds a connection: `async with sessions.watching(row, Protocol.FLV, request): …`. One whose
sessions are inferred: `sessions.begin` where the first playlist is made, its id as `?session=` in the
addresses inside; `sessions.resume` at each request for such an address.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from aiohttp import web

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.viewers import Protocol
from gateway.db.streams import StreamRow
from gateway.live.audience import ViewersPerAddress
from gateway.live.session_names import carried, derived, facts_of, named
from gateway.live.shared_sessions import REDIS_FAULTS, SharedSessions
from gateway.live.stop_notices import StopNotices
from gateway.live.viewer_limits import ViewerLimits
from gateway.live.viewer_session import Key, Session, SessionBook
from gateway.services import Services
from runtime.hook_reply import HookDeniedError
from runtime.hooks import Hooks
from runtime.ids import new_id
from runtime.logs import get_logger
from runtime.series import StreamSeries

log = get_logger("live.sessions")

TICK_S: Final = 1.0
RENEW_S: Final = 4.0
REDIS_S: Final = 1.0
RETRY_AFTER_S: Final = 10
NAMESAKES: Final = 16
"""Players that are told apart by their cookies though everything else about them is the same."""
OVER_MAX: Final = 10_000
"""Sessions to be taken back from Redis while it is away; more of them expire there by themselves."""


class Sessions:
    """The sessions of this gateway; `run` keeps Redis and the metrics up to date."""

    def __init__(self, services: Services, hooks: Hooks) -> None:
        ctx = services.ctx
        limits = ctx.settings.limits
        self.book = SessionBook()
        self.shared = SharedSessions(services.redis)
        self._addresses = services.addresses
        self._hooks = hooks
        self._tokens = services.tokens
        self._limits = ViewerLimits(ctx.bus, limits.viewers_per_stream) if limits.enabled else None
        self._stops = StopNotices(services.redis, hooks)
        self._per_address = ViewersPerAddress(limits.viewers_per_address if limits.enabled else 0)
        self._watching = ctx.metrics.gauge("matinee_live_viewers")
        self._series = StreamSeries(ctx.metrics, ctx.settings.metrics.streams, ("matinee_stream_viewers",))
        self._loop = asyncio.get_running_loop()
        self._arriving: dict[Key, asyncio.Event] = {}
        self._new: set[Session] = set()
        self._over: set[Session] = set()
        self._writing = asyncio.Lock()

    @asynccontextmanager
    async def watching(
        self, row: StreamRow, protocol: Protocol, request: web.Request
    ) -> AsyncIterator[Session]:
        """A session as long as its connection; raises like `begin`."""
        session = await self.begin(row, protocol, request, inferred=False)
        try:
            yield session
        finally:
            self.end(session)

    async def begin(
        self, row: StreamRow, protocol: Protocol, request: web.Request, *, inferred: bool = True
    ) -> Session:
        """A new session of a request that was admitted.

        Raises `Refused`: rate_limited where the stream or the address has its number of viewers, forbidden
        where a hook does not allow it.
        """
        return await self._begin(row, protocol, request, new_id(), inferred=inferred)

    async def resume(self, row: StreamRow, protocol: Protocol, request: web.Request) -> Session:
        """The inferred session that the request's address names, seen now; raises like `begin`.

        One that another gateway began is gone on with here; one that no gateway knows begins anew. A request
        that names none is told from others by its cookie, else by its address, client and token.
        """
        key, by_cookie = self._key_of(row, protocol, request)
        while (session := self.book.find(key)) is None:
            if (arriving := self._arriving.get(key)) is not None:
                await arriving.wait()
                continue
            arriving = self._arriving[key] = asyncio.Event()
            try:
                adopted = await self._is_known(key)
                session = await self._begin(row, protocol, request, key[2], inferred=True, adopted=adopted)
                break
            finally:
                del self._arriving[key]
                arriving.set()
        session.seen = self._loop.time()
        session.carried = session.carried or by_cookie
        return session

    async def goes_on(self, row: StreamRow, protocol: Protocol, request: web.Request) -> bool:
        """Whether the request is within an inferred session that lives, here or at another gateway; seen now."""
        key, _ = self._key_of(row, protocol, request)
        held = self.book.find(key)
        if held is None:
            return await self._is_known(key)
        held.seen = self._loop.time()
        return held.user == self._user(row, request)

    @contextmanager
    def waiting(self, session: Session) -> Iterator[None]:
        """The viewer of an inferred session is there meanwhile, though he asks for nothing: he waits for us."""
        session.waiting += 1
        try:
            yield
        finally:
            session.waiting -= 1
            session.seen = self._loop.time()

    def end(self, session: Session) -> None:
        """The viewer is gone; nothing if he was before."""
        if self._forget(session):
            if len(self._over) < OVER_MAX:
                self._over.add(session)
            self._stops.gone(session)

    def cut(self, sessions: Iterable[object]) -> None:
        """These may not go on: connections are closed, inferred sessions end. What is no session is left alone."""
        for session in sessions:
            if isinstance(session, Session):
                session.is_cut = True
                if session.inferred:
                    self.end(session)
                elif session.on_cut is not None:
                    session.on_cut()

    async def begin_elsewhere(self, row: StreamRow, session: Session) -> None:
        """A viewer whom a worker serves: asked for and counted, not kept here; raises like `begin`."""
        await self._ask(session)
        await self._take_place(row, session)
        await self._stops.owe(session)
        await self.beat_elsewhere(session)

    async def beat_elsewhere(self, session: Session) -> None:
        """He is still there: without another beat he expires."""
        try:
            async with asyncio.timeout(REDIS_S):
                await self.shared.renew([session])
                await self._stops.renew([session])
        except REDIS_FAULTS as exc:
            log.debug("a worker's viewer not told to Redis", error=repr(exc))

    async def end_elsewhere(self, session: Session) -> None:
        """He is gone."""
        try:
            async with asyncio.timeout(REDIS_S):
                await self.shared.remove([session])
                self._stops.gone(session)
                await self._stops.settle(self.book)
        except REDIS_FAULTS as exc:
            log.debug("the end of a worker's viewer not told to Redis", error=repr(exc))

    async def counts(self, stream: str) -> dict[Protocol, int]:
        """Viewers over all gateways by protocol; those here where Redis does not answer."""
        return (await self.counts_of([stream]))[stream]

    async def counts_of(self, streams: list[str]) -> dict[str, dict[Protocol, int]]:
        """The same for many streams."""
        if not streams:
            return {}
        try:
            async with asyncio.timeout(REDIS_S):
                await self._write_changes()
                return await self.shared.counts(streams)
        except REDIS_FAULTS:
            return {stream: self.book.counts(stream) for stream in streams}

    async def run(self) -> None:
        """Tell Redis and the metrics, end what is silent, for ever."""
        away = False
        while True:
            await asyncio.sleep(TICK_S)
            await self._end_silent()
            self._series.show({stream: (total,) for stream, total in self.book.totals().items()})
            now = self._loop.time()
            due = [
                session
                for session in self.book
                if now - session.told > RENEW_S
                and (session.seen > session.told or session.waiting or not session.inferred)
            ]
            try:
                async with asyncio.timeout(2 * REDIS_S):
                    await self._write_changes()
                    await self._renew(due)
                    await self._stops.reap(self._loop.time())
                away = False
            except REDIS_FAULTS as exc:
                self._stops.lost_sight()
                if not away:
                    log.warning("viewers not told to Redis", error=repr(exc))
                away = True

    async def close(self) -> None:
        """This gateway goes: those who were connected to it are gone, the others go on elsewhere."""
        elsewhere = [session for session in self.book if session.inferred]
        for session in list(self.book):
            if session.inferred:
                self._forget(session)
            else:
                self.end(session)
        try:
            async with asyncio.timeout(REDIS_S):
                await self._write_changes()
                # Each has its whole silence to turn up there.
                await self._renew(elsewhere)
        except REDIS_FAULTS as exc:
            log.debug("sessions not taken back", error=repr(exc))

    async def _begin(
        self,
        row: StreamRow,
        protocol: Protocol,
        request: web.Request,
        session_id: str,
        *,
        inferred: bool,
        adopted: bool = False,
    ) -> Session:
        now = self._loop.time()
        address = self._addresses.of(request)
        session = Session(session_id, row.id, protocol, address, now, now, inferred, room=row.room)
        session.user = self._user(row, request)
        self._per_address.enter(address)
        try:
            if self._hooks.asks("on_play") or self._hooks.asks("on_stop"):
                session.facts = facts_of(request, session)
            if not adopted:
                await self._ask(session)
                await self._take_place(row, session)
            await self._stops.owe(session)
        except BaseException:
            self._per_address.leave(address)
            raise
        self.book.add(session)
        self._watching.labels(protocol.value).inc()
        self._new.add(session)
        return session

    async def _ask(self, session: Session) -> None:
        if not self._hooks.asks("on_play"):
            return
        try:
            await self._hooks.ask("on_play", session.facts)
        except HookDeniedError as denied:
            raise Refused(ErrorCode.FORBIDDEN, f"Playing is not allowed: {denied.detail}.") from denied

    async def _take_place(self, row: StreamRow, session: Session) -> None:
        limit = await self._limits.of(row) if self._limits is not None else 0
        if not limit:
            return
        try:
            async with asyncio.timeout(REDIS_S):
                await self._write_changes()
                admitted = await self.shared.admit(session, limit)
        except REDIS_FAULTS:
            admitted = sum(self.book.counts(row.id).values()) < limit
        if not admitted:
            detail = f"No more than {limit} may watch this stream at once, and so many do: try again later."
            raise Refused(ErrorCode.RATE_LIMITED, detail, retry_after=RETRY_AFTER_S)

    async def _is_known(self, key: Key) -> bool:
        try:
            async with asyncio.timeout(REDIS_S):
                return await self.shared.knows(*key)
        except REDIS_FAULTS:
            return False

    async def _end_silent(self) -> None:
        for session in self.book.silent(self._loop.time()):
            if not self._forget(session):
                continue
            # What is silent here may go on at another gateway: there it is renewed, and here not taken back.
            if self._hooks.asks("on_stop") and not await self._is_known(session.key):
                self._stops.gone(session)

    def _forget(self, session: Session) -> bool:
        if not self.book.remove(session):
            return False
        self._per_address.leave(session.address)
        self._watching.labels(session.protocol.value).dec()
        self._new.discard(session)
        return True

    async def _write_changes(self) -> None:
        """Tell Redis who came and went; who could not be told stays to be told."""
        async with self._writing:
            new, over = set(self._new), set(self._over)
            if over:
                await self.shared.remove(over)
                self._over -= over
            if new:
                await self._renew(new)
                self._new -= new
            # One that ended while it was being added would be added for nothing.
            if gone := new & self._over:
                await self.shared.remove(gone)
            await self._stops.settle(self.book)

    async def _renew(self, sessions: Iterable[Session]) -> None:
        now = self._loop.time()
        sessions = list(sessions)
        if sessions:
            await self.shared.renew(sessions)
            await self._stops.renew(sessions)
        for session in sessions:
            session.told = now

    def _user(self, row: StreamRow, request: web.Request) -> str | None:
        return self._tokens.read_play(request.query["token"], row.id).user if row.restricted else None

    def _key_of(self, row: StreamRow, protocol: Protocol, request: web.Request) -> tuple[Key, bool]:
        """Which inferred session a request is of, and whether its cookie says so."""
        in_address = named(request)
        brought = in_address or carried(request)
        if brought is not None:
            held = self.book.find((row.id, protocol, brought))
            if held is not None and held.user != self._user(row, request):
                brought = None  # somebody else's: it would hide whose right to play this is
        if brought is not None:
            return (row.id, protocol, brought), not in_address
        return (row.id, protocol, self._derived(row.id, protocol, request)), False

    def _derived(self, stream: str, protocol: Protocol, request: web.Request) -> str:
        """The first id whose session, if there is one, is of nobody who would have brought his cookie."""
        address = self._addresses.of(request)
        for namesake in range(NAMESAKES):
            session_id = derived(request, address, namesake)
            session = self.book.find((stream, protocol, session_id))
            if session is None or not session.carried:
                break
        return session_id
