"""HTTP-FLV: `/live/{stream}.flv`, from the newest key frame on, for as long as the stream is live.

The head and the FLV file header go out through aiohttp; after that the stream's fan-out writes chunks
straight to the transport, the same bytes to everybody, and this handler only waits.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import HttpVersion11, hdrs, web

from gateway.live.fanout import Ending
from gateway.live.parts import LIVE
from gateway.services import SERVICES
from runtime.logs import get_logger

log = get_logger("live.flv")

LAST_WRITE_S: Final = 5.0
"""How long the end of an ended stream's response may take."""


async def serve_flv(request: web.Request) -> web.StreamResponse:
    """GET and HEAD."""
    services = request.app[SERVICES]
    live = request.app[LIVE]
    row = await live.admission.stream(request)
    source = await live.sources.open(row.id)
    response = web.StreamResponse(
        headers={hdrs.CONTENT_TYPE: "video/x-flv", hdrs.CACHE_CONTROL: "no-store", "X-Accel-Buffering": "no"}
    )
    if request.method == hdrs.METH_HEAD:
        await response.prepare(request)
        return response
    address = services.addresses.of(request)
    live.viewers_per_address.enter(address)
    watching = services.ctx.metrics.gauge("matinee_live_viewers").labels("flv")
    watching.inc()
    try:
        chunked = request.version >= HttpVersion11
        if chunked:
            response.enable_chunked_encoding()
        else:
            response.force_close()
        await response.prepare(request)
        await response.write(source.file_header())
        transport = request.transport
        if transport is None:
            return response
        viewer = source.view(transport, chunked=chunked)
        try:
            ending = await viewer.done
        finally:
            source.fanout.remove(viewer)
        if viewer.drops or ending is Ending.STALLED:
            log.info("slow viewer", stream=row.id, address=address, drops=viewer.drops, closed=ending.value)
        if ending is Ending.ENDED:
            try:
                async with asyncio.timeout(LAST_WRITE_S):
                    await response.write_eof()
            except TimeoutError:
                transport.abort()
        else:
            transport.abort()
    finally:
        watching.dec()
        live.viewers_per_address.leave(address)
    return response
