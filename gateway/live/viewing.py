"""Viewers on one long connection: over HTTP until the response ends, over WebSocket until one side closes.

The head, and what a file begins with, go out through aiohttp; after that a stream's fan-out writes
straight to the transport, the same bytes to everybody, and the handler only waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

from aiohttp import HttpVersion11, WSCloseCode, WSMsgType, hdrs, web

from bus_schemas.errors import ErrorCode, Refused
from gateway.live.fanout import Ending, Fanout, Viewer
from gateway.live.framing import Framing
from gateway.live.parts import LIVE
from gateway.services import SERVICES
from runtime.logs import get_logger

log = get_logger("live.viewing")

LAST_WRITE_S: Final = 5.0
"""How long the end of an ended stream's response may take."""
SOCKET_READ_MAX: Final = 4 << 10
"""A viewer has nothing to say."""


@contextlib.contextmanager
def counted(request: web.Request, protocol: str) -> Iterator[None]:
    """One more viewer of his address and of this protocol; raises `Refused` rate_limited."""
    services, live = request.app[SERVICES], request.app[LIVE]
    address = services.addresses.of(request)
    live.viewers_per_address.enter(address)
    watching = services.ctx.metrics.gauge("matinee_live_viewers").labels(protocol)
    watching.inc()
    try:
        yield
    finally:
        watching.dec()
        live.viewers_per_address.leave(address)


async def serve_response(
    request: web.Request, *, stream: str, content_type: str, protocol: str, beginning: bytes, fanout: Fanout
) -> web.StreamResponse:
    """GET and HEAD of a file without an end: `beginning`, then the newest key frame and all that follows."""
    response = web.StreamResponse(
        headers={hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: "no-store", "X-Accel-Buffering": "no"}
    )
    if request.method == hdrs.METH_HEAD:
        await response.prepare(request)
        return response
    with counted(request, protocol):
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
        try:
            ending = await viewer.done
        finally:
            fanout.remove(viewer)
        _log_slow(request, stream, viewer)
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
    request: web.Request, *, stream: str, protocol: str, beginning: bytes, fanout: Fanout
) -> web.StreamResponse:
    """The same as binary WebSocket messages, cut where it suits the server: a player joins them.

    Closed with 1000 at the end of the stream, 1001 when this gateway goes; one who reads too slowly is cut off.
    """
    ws = web.WebSocketResponse(compress=False, max_msg_size=SOCKET_READ_MAX, timeout=LAST_WRITE_S)
    if not ws.can_prepare(request).ok:
        raise Refused(ErrorCode.INVALID, "This is a WebSocket address: connect to it with one.", status=400)
    with counted(request, protocol):
        await ws.prepare(request)
        await ws.send_bytes(beginning)
        transport = request.transport
        if transport is None:
            return ws
        viewer = fanout.view(transport, Framing.SOCKET)
        closing = request.app[SERVICES].ctx.tasks.spawn(
            f"live-socket:{stream}", _close_with(ws, viewer, transport)
        )
        try:
            async for message in ws:
                if message.type is WSMsgType.ERROR:
                    break
        finally:
            fanout.remove(viewer)
            if not viewer.done.done():
                viewer.done.set_result(Ending.GONE)
            _log_slow(request, stream, viewer)
        await closing
    return ws


async def _close_with(ws: web.WebSocketResponse, viewer: Viewer, transport: asyncio.Transport) -> None:
    """Close the socket when the fan-out is done with its viewer."""
    ending = await viewer.done
    if ending is not Ending.ENDED:
        if ending is Ending.STALLED:
            transport.abort()
        return
    try:
        async with asyncio.timeout(LAST_WRITE_S):
            await ws.close(code=WSCloseCode.OK, message=b"the stream has ended")
    except (TimeoutError, ConnectionError):
        transport.abort()


def _log_slow(request: web.Request, stream: str, viewer: Viewer) -> None:
    ending = viewer.done.result() if viewer.done.done() and not viewer.done.cancelled() else Ending.GONE
    if viewer.drops or ending is Ending.STALLED:
        address = request.app[SERVICES].addresses.of(request)
        log.info("slow viewer", stream=stream, address=address, drops=viewer.drops, closed=ending.value)
