"""`rooms/{room}/playback`: the state everybody plays by, and commands that change it."""

from __future__ import annotations

from aiohttp import web

from bus_schemas.errors import ErrorCode
from bus_schemas.messages.base import Shape
from bus_schemas.messages.shapes import PlaybackState
from gateway.http.endpoints import Call, Endpoint, add_endpoints
from gateway.ws.frames import PlaybackCommand
from gateway.ws.parts import ROOM_PARTS


class PlaybackAnswer(Shape):
    """The state after the command, or as it is."""

    state: PlaybackState


async def current(call: Call) -> PlaybackAnswer:
    """The state now."""
    member = await call.membership()
    commands = call.request.app[ROOM_PARTS].commands
    return PlaybackAnswer(state=await commands.state(member.room.id))


async def command(call: Call) -> PlaybackAnswer:
    """Play, pause, seek, select and the rest."""
    member = await call.membership()
    commands = call.request.app[ROOM_PARTS].commands
    return PlaybackAnswer(state=await commands.playback(member, call.body(PlaybackCommand)))


def add_routes(app: web.Application) -> None:
    """Register the resource."""
    path = "rooms/{room}/playback"
    errors = (ErrorCode.NOT_FOUND, ErrorCode.FORBIDDEN)
    add_endpoints(
        app,
        [
            Endpoint(
                "GET", path, current, "The playback state", "playback", answer=PlaybackAnswer, errors=errors
            ),
            Endpoint(
                "POST",
                path,
                command,
                "Change the playback",
                "playback",
                body=PlaybackCommand,
                answer=PlaybackAnswer,
                errors=(*errors, ErrorCode.CONFLICT, ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE),
            ),
        ],
    )
