"""`/ws`: handshakes in; all sockets of this gateway, tended and at the end sent elsewhere."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import Counter
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import hdrs, web

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.socket_frames import (
    BEARER_PREFIX,
    CLOSE_CODES,
    CLOSE_GOING_AWAY,
    CLOSE_TOO_SLOW,
    CLOSE_UNAUTHENTICATED,
    SUBPROTOCOL,
)
from gateway.auth.principal import Principal, bearer_token
from gateway.http.problems import AWAY
from gateway.idle_rooms import IdleRooms
from gateway.live.parts import LIVE
from gateway.services import SERVICES, Services
from gateway.ws import frames
from gateway.ws.consequences import Consequences
from gateway.ws.parts import ROOM_PARTS, RoomParts, build
from gateway.ws.session import CLOSE_S, Session
from gateway.ws.stream_viewers import StreamViewers
from runtime.clock import now_ms
from runtime.logs import get_logger

log = get_logger("ws.routes")

TICK_S: Final = 0.1
TICKS_A_SECOND: Final = 10
SEND_BUFFER_BYTES: Final = 256 << 10
"""Of the kernel: a slow reader is noticed while little waits for him."""
DRAIN_BATCH: Final = 100
DRAINED_S: Final = 3.0


class Sockets:
    """The open sockets of a gateway."""

    def __init__(self, parts: RoomParts) -> None:
        self._parts = parts
        self._sessions: dict[int, Session] = {}
        self._slow: set[Session] = set()
        self._by_address: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        ctx = parts.services.ctx
        self._open = ctx.metrics.gauge("matinee_sockets")
        self._closed = ctx.metrics.counter("matinee_socket_closed_total")
        self._dropped = ctx.metrics.counter("matinee_socket_dropped_total")
        self._limit = ctx.settings.limits.sockets_per_address if ctx.settings.limits.enabled else 0
        self._emptied = asyncio.Event()
        self.draining = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One socket; refused before the handshake where it could not be told why on it."""
        if self.draining:
            raise Refused(ErrorCode.UNAVAILABLE, "This server is going away: ask another one.", retry_after=1)
        offered = _subprotocols(request)
        if offered and SUBPROTOCOL not in offered:
            raise Refused(ErrorCode.INVALID, f"Offer the subprotocol {SUBPROTOCOL}.", status=400)
        address = self._parts.services.addresses.of(request)
        if self._limit and self._by_address[address] >= self._limit:
            raise Refused(ErrorCode.RATE_LIMITED, "Too many sockets from your address.", retry_after=5)
        ws = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            compress=False,
            autoping=False,
            max_msg_size=frames.MESSAGE_MAX,
            timeout=CLOSE_S / 2,
        )
        if not ws.can_prepare(request).ok:
            raise Refused(
                ErrorCode.INVALID, "This is the address of the socket: connect with WebSocket.", status=400
            )
        self._by_address[address] += 1
        try:
            await ws.prepare(request)
            principal = await self._authenticate(request, offered)
            if isinstance(principal, Refused):
                await _close(ws, CLOSE_UNAUTHENTICATED, principal.detail)
                self._closed.labels(str(CLOSE_UNAUTHENTICATED)).inc()
            else:
                await self._serve(ws, request, principal)
        finally:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]
        return ws

    async def _authenticate(self, request: web.Request, offered: list[str]) -> Principal | Refused:
        """By header, by query, or by a second subprotocol, in this order."""
        token = bearer_token(request) or request.query.get("token") or _bearer(offered)
        if not token:
            return Refused(ErrorCode.UNAUTHENTICATED, "a token is wanted")
        try:
            return await self._parts.services.tokens.verify(token)
        except Refused as exc:
            return exc

    async def _serve(self, ws: web.WebSocketResponse, request: web.Request, principal: Principal) -> None:
        transport = request.transport
        if transport is None:
            return
        sock: socket.socket | None = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        session = Session(
            self._parts, ws, transport, principal, number=next(self._numbers), on_slow=self._slow.add
        )
        self._sessions[session.number] = session
        self._open.inc()
        try:
            await session.run()
        finally:
            del self._sessions[session.number]
            self._slow.discard(session)
            self._open.dec()
            if self.draining and not self._sessions:
                self._emptied.set()
            self._closed.labels(str(_shown_code(session.close_code or ws.close_code))).inc()
            if session.outgoing.dropped:
                self._dropped.labels("any").inc(session.outgoing.dropped)

    async def tend(self) -> None:
        """Flush, ping, close, for ever."""
        loop_time = asyncio.get_running_loop().time
        for tick in itertools.count():
            await asyncio.sleep(TICK_S)
            now = loop_time()
            for session in list(self._slow):
                session.outgoing.flush(now)
                if session.outgoing.too_slow:
                    session.close(CLOSE_TOO_SLOW, "too slow: resume where you are")
                if session.outgoing.too_slow or not session.outgoing.slow:
                    self._slow.discard(session)
            if tick % TICKS_A_SECOND:
                continue
            self._parts.hub.tend(now)
            wall_ms = now_ms()
            for session in list(self._sessions.values()):
                session.tend(now, wall_ms)

    def revoked(self, sign_in: str) -> None:
        """A sign-in was ended: its sockets end too."""
        for session in self._sessions.values():
            if session.principal.session == sign_in:
                session.close(CLOSE_UNAUTHENTICATED, "signed out")

    async def drain(self) -> None:
        """Send everybody elsewhere."""
        self.draining = True
        sessions = list(self._sessions.values())
        for start in range(0, len(sessions), DRAIN_BATCH):
            for session in sessions[start : start + DRAIN_BATCH]:
                session.close(CLOSE_GOING_AWAY, "this server is going away: reconnect")
            await asyncio.sleep(0)
        if self._sessions:
            try:
                async with asyncio.timeout(DRAINED_S):
                    await self._emptied.wait()
            except TimeoutError:
                log.warning("sockets left open by their clients", sockets=len(self._sessions))


