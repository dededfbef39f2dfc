"""`rooms/{room}/messages`: chat history, and taking a message away."""

from __future__ import annotations

from typing import Literal

from aiohttp import web
from pydantic import Field

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.messages.base import Shape
from bus_schemas.messages.shapes import ChatMessage
from bus_schemas.permissions import Permission
from gateway.http.endpoints import Call, Endpoint, add_endpoints
from gateway.http.paging import LIMIT_MAX
from gateway.membership import check_id, require
from gateway.ws.parts import ROOM_PARTS
from runtime.rich_text import as_html


class HistoryQuery(Shape):
    """Messages in front of one (`before`, its id), or the last; `format=html` adds `html`."""

    before: str | None = None
    limit: int = Field(default=50, ge=1, le=LIMIT_MAX)
    format: Literal["text", "html"] = "text"


class ShownMessage(ChatMessage):
    """A message; `html` is its text with links and line breaks, safe to insert, where it was asked for."""

    html: str | None = None


class History(Shape):
    """Messages, the newest last; `next` is the `before` of the page in front of it, null at the beginning."""

    items: tuple[ShownMessage, ...]
    next: str | None


async def history(call: Call) -> History:
    """A page of history, newest last."""
    member, query = await call.membership(), call.query(HistoryQuery)
    require(member, Permission.VIEW_CHAT_HISTORY)
    messages, pool, room = call.request.app[ROOM_PARTS].messages, call.services.pool, member.room.id
    if query.before is None:
        found: list[ChatMessage] | None = await messages.newest(pool, room, query.limit + 1)
    else:
        found = await messages.before(pool, room, check_id(query.before, "message"), query.limit + 1)
    if found is None:
        raise Refused(ErrorCode.NOT_FOUND, "There is no such message.")
    page = found[-query.limit :]
    return History(
        items=tuple(_shown(message, html=query.format == "html") for message in page),
        next=page[0].id if len(found) > query.limit else None,
    )


def _shown(message: ChatMessage, *, html: bool) -> ShownMessage:
    return ShownMessage(**message.model_dump(), html=as_html(message.text) if html else None)


async def remove(call: Call) -> None:
    """Take a message away for everybody."""
    member = await call.membership()
    await call.request.app[ROOM_PARTS].commands.delete_message(member, call.id("message"))


def add_routes(app: web.Application) -> None:
    """Register the resource."""
    errors = (ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN)
    add_endpoints(
        app,
        [
            Endpoint(
                "GET",
                "rooms/{room}/messages",
                history,
                "Chat history",
                "chat",
                query=HistoryQuery,
                answer=History,
                errors=errors,
            ),
            Endpoint(
                "DELETE",
                "rooms/{room}/messages/{message}",
                remove,
                "Take a message away",
                "chat",
                errors=(*errors, ErrorCode.UNAVAILABLE),
            ),
        ],
    )
