"""LL-HLS: playlists, parts, segments and init segments of `/live/{stream}/…` (RFC 8216bis)."""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.parts import SOURCE_RENDITION
from bus_schemas.viewers import Protocol
from gateway.live.media_answer import Playlist, give_media, give_playlist
from gateway.live.parts import LIVE
from gateway.live.playlist import render_multivariant
from gateway.live.rendition import Rendition
from gateway.live.session_names import PARAM, give_cookie

NUMBER_DIGITS: Final = 15


async def serve_multivariant(request: web.Request) -> web.Response:
    """`/live/{stream}/index.m3u8`."""
    live = request.app[LIVE]
    row = await live.admission.stream(request)
    rendition = await live.renditions.open(row.id, SOURCE_RENDITION, live=True)
    inside = {"token": live.admission.session_token(request, row)}
    if request.method != hdrs.METH_HEAD:
        session = await live.sessions.begin(row, Protocol.HLS, request)
        session.expect(rendition.index.target_duration)
        inside[PARAM] = session.id
    text = render_multivariant([rendition.variant()], inside)
    return give_playlist(request, Playlist.of(text))


async def serve_media(request: web.Request) -> web.Response:
    """`/live/{stream}/{rendition}/index.m3u8`, held back until it has what `_HLS_msn` and `_HLS_part` name."""
    live = request.app[LIVE]
    msn, part = _number(request, "_HLS_msn"), _number(request, "_HLS_part")
    if part is not None and msn is None:
        raise _bad("_HLS_part", "needs _HLS_msn")
    skip = _directive(request, "_HLS_skip")
    if skip not in (None, "YES", "v2"):
        raise _bad("_HLS_skip", "is YES or v2")
    row = await live.admission.stream(request, of=Protocol.HLS)
    rendition = await live.renditions.open(row.id, request.match_info["rendition"], live=False)
    session = await live.sessions.resume(row, Protocol.HLS, request)
    session.expect(rendition.index.target_duration)
    if msn is not None:
        with live.sessions.waiting(session):
            await rendition.wait_for(msn, part)
        live.admission.recheck(request, row)
    response = give_playlist(request, rendition.playlist(skip=skip is not None))
    give_cookie(request, response, session)
    return response


async def serve_part(request: web.Request) -> web.StreamResponse:
    """`{msn}-{name}.{part}.m4s`; one that was hinted at is waited for."""
    names = request.match_info
    body = await (await rendition_of(request)).part(int(names["msn"]), names["name"], int(names["part"]))
    return await give_media(request, [body])


async def serve_segment(request: web.Request) -> web.StreamResponse:
    """`{msn}-{name}.m4s`."""
    names = request.match_info
    bodies = await (await rendition_of(request)).segment(int(names["msn"]), names["name"])
    return await give_media(request, bodies)


async def serve_init(request: web.Request) -> web.StreamResponse:
    """`init-{number}-{name}.mp4`."""
    names = request.match_info
    body = (await rendition_of(request)).init(int(names["number"]), names["name"])
    return await give_media(request, [body])


async def rendition_of(request: web.Request) -> Rendition:
    """The rendition of a media request; the name in it is what lets one in, so no token is asked for."""
    live = request.app[LIVE]
    stream, name = request.match_info["stream"], request.match_info["rendition"]
    rendition = live.renditions.find(stream, name)
    if rendition is None:
        # A playlist of another gateway named it, or this one is still reading.
        try:
            rendition = await live.renditions.open(stream, name, live=False)
        except Refused as refused:
            if refused.code is ErrorCode.STREAM_OFFLINE:
                await live.admission.known(stream)
            raise
    return rendition


def _directive(request: web.Request, name: str) -> str | None:
    """RFC 8216bis, 6.2.5: what a client asks for, once."""
    given = request.query.getall(name, [])
    if len(given) > 1:
        raise _bad(name, "is given once")
    return given[0] if given else None


def _number(request: web.Request, name: str) -> int | None:
    text = _directive(request, name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS):
        raise _bad(name, "is a whole number")
    return int(text)


def _bad(name: str, detail: str) -> Refused:
    return Refused(
        ErrorCode.INVALID, f"{name} {detail}.", status=400, errors=[{"path": name, "detail": detail}]
    )
