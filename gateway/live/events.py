"""`/live/{stream}/events`: what a stream's page wants to know while it is open, as server-sent events.

One kind so far: `viewers`, with `{"count", "protocols"}`, at once and at each change. Of a restricted stream
each page is given a session's token as the id of its last event, renewed while it is open: a browser sends it
back by itself when it connects again, so the page's address may hold a token that expired long ago.
"""

from __future__ import annotations

import asyncio
import json
from typing import Final

from aiohttp import hdrs, web

from bus_schemas.errors import Refused
from gateway.db.streams import StreamRow
from gateway.live.admission import SESSION_S, Admission
from gateway.live.parts import LIVE
from gateway.live.viewer_counts import Counts, ViewerCounts
from gateway.services import SERVICES

BEAT_S: Final = 15.0
"""How often something is sent where nothing changes, so that who left is noticed."""
WRITE_S: Final = 10.0
RENEW_S: Final = SESSION_S / 12
"""How often a page gets another token."""
HEAD: Final = b"retry: 2000\n\n"
BEAT: Final = b":\n\n"
LAST_ID: Final = "Last-Event-ID"


async def serve_events(request: web.Request) -> web.StreamResponse:
    """GET; the play token as for media, or the id of the last event a page was sent."""
    live = request.app[LIVE]
    row, user = await _admitted(request, live.admission)
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
        telling = Telling(response, row, user, live.admission, live.viewer_counts)
        async with asyncio.timeout(None) as end:
            loop = asyncio.get_running_loop()
            guarded = live.rights.page(row, user, on_cut=lambda: end.reschedule(loop.time()))
            with guarded, live.viewer_counts.watch(row.id):
                await telling.run()
    except (TimeoutError, ConnectionError):
        if request.transport is not None:
            request.transport.abort()
    finally:
        live.pages_per_address.leave(address)
    return response


class Telling:
    """One page, told until it leaves or this gateway goes."""

    def __init__(
        self,
        response: web.StreamResponse,
        row: StreamRow,
        user: str | None,
        admission: Admission,
        counts: ViewerCounts,
        renew_s: float = RENEW_S,
    ) -> None:
        self._response = response
        self._row = row
        self._user = user
        self._admission = admission
        self._counts = counts
        self._renew_s = renew_s
        self._renewed: float | None = None

    async def run(self) -> None:
        """Tell; raises ConnectionError, TimeoutError where the page does not take it."""
        await self._send(HEAD)
        known: Counts | None = None
        while not self._counts.stopped:
            counts = await self._counts.next(self._row.id, known, BEAT_S)
            await self._send(self._id() + (BEAT if counts is None or counts == known else event(counts)))
            known = counts

    def _id(self) -> bytes:
        """The line with another token, when it is time for one."""
        now = asyncio.get_running_loop().time()
        if self._user is None or (self._renewed is not None and now - self._renewed < self._renew_s):
            return b""
        self._renewed = now
        # An event of its own that says nothing: browsers keep its id.
        return b"id: %b\n\n" % self._admission.renewed_token(self._row, self._user).encode()

    async def _send(self, data: bytes) -> None:
        async with asyncio.timeout(WRITE_S):
            await self._response.write(data)


def event(counts: Counts) -> bytes:
    """The event of these counts."""
    data = {"count": sum(counts.values()), "protocols": counts}
    return f"event: viewers\ndata: {json.dumps(data)}\n\n".encode()


async def _admitted(request: web.Request, admission: Admission) -> tuple[StreamRow, str | None]:
    admission.check_page(request)
    stream, token = request.match_info["stream"], request.query.get("token")
    last = request.headers.get(LAST_ID)
    if last:
        try:
            return await admission.admit(stream, last)
        except Refused:
            pass  # Too old as well, or of nobody's: what the address says counts.
    return await admission.admit(stream, token)
