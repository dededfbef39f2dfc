"""Viewers on one long connection: over HTTP until the response ends, over WebSocket until one side closes.

The head, and what a file begins with, go out through aiohttp; after that a stream's fan-out writes
straight to the transport, the same bytes to everybody, and the handler only waits.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import HttpVersion11, WSCloseCode, WSMsgType, hdrs, web

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.viewers import Protocol
from gateway.db.streams import StreamRow
from gateway.live.fanout import Ending, Fanout, Viewer
from gateway.live.framing import Framing
from gateway.live.parts import LIVE
from gateway.live.viewer_session import Session
from gateway.services import SERVICES
from runtime.logs import get_logger

log = get_logger("live.viewing")

LAST_WRITE_S: Final = 5.0
"""How long the end of an ended stream's response may take."""
LAST_WORDS_S: Final = 0.5
"""How long one who is cut off may take to be told so."""
SOCKET_READ_MAX: Final = 4 << 10
"""A viewer has nothing to say."""


async def serve_response(
    request: web.Request,
    *,
    row: StreamRow,
    content_type: str,
    protocol: Protocol,
    beginning: bytes,
    fanout: Fanout,
) -> web.StreamResponse:
    """GET and HEAD of a file without an end: `beginning`, then the newest key frame and all that follows."""
    response = web.StreamResponse(
        headers={hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: "no-store", "X-Accel-Buffering": "no"}
    )
    if request.method == hdrs.METH_HEAD:
        await response.prepare(request)
        return response
    async with request.app[LIVE].sessions.watching(row, protocol, request) as session:
        chunked = request.version >= HttpVersion11
        if chunked:
            response.enable_chunked_encoding()
        else:
            response.force_close()
        await response.prepare(request)
        await response.write(beginning)
        transport = request.transport
        if transport is None:
            return response
        viewer = fanout.view(transport, Framing.CHUNKED if chunked else Framing.PLAIN)
        _cut_with(session, fanout, viewer)
        try:
            ending = await viewer.done
        finally:
            fanout.remove(viewer)
        _log_slow(request, row.id, viewer)
        if ending is Ending.ENDED:
            try:
                async with asyncio.timeout(LAST_WRITE_S):
                    await response.write_eof()
            except TimeoutError:
                transport.abort()
        else:
            transport.abort()
    return response


async def serve_socket(
    request: web.Request, *, row: StreamRow, protocol: Protocol, beginning: bytes, fanout: Fanout
) -> web.StreamResponse:
    """The same as binary WebSocket messages, cut where it suits the server: a player joins them.

    Closed with 1000 at the end of the stream, 1001 when this gateway goes, 1008 where the right to play ends;
    one who reads too slowly is cut off.
    """
    ws = web.WebSocketResponse(compress=False, max_msg_size=SOCKET_READ_MAX, timeout=LAST_WRITE_S)
    if not ws.can_prepare(request).ok:
        raise Refused(ErrorCode.INVALID, "This is a WebSocket address: connect to it with one.", status=400)
    async with request.app[LIVE].sessions.watching(row, protocol, request) as session:
        await ws.prepare(request)
        await ws.send_bytes(beginning)
        transport = request.transport
        if transport is None:
            return ws
        viewer = fanout.view(transport, Framing.SOCKET)
        _cut_with(session, fanout, viewer)
        closing = request.app[SERVICES].ctx.tasks.spawn(
            f"live-socket:{row.id}", _close_with(ws, viewer, fanout, transport)
        )
        try:
            async for message in ws:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            fanout.remove(viewer)
            if not viewer.done.done():
                viewer.done.set_result(Ending.GONE)
            _log_slow(request, row.id, viewer)
        await closing
    return ws


async def _close_with(
    ws: web.WebSocketResponse, viewer: Viewer, fanout: Fanout, transport: asyncio.Transport
) -> None:
    """Close the socket when the fan-out is done with its viewer."""
    ending = await viewer.done
    if ending is Ending.STALLED:
        transport.abort()
    if ending in (Ending.STALLED, Ending.GONE):
        return
    try:
        async with asyncio.timeout(LAST_WORDS_S if ending is Ending.DENIED else LAST_WRITE_S):
            if ending is Ending.DENIED:
                await ws.close(code=WSCloseCode.POLICY_VIOLATION, message=b"you may not play this any more")
            elif fanout.leaving:
                await ws.close(code=WSCloseCode.GOING_AWAY, message=b"this server is going away")
            else:
                await ws.close(code=WSCloseCode.OK, message=b"the stream has ended")
    except (TimeoutError, ConnectionError):
        transport.abort()


def _cut_with(session: Session, fanout: Fanout, viewer: Viewer) -> None:
    """End the viewer's connection with his session, also if that was cut while the connection began."""
    session.on_cut = lambda: fanout.dismiss(viewer)
    if session.is_cut:
        fanout.dismiss(viewer)


def _log_slow(request: web.Request, stream: str, viewer: Viewer) -> None:
    ending = viewer.done.result() if viewer.done.done() and not viewer.done.cancelled() else Ending.GONE
    if viewer.drops or ending is Ending.STALLED:
        address = request.app[SERVICES].addresses.of(request)
        log.info("slow viewer", stream=stream, address=address, drops=viewer.drops, closed=ending.value)
