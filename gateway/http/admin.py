"""What the site's admins see: streams of everybody, and the processes that live."""

from __future__ import annotations

from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ValidationError

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.messages.base import EpochMs
from bus_schemas.messages.room import NodeSeen
from bus_schemas.permissions import SiteRole
from bus_schemas.streams import NODES
from gateway.http.endpoints import Call, Endpoint, add_endpoints
from gateway.http.paging import Page, PageQuery, cut
from gateway.http.stream_view import StreamShown, shown
from gateway.live.overview import published
from runtime import direct


class StreamsQuery(PageQuery):
    """Which streams."""

    status: Literal["live", "all"] = "live"
    """`live`: those that somebody publishes now."""


class StreamOfSomebody(StreamShown):
    """One stream, with whose it is."""

    owner: str


class NodeShown(BaseModel):
    """One process."""

    kind: str
    node: str
    version: str
    started_at: EpochMs
    at: EpochMs
    """When it was heard of last."""
    pid: int
    address: str
    load: dict[str, Any]


class Nodes(BaseModel):
    """All of them."""

    items: tuple[NodeShown, ...]
    next: None = None


async def list_streams(call: Call) -> Page[StreamOfSomebody]:
    """Streams of everybody, by id."""
    _require_admin(call)
    services, query = call.services, call.query(StreamsQuery)
    position = query.position()
    after = position[1] if position else ""
    if query.status == "all":
        page, following = cut(
            await services.streams.page(services.pool, after=after, limit=query.limit + 1),
            query.limit,
            lambda row: (0, row.id),
        )
        rows = await services.streams.some(services.pool, [row.id for row in page])
    else:
        ids, following = cut(
            await published(services.ctx.bus, after=after, limit=query.limit + 1),
            query.limit,
            lambda stream: (0, stream),
        )
        rows = await services.streams.some(services.pool, list(ids))
    rows.sort(key=lambda row: row.id)
    seen = await shown(call, rows, private=True)
    items = tuple(
        StreamOfSomebody(owner=row.owner, **one.model_dump()) for row, one in zip(rows, seen, strict=True)
    )
    return Page[StreamOfSomebody](items=items, next=following)


async def list_nodes(call: Call) -> Nodes:
    """The processes that said lately that they live."""
    _require_admin(call)
    found = []
    for message in await direct.last_of_each(call.services.ctx.bus, NODES.stream, f"$KV.{NODES.name}.>"):
        try:
            seen = NodeSeen.model_validate_json(message.data) if message.data else None
        except ValidationError:
            continue  # Of a newer version: nothing to show of it.
        if seen is not None:
            found.append(NodeShown(**seen.model_dump(exclude={"v"})))
    return Nodes(items=tuple(sorted(found, key=lambda node: (node.kind, node.node))))


def _require_admin(call: Call) -> None:
    if call.principal.user.role is SiteRole.USER:
        raise Refused(ErrorCode.FORBIDDEN, "Only the site's admins see this.")


def add_routes(app: web.Application) -> None:
    """Register the resource."""
    denied = ErrorCode.FORBIDDEN
    add_endpoints(
        app,
        [
            Endpoint(
                "GET", "admin/streams", list_streams, "Streams of everybody", "admin", query=StreamsQuery,
                answer=Page[StreamOfSomebody], errors=(denied,),
            ),
            Endpoint(
                "GET", "admin/nodes", list_nodes, "The processes that live", "admin", answer=Nodes,
                errors=(denied,),
            ),
        ],
    )  # fmt: skip
