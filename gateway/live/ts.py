"""HLS with MPEG-TS segments: `/live/{stream}/{rendition}/ts.m3u8`, made of the CMAF segments when asked for."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from aiohttp import hdrs, web

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.parts import PartHeader
from bus_schemas.viewers import Protocol
from gateway.http.problems import AWAY
from gateway.live.hls import rendition_of
from gateway.live.media_answer import Playlist, give_media, give_playlist
from gateway.live.parts import LIVE
from gateway.live.rendition import Rendition
from gateway.live.segments import Segment
from gateway.live.session_names import PARAM, give_cookie
from gateway.live.ts_playlist import render_ts, render_ts_entry
from gateway.services import SERVICES
from media.isobmff import BoxError, read_init
from media.mpegts import Muxer, TsError
from runtime.logs import get_logger
from runtime.tasks import Tasks

log = get_logger("live.ts")

KEPT: Final = 6
"""Segments kept for those who ask a little later."""
LINGER_S: Final = 15.0


class TransportStream:
    """A rendition's segments as MPEG-TS, each made once for all who ask, off the loop."""

    def __init__(self, rendition: Rendition, tasks: Tasks) -> None:
        self.asked_at = asyncio.get_running_loop().time()
        self._rendition = rendition
        self._tasks = tasks
        self._made: OrderedDict[str, asyncio.Task[bytes | Exception]] = OrderedDict()
        self._playlist: tuple[int, Playlist] | None = None
        self._muxer: tuple[int, Muxer] | None = None

    def take(self, header: PartHeader, body: bytes) -> None:
        """Nothing is made before somebody asks."""

    def is_wanted(self, now: float) -> bool:
        """Whether somebody asked lately."""
        return now - self.asked_at < LINGER_S

    def stop(self) -> None:
        """Nothing waits here."""

    def playlist(self) -> Playlist:
        """The playlist as of now; raises `Refused` not_found for codecs that MPEG-TS has not."""
        index = self._rendition.index
        if self._playlist is None or self._playlist[0] != index.version:
            self._muxer_of(index.segments[-1].init)
            self._playlist = index.version, Playlist.of(render_ts(index))
        return self._playlist[1]

    async def segment(self, msn: int, name: str) -> bytes:
        """A complete segment; raises `Refused` not_found, unavailable."""
        making = self._made.get(name)
        if making is None:
            segment = await self._rendition.complete_segment(msn, name)
            making = self._made.get(name)
            if making is None:
                making = self._tasks.spawn(f"ts:{self._rendition.stream}", self._make(segment))
                self._made[name] = making
        self._made.move_to_end(name)
        while len(self._made) > KEPT:
            self._made.popitem(last=False)
        made = await asyncio.shield(making)
        if isinstance(made, Exception):
            self._made.pop(name, None)
            raise made
        return made

    async def _make(self, segment: Segment) -> bytes | Exception:
        """Its bytes; or why there are none, which is no fault of the task."""
        try:
            muxer = self._muxer_of(segment.init)
            return await asyncio.to_thread(muxer.segment, await self._rendition.bodies(segment), segment.msn)
        except TsError as exc:
            log.warning("no transport stream", stream=self._rendition.stream, msn=segment.msn, error=str(exc))
            return Refused(ErrorCode.NOT_FOUND, "This segment is not to be had as MPEG-TS.")
        except (Refused, *AWAY) as exc:
            return exc

    def _muxer_of(self, init: int) -> Muxer:
        if self._muxer is None or self._muxer[0] != init:
            try:
                self._muxer = init, Muxer(read_init(self._rendition.init_body(init)))
            except (BoxError, TsError) as exc:
                raise Refused(ErrorCode.NOT_FOUND, f"Not to be had as MPEG-TS: {exc}.") from None
        return self._muxer[1]


async def serve_ts_playlist(request: web.Request) -> web.Response:
    """`ts.m3u8`: the media playlist; of a restricted stream first a playlist that names it with a session's token."""
    live = request.app[LIVE]
    inside = PARAM in request.query
    row = await live.admission.stream(request, of=Protocol.HLS if inside else None)
    beginning = row.restricted and not inside
    rendition = await live.renditions.open(row.id, request.match_info["rendition"], live=beginning)
    playlist = _transport_stream(request, rendition).playlist()
    if request.method == hdrs.METH_HEAD:
        return give_playlist(request, playlist)
    if beginning:
        session = await live.sessions.begin(row, Protocol.HLS, request)
    else:
        session = await live.sessions.resume(row, Protocol.HLS, request)
    session.expect(rendition.index.target_duration)
    if not beginning:
        response = give_playlist(request, playlist)
        give_cookie(request, response, session)
        return response
    peak, _ = rendition.index.bit_rates()
    text = render_ts_entry(max(peak, 1), str(live.admission.session_token(request, row)), session.id)
    return give_playlist(request, Playlist.of(text))


async def serve_ts_segment(request: web.Request) -> web.StreamResponse:
    """`{msn}-{name}.ts`."""
    names = request.match_info
    rendition = await rendition_of(request)
    body = await _transport_stream(request, rendition).segment(int(names["msn"]), names["name"])
    return await give_media(request, [body], "video/mp2t")


def _transport_stream(request: web.Request, rendition: Rendition) -> TransportStream:
    found = next((one for one in rendition.listeners if isinstance(one, TransportStream)), None)
    if found is None:
        found = TransportStream(rendition, request.app[SERVICES].ctx.tasks)
        rendition.listeners.append(found)
    found.asked_at = asyncio.get_running_loop().time()
    return found
