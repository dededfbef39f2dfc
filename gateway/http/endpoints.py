"""One declaration an endpoint: its route, its models, its rules. Routing and OpenAPI are made from it.

A handler takes a `Call` and gives the model of its answer; what it raises as `Refused` becomes a problem
document. `add_endpoints(app, ENDPOINTS)` in a part's `add_routes(app)` registers and documents them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.limits import JSON_BODY_MAX, JSON_DEPTH_MAX
from gateway.auth.principal import Principal, require_principal
from gateway.http.json_depth import deeper_than
from gateway.membership import Membership, check_id, membership
from gateway.services import SERVICES, Services

B = TypeVar("B", bound=BaseModel)

API: Final = "/api/v1/"
DEADLINE_S: Final = 10.0
"""Beyond this a request is answered `unavailable`: a database or bus that hangs holds nobody."""

Access = Literal["anybody", "signed-in"]


@dataclass(slots=True)
class Call:
    """One request on its way through a handler."""

    request: web.Request
    services: Services
    _principal: Principal | None = None
    _body: BaseModel | None = None
    _query: BaseModel | None = None

    @property
    def principal(self) -> Principal:
        """Who asks, on endpoints for the signed-in."""
        assert self._principal is not None, "the endpoint is for anybody"
        return self._principal

    @property
    def address(self) -> str:
        """Where the request comes from."""
        return self.services.addresses.of(self.request)

    def body(self, model: type[B]) -> B:
        """The body, which is of the endpoint's declared model."""
        assert isinstance(self._body, model), "the endpoint declares another body"
        return self._body

    def query(self, model: type[B]) -> B:
        """The query parameters, which are of the endpoint's declared model."""
        assert isinstance(self._query, model), "the endpoint declares another query"
        return self._query

    def id(self, name: str) -> str:
        """An id of the path; raises `Refused` not_found for what could never be one (dots, wildcards)."""
        return check_id(self.request.match_info[name], name)

    async def membership(self) -> Membership:
        """The caller in the room of the path; raises `Refused` as `gateway.membership.membership`."""
        return await membership(self.services, self.id("room"), self.principal)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method and a path below `/api/v1/`."""

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    """Like `rooms/{room}/join`."""
    handler: Callable[[Call], Awaitable[BaseModel | None]]
    summary: str
    tag: str
    body: type[BaseModel] | None = None
    """None: a body is not read. A model whose fields all have defaults may be left out."""
    query: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    """None: 204, no content."""
    status: int = 200
    access: Access = "signed-in"
    errors: tuple[ErrorCode, ...] = field(default=())
    """What it refuses beyond what its body, query and access imply."""


ENDPOINTS: Final = web.AppKey[list[Endpoint]]("endpoints", list)


def add_endpoints(app: web.Application, endpoints: Sequence[Endpoint]) -> None:
    """Register these routes."""
    declared = app.setdefault(ENDPOINTS, [])
    for endpoint in endpoints:
        app.router.add_route(endpoint.method, API + endpoint.path, _serve(endpoint))
        declared.append(endpoint)


async def _read(request: web.Request, within_s: float) -> bytes:
    """The body; raises `Refused` invalid (408) for one that trickles in."""
    try:
        async with asyncio.timeout(within_s):
            return await request.read()
    except TimeoutError:
        raise Refused(
            ErrorCode.INVALID, f"The body did not come within {within_s:g} s.", status=408
        ) from None


def _serve(endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        services = request.app[SERVICES]
        call = Call(request, services)
        services.limits.take_now(
            "http", services.addresses.of(request), services.ctx.settings.limits.requests_per_second
        )
        if endpoint.access == "signed-in":
            call._principal = await require_principal(request)
        if endpoint.query is not None:
            call._query = _read_query(endpoint.query, request)
        if endpoint.body is not None:
            call._body = read_body(endpoint.body, await _read(request, services.ctx.settings.gateway.body_s))
        async with asyncio.timeout(DEADLINE_S):
            answer = await endpoint.handler(call)
        if answer is None:
            return web.Response(status=204)
        return web.Response(
            body=answer.model_dump_json().encode(), status=endpoint.status, content_type="application/json"
        )

    return serve


def read_body(model: type[B], body: bytes) -> B:
    """Parse a JSON body; raises `Refused` invalid: 400 for what is no JSON, 422 with `errors` for the rest."""
    if len(body) > JSON_BODY_MAX:
        raise Refused(ErrorCode.TOO_LARGE, f"A body may have {JSON_BODY_MAX} bytes.")
    if deeper_than(body, JSON_DEPTH_MAX):
        raise Refused(ErrorCode.INVALID, f"JSON may be nested {JSON_DEPTH_MAX} deep.", status=400)
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as exc:
        if any(
            error["type"] == "json_invalid" for error in exc.errors(include_url=False, include_context=False)
        ):
            raise Refused(ErrorCode.INVALID, "The body is not JSON.", status=400) from exc
        raise refused_by(exc) from exc


def _read_query(model: type[B], request: web.Request) -> B:
    try:
        return model.model_validate(dict(request.query))
    except ValidationError as exc:
        raise refused_by(exc) from exc


def refused_by(exc: ValidationError) -> Refused:
    """`invalid` with each fault's path and detail, the input itself left out."""
    errors = [
        {
            "path": ".".join(str(step) for step in error["loc"]),
            "detail": error["msg"].removeprefix("Value error, "),
        }
        for error in exc.errors(include_url=False, include_input=False, include_context=False)
    ]
    return Refused(ErrorCode.INVALID, "Some values are not right.", errors=errors[:100])