def _shown_code(code: int | None) -> int:
    """For metrics: clients may close with any number."""
    return code if code is not None and (1000 <= code <= 1015 or code in CLOSE_CODES) else 1005


def _subprotocols(request: web.Request) -> list[str]:
    return [
        name.strip()
        for name in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",")
        if name.strip()
    ]


def _bearer(offered: list[str]) -> str | None:
    return next(
        (name.removeprefix(BEARER_PREFIX) for name in offered if name.startswith(BEARER_PREFIX)),
        None,
    )


async def _close(ws: web.WebSocketResponse, code: int, reason: str) -> None:
    try:
        async with asyncio.timeout(CLOSE_S):
            await ws.close(code=code, message=reason.encode())
    except (TimeoutError, ConnectionError) as exc:
        log.debug("socket did not close in time", error=repr(exc))


SOCKETS: Final = web.AppKey("sockets", Sockets)


async def _run(app: web.Application) -> AsyncIterator[None]:
    """The rooms' side of the gateway, from start to end of the application."""
    services = app[SERVICES]
    live = app[LIVE]
    parts = build(services, live.sessions)
    await parts.replies.start()
    await parts.hub.start()
    consequences = Consequences(parts)
    consequences.watch()
    sockets = Sockets(parts)
    services.tokens.revocations.on_revoked.append(sockets.revoked)
    app[ROOM_PARTS] = parts
    app[SOCKETS] = sockets
    stream_viewers = StreamViewers(services, parts.hub, live.viewer_counts)
    idle_rooms = IdleRooms(services, parts.hub)
    tasks = [
        services.ctx.tasks.spawn("room-visits", idle_rooms.note(), vital=True),
        services.ctx.tasks.spawn("idle-rooms", idle_rooms.expire(), vital=True),
        services.ctx.tasks.spawn("stream-viewers", stream_viewers.run(), vital=True),
        services.ctx.tasks.spawn("sockets", sockets.tend(), vital=True),
        services.ctx.tasks.spawn("presence", parts.presence.run(), vital=True),
        services.ctx.tasks.spawn("play-tokens", _renew(services, consequences), vital=True),
    ]
    yield
    for task in tasks:
        task.cancel()
    await parts.presence.stop()
    await parts.replies.stop()


async def _renew(services: Services, consequences: Consequences) -> None:
    """Renew play tokens, for ever, when half of their life is over."""
    while True:
        await asyncio.sleep(services.ctx.settings.auth.play_token_s / 2)
        try:
            await consequences.renew_play_tokens()
        except AWAY as exc:
            log.warning("play tokens not renewed", error=repr(exc))


async def _drain(app: web.Application) -> None:
    await app[SOCKETS].drain()


async def _socket(request: web.Request) -> web.StreamResponse:
    return await request.app[SOCKETS].handle(request)


def add_routes(app: web.Application) -> None:
    """Register `/ws` and what stands behind it."""
    app.cleanup_ctx.append(_run)
    app.on_shutdown.append(_drain)
    app.router.add_get("/ws", _socket)
