"""Routes of `/live/…`. CORS headers of every answer are the edge's; here are the preflights."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from bus_schemas.errors import ErrorCode, Refused
from gateway.live import dash, events, flv, hls, progressive, ts
from gateway.live.parts import LIVE, build, let_go, live_parts
from gateway.services import SERVICES

_STREAM: Final = "/live/{stream:[A-Za-z0-9_-]{1,64}}"
_RENDITION: Final = _STREAM + "/{rendition:[A-Za-z0-9_-]{1,32}}"
_DASH: Final = r"/dash-{number:\d{1,15}}-{name:[0-9a-f]{16}}-{kind:video|audio}"
_SEGMENT: Final = r"/{msn:\d{1,15}}-{name:[0-9a-f]{16}}"


def add_routes(app: web.Application) -> None:
    """Live delivery in every format."""
    app[LIVE] = build(app[SERVICES])
    app.cleanup_ctx.append(live_parts)
    app.on_shutdown.append(let_go)
    app.on_response_prepare.append(_keep_no_errors)
    router = app.router
    router.add_get(_STREAM + ".flv", flv.serve_flv)
    router.add_get(_STREAM + "/ws", flv.serve_flv_socket, allow_head=False)
    router.add_get(_STREAM + "/events", events.serve_events)
    router.add_get(_STREAM + ".mp4", progressive.serve_mp4)
    router.add_get(_STREAM + "/index.m3u8", hls.serve_multivariant)
    router.add_get(_RENDITION + "/index.m3u8", hls.serve_media)
    router.add_get(_RENDITION + _SEGMENT + r".{part:\d{1,9}}.m4s", hls.serve_part)
    router.add_get(_RENDITION + _SEGMENT + ".m4s", hls.serve_segment)
    router.add_get(_RENDITION + r"/init-{number:\d{1,15}}-{name:[0-9a-f]{16}}.mp4", hls.serve_init)
    router.add_get(_RENDITION + "/ts.m3u8", ts.serve_ts_playlist)
    router.add_get(_RENDITION + _SEGMENT + ".ts", ts.serve_ts_segment)
    router.add_get(_STREAM + "/manifest.mpd", dash.serve_manifest)
    router.add_get(_RENDITION + _DASH + ".mp4", dash.serve_dash_init)
    router.add_get(_RENDITION + _DASH + r"-{time:\d{1,15}}.m4s", dash.serve_dash_segment)
    router.add_get(dash.CLOCK_PATH, dash.serve_clock)
    router.add_options("/live/{tail:.*}", preflight)
    router.add_get("/live/{tail:.*}", nothing)


async def preflight(_request: web.Request) -> web.Response:
    """Media may be read from anywhere, with whatever headers a player adds."""
    return web.Response(
        status=204,
        headers={
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, HEAD, OPTIONS",
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "*",
            hdrs.ACCESS_CONTROL_MAX_AGE: "86400",
        },
    )


async def nothing(_request: web.Request) -> web.Response:
    """Names that no stream can have, and files that no stream has."""
    raise Refused(ErrorCode.NOT_FOUND, "There is no such stream or file.")


async def _keep_no_errors(request: web.Request, response: web.StreamResponse) -> None:
    """A part that is not there yet, or a stream that is offline, must not be so in a cache a second later."""
    if response.status >= HTTPStatus.BAD_REQUEST and request.path.startswith("/live/"):
        response.headers[hdrs.CACHE_CONTROL] = "no-store"
