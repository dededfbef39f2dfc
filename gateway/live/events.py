"""`/live/{stream}/events`: what a stream's page wants to know while it is open, as server-sent events.

One kind so far: `viewers`, with `{"count", "protocols"}`, at once and at each change.
"""

from __future__ import annotations

import asyncio
import json
from typing import Final

from aiohttp import hdrs, web

from gateway.live.parts import LIVE
from gateway.live.viewer_counts import Counts
from gateway.services import SERVICES

BEAT_S: Final = 15.0
"""How often something is sent where nothing changes, so that who left is noticed."""
WRITE_S: Final = 10.0
HEAD: Final = b"retry: 2000\n\n"
BEAT: Final = b":\n\n"


async def serve_events(request: web.Request) -> web.StreamResponse:
    """GET; the play token as for media."""
    live = request.app[LIVE]
    row = await live.admission.stream(request)
    response = web.StreamResponse(
        headers={
            hdrs.CONTENT_TYPE: "text/event-stream",
            hdrs.CACHE_CONTROL: "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    address = request.app[SERVICES].addresses.of(request)
    live.pages_per_address.enter(address)
    try:
        await response.prepare(request)
        if request.method == hdrs.METH_HEAD:
            return response
        with live.viewer_counts.watch(row.id):
            await _send(response, HEAD)
            known: Counts | None = None
            while not live.viewer_counts.stopped:
                counts = await live.viewer_counts.next(row.id, known, BEAT_S)
                await _send(response, BEAT if counts is None or counts == known else event(counts))
                known = counts
    except (TimeoutError, ConnectionError):
        if request.transport is not None:
            request.transport.abort()
    finally:
        live.pages_per_address.leave(address)
    return response


def event(counts: Counts) -> bytes:
    """The event of these counts."""
    data = {"count": sum(counts.values()), "protocols": counts}
    return f"event: viewers\ndata: {json.dumps(data)}\n\n".encode()


async def _send(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(WRITE_S):
        await response.write(data)
