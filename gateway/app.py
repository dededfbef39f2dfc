"""The gateway: HTTP, sockets and live delivery, one process of several behind one port."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import asyncpg
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

import gateway.http.accounts
import gateway.http.admin
import gateway.http.clock
import gateway.http.invitations
import gateway.http.members
import gateway.http.messages
import gateway.http.openapi
import gateway.http.pages
import gateway.http.playback
import gateway.http.playlist
import gateway.http.rooms
import gateway.http.sign_in
import gateway.http.socket_page
import gateway.http.streams
import gateway.live.routes
import gateway.ws.routes
from bus_schemas.limits import JSON_BODY_MAX
from gateway.auth.keys import RELOAD_S, Keys
from gateway.auth.passwords import Passwords
from gateway.auth.revocation import Revocations
from gateway.auth.tokens import Tokens
from gateway.client_address import ClientAddresses
from gateway.db.accounts import Accounts
from gateway.db.audit import Audit
from gateway.db.invitations import Invitations
from gateway.db.members import Members
from gateway.db.playlist import Playlist
from gateway.db.queries import DATABASE_FAILURES
from gateway.db.rooms import Rooms
from gateway.db.streams import Streams
from gateway.http.problems import make_edge, on_prepare
from gateway.outbox import Outbox
from gateway.rate_limits import RateLimits
from gateway.services import SERVICES, Services
from runtime import health, postgres
from runtime.clock import now_ms
from runtime.lifecycle import Context, Unstartable
from runtime.logs import get_logger, redact
from runtime.settings import Settings

log = get_logger("gateway")

POOL_SIZE: Final = 8
REDIS_TIMEOUT_S: Final = 1.0
REDIS_CONNECTIONS: Final = 128
PROBE_S: Final = 1.0
CLEAN_UP_S: Final = 3_600.0
STUCK_STALLS: Final = 2
"""A client who takes nothing of any answer is closed after so many times what a viewer is allowed."""
STUCK_MAX_S: Final = 86_400
"""The kernel counts it in 31 bits of milliseconds."""
BACKLOG: Final = 4_096
"""Connections the kernel holds while the loop is busy: a room that opens at once."""


def make_app(services: Services) -> web.Application:
    """All routes, on the parts given; who runs it owns them."""
    app = web.Application(middlewares=[make_edge(services)], client_max_size=JSON_BODY_MAX)
    app[SERVICES] = services
    app.on_response_prepare.append(on_prepare)
    health.add_routes(app, services.ctx.health)
    gateway.http.clock.add_routes(app)
    gateway.http.sign_in.add_routes(app)
    gateway.http.accounts.add_routes(app)
    gateway.http.rooms.add_routes(app)
    gateway.http.members.add_routes(app)
    gateway.http.invitations.add_routes(app)
    gateway.http.playlist.add_routes(app)
    gateway.http.playback.add_routes(app)
    gateway.http.messages.add_routes(app)
    gateway.http.streams.add_routes(app)
    gateway.http.admin.add_routes(app)
    gateway.live.routes.add_routes(app)
    gateway.ws.routes.add_routes(app)
    gateway.http.pages.add_routes(app)
    gateway.http.openapi.add_routes(app)
    gateway.http.socket_page.add_routes(app)
    return app


@asynccontextmanager
async def app(ctx: Context) -> AsyncIterator[None]:
    """Connect, listen, and on leaving let everybody go."""
    async with AsyncExitStack() as stack:
        services = await build_services(ctx, stack)
        runner = web.AppRunner(
            make_app(services),
            access_log=None,
            logger=_server_log(),
            shutdown_timeout=ctx.settings.drain_s / 2,
            keepalive_timeout=ctx.settings.gateway.header_s,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await _listen(ctx, runner)
        yield


async def build_services(ctx: Context, stack: AsyncExitStack) -> Services:
    """The parts, connected and followed; `stack` closes them."""
    settings = ctx.settings
    dsn = settings.postgres_dsn.get_secret_value()
    pool = await postgres.connect(dsn, size=POOL_SIZE, application=f"matinee-gateway-{ctx.node}")
    stack.push_async_callback(_close_pool, pool)
    redis = await _connect_redis(settings)
    stack.push_async_callback(redis.aclose)
    passwords = Passwords(settings.auth)
    stack.callback(passwords.close)
    keys = Keys(pool)
    try:
        await keys.load_or_make(now_ms())
    except asyncpg.UndefinedTableError as exc:
        raise Unstartable("the database has no tables yet: run `matinee migrate` first.") from exc
    token_life_s = max(settings.auth.access_token_s, settings.auth.guest_token_s)
    revocations = Revocations(redis, token_life_s)
    await revocations.load()
    try:
        addresses = ClientAddresses(settings.gateway.trusted_proxies)
    except ValueError as exc:
        raise Unstartable(f"gateway.trusted_proxies (MATINEE_GATEWAY__TRUSTED_PROXIES): {exc}.") from exc
    outbox = Outbox(pool, ctx.bus, ctx.metrics)
    services = Services(
        ctx=ctx,
        pool=pool,
        redis=redis,
        tokens=Tokens(keys, revocations, settings.auth),
        passwords=passwords,
        limits=RateLimits(redis, enabled=settings.limits.enabled),
        addresses=addresses,
        outbox=outbox,
        audit=Audit(outbox),
        accounts=Accounts(),
        rooms=Rooms(),
        members=Members(),
        invitations=Invitations(),
        playlist=Playlist(),
        streams=Streams(),
    )
    for name, work in (
        ("outbox", outbox.relay()),
        ("revocations", revocations.follow()),
        ("signing-keys", _follow_keys(keys)),
        ("clean-up", _clean_up(services)),
        ("database-probe", _probe_database(services)),
    ):
        task = ctx.tasks.spawn(name, work, vital=True)
        stack.callback(task.cancel)
    return services


async def _listen(ctx: Context, runner: web.AppRunner) -> None:
    """The public port, shared with the other gateways of this host, and one of our own."""
    settings = ctx.settings.gateway
    for name, port, shared in (("http", settings.port, True), ("own", settings.own_port, False)):
        listening = socket.create_server(
            (settings.host, port),
            family=socket.AF_INET6 if ":" in settings.host else socket.AF_INET,
            backlog=BACKLOG,
            reuse_port=shared,
        )
        if sys.platform == "linux":
            # Connections inherit it: the kernel closes one whose client takes nothing, whatever it asked for.
            stuck_ms = int(min(STUCK_STALLS * ctx.settings.live.stall_s, STUCK_MAX_S) * 1_000)
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stuck_ms)
        await web.SockSite(runner, listening, backlog=BACKLOG).start()
        ctx.addresses[name] = _address_of(listening)


def _server_log() -> logging.Logger:
    """Where aiohttp says what went wrong, but not of bytes that are no HTTP: a traceback for each would fill a disk."""
    server_log = logging.getLogger("gateway.server")
    server_log.filters[:] = [_is_about_us]
    return server_log


def _is_about_us(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _connect_redis(settings: Settings) -> Redis:
    url = settings.redis_url.get_secret_value()
    redis = Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
        max_connections=REDIS_CONNECTIONS,
    )
    deadline = asyncio.get_running_loop().time() + postgres.CONNECT_DEADLINE_S
    while True:
        try:
            await redis.ping()
        except (RedisError, OSError, TimeoutError) as exc:
            if asyncio.get_running_loop().time() > deadline:
                await redis.aclose()
                raise Unstartable(
                    f"Redis at {redact(url)} does not answer ({exc!r}): start it, or set MATINEE_REDIS_URL."
                ) from exc
            await asyncio.sleep(0.1)
        else:
            return redis


async def _close_pool(pool: postgres.Pool) -> None:
    try:
        async with asyncio.timeout(2):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def _follow_keys(keys: Keys) -> None:
    while True:
        await asyncio.sleep(RELOAD_S)
        try:
            await keys.reload()
        except DATABASE_FAILURES as exc:
            log.warning("signing keys not read again", error=repr(exc))


async def _clean_up(services: Services) -> None:
    """Once an hour clear away what has expired: refresh tokens, invitations, cool-downs, guests without a token."""
    while True:
        await asyncio.sleep(CLEAN_UP_S)
        guests_before = now_ms() - services.ctx.settings.auth.guest_token_s * 1000
        try:
            await services.accounts.remove_expired_refresh(services.pool, now_ms())
            await services.accounts.remove_guests(services.pool, guests_before)
            await services.invitations.remove_expired(services.pool, now_ms())
            await services.members.forget_shut_out(services.pool, now_ms())
        except DATABASE_FAILURES as exc:
            log.warning("clean-up put off", error=repr(exc))


async def _probe_database(services: Services) -> None:
    """Say in readiness whether PostgreSQL answers."""
    fault: list[str] = []
    services.ctx.health.add("database", lambda: fault[0] if fault else None)
    while True:
        try:
            async with asyncio.timeout(2):
                await services.pool.fetchval("SELECT 1")
            fault.clear()
        except DATABASE_FAILURES as exc:
            fault[:] = [f"PostgreSQL does not answer ({type(exc).__name__})"]
        await asyncio.sleep(PROBE_S)
