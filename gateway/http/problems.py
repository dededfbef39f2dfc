"""Errors as RFC 9457 problem documents, and what every answer carries: request id, security headers, metrics."""

from __future__ import annotations

import asyncio
import json
import re
from http import HTTPStatus
from typing import Any, Final

import asyncpg
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from nats.errors import Error as NatsError
from nats.js.errors import APIError
from redis.exceptions import RedisError

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.limits import JSON_BODY_MAX
from gateway.rate_limits import TokenBuckets
from gateway.services import Services
from runtime import trace
from runtime.logs import get_logger

log = get_logger("http")

REQUEST_ID: Final = web.RequestKey("request_id", str)
"""Also the answer's `X-Request-Id`."""
STARTED: Final = web.RequestKey("started", bool)
"""Whether the head of the answer is out."""
_REQUEST_ID_FORM: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")
_READABLE: Final = "Content-Length, Content-Range, Date, Retry-After, X-Request-Id"
"""What a player's code on any page may read of an answer."""

AWAY: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.QueryCanceledError,
    NatsError,
    APIError,
    RedisError,
    ConnectionError,
    TimeoutError,
)
"""Errors that mean: a part behind does not answer. All but programming errors of ours."""


def unavailable() -> Refused:
    """For a part behind that does not answer."""
    return Refused(
        ErrorCode.UNAVAILABLE, "A part behind is not answering: try again in a moment.", retry_after=1
    )


def as_refused(exc: BaseException) -> Refused | None:
    """What a client is told of an error; None for one that is our own fault. For HTTP and socket alike."""
    if isinstance(exc, Refused):
        return exc
    return unavailable() if isinstance(exc, (*AWAY, FileNotFoundError)) else None


def problem(refused: Refused, request_id: str) -> web.Response:
    """The document, `application/problem+json`."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(refused.status).phrase,
        "status": refused.status,
        "code": refused.code.value,
        "detail": refused.detail,
        "request_id": request_id,
    }
    if refused.errors is not None:
        body["errors"] = refused.errors
    if refused.state is not None:
        body["state"] = refused.state
    if refused.retry_after is not None:
        body["retry_after"] = refused.retry_after
    response = web.Response(
        body=json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
        status=refused.status,
        content_type="application/problem+json",
    )
    if refused.retry_after is not None:
        response.headers["Retry-After"] = str(max(1, round(refused.retry_after)))
    if refused.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _from_http(exc: web.HTTPException, request: web.Request) -> web.StreamResponse:
    """Aiohttp's own refusals in our words; redirects as they are."""
    if exc.status < HTTPStatus.BAD_REQUEST:
        raise exc
    if exc.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        refused = Refused(ErrorCode.TOO_LARGE, f"A body may have {JSON_BODY_MAX} bytes.")
    elif exc.status == HTTPStatus.METHOD_NOT_ALLOWED:
        refused = Refused(ErrorCode.INVALID, f"{request.method} is not for this address.", status=405)
    elif exc.status == HTTPStatus.NOT_FOUND:
        if not request.path.startswith(("/api/", "/live/")):
            return web.Response(status=404, text="There is nothing here.\n")
        refused = Refused(ErrorCode.NOT_FOUND, "There is nothing at this address.")
    else:
        refused = Refused(ErrorCode.INVALID, exc.reason, status=exc.status)
    response = problem(refused, request[REQUEST_ID])
    if "Allow" in exc.headers:
        response.headers["Allow"] = exc.headers["Allow"]
    return response


def route_of(request: web.Request) -> str:
    """The route's template, so that metrics do not grow with ids."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"


def make_edge(services: Services) -> Middleware:
    """The outermost middleware: gives the request its id and trace, answers errors, counts and times."""
    requests = services.ctx.metrics.counter("matinee_http_requests_total")
    seconds = services.ctx.metrics.histogram("matinee_http_seconds")
    clock = asyncio.get_running_loop().time
    said = TokenBuckets(8)

    def translate(exc: Exception, request: web.Request) -> Refused:
        refused = as_refused(exc)
        if refused is None:
            log.error("request failed", path=request.path, request_id=request[REQUEST_ID], exc_info=exc)
            return Refused(ErrorCode.UNAVAILABLE, "Something went wrong here.", status=500)
        # A part that is away fails every request: one line a second says it as well.
        if not isinstance(exc, Refused) and said.take("away", 1, 1, clock()) == 0:
            log.warning("a part behind is not answering", path=request.path, error=repr(exc))
        return refused

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as exc:
            return _from_http(exc, request)
        except Exception as exc:  # noqa: BLE001 - the edge: whatever it is, the client gets an answer
            if request.get(STARTED) and request.transport is not None:
                # Part of the answer is out: all that is left to say is that it ends here.
                request.transport.abort()
            return problem(translate(exc, request), request[REQUEST_ID])

    @web.middleware
    async def edge(request: web.Request, handler: Handler) -> web.StreamResponse:
        trace.enter(request.headers.get(trace.HEADER))
        given = request.headers.get("X-Request-Id", "")
        request[REQUEST_ID] = given if _REQUEST_ID_FORM.fullmatch(given) else trace.current()[3:35]
        route = route_of(request)
        began = clock()
        response = await answer(request, handler)
        if not request.get(STARTED):
            # A viewer's or a socket's time is how long somebody watched: no latency.
            seconds.labels(route).observe(clock() - began)
        requests.labels(route, request.method, str(response.status)).inc()
        return response

    return edge


async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
    """Headers of every answer: media may be read from anywhere, nothing may be sniffed or framed."""
    request[STARTED] = True
    headers = response.headers
    headers["X-Request-Id"] = request[REQUEST_ID]
    headers["Server"] = "matinee"
    headers["X-Content-Type-Options"] = "nosniff"
    if request.path.startswith("/live/"):
        headers.setdefault("Access-Control-Allow-Origin", "*")
        headers.setdefault("Access-Control-Expose-Headers", _READABLE)
        return
    headers.setdefault("X-Frame-Options", "DENY")
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    if request.path.startswith("/api/"):
        headers.setdefault("Cache-Control", "no-store")
