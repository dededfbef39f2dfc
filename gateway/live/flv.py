"""FLV over HTTP (`/live/{stream}.flv`) and over WebSocket (`/live/{stream}/ws`): the bus's own bytes."""

from __future__ import annotations

from aiohttp import web

from bus_schemas.viewers import Protocol
from gateway.live.parts import LIVE
from gateway.live.viewing import serve_response, serve_socket


async def serve_flv(request: web.Request) -> web.StreamResponse:
    """From the newest key frame on, for as long as the stream is live."""
    live = request.app[LIVE]
    row = await live.admission.stream(request)
    source = await live.sources.open(row.id)
    return await serve_response(
        request,
        row=row,
        content_type="video/x-flv",
        protocol=Protocol.FLV,
        beginning=source.file_header(),
        fanout=source.fanout,
    )


async def serve_flv_socket(request: web.Request) -> web.StreamResponse:
    """The same bytes as binary messages."""
    live = request.app[LIVE]
    row = await live.admission.stream(request)
    source = await live.sources.open(row.id)
    return await serve_socket(
        request, row=row, protocol=Protocol.WS_FLV, beginning=source.file_header(), fanout=source.fanout
    )
