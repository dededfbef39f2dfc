"""DASH, low latency included: `/live/{stream}/manifest.mpd` and its segments, cut from the CMAF parts.

A track's segment that is still open is answered at once, part by part as they come.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from aiohttp import hdrs, web

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.parts import SOURCE_RENDITION, InitHeader, PartHeader
from bus_schemas.viewers import Protocol
from gateway.live.anchors import Anchors
from gateway.live.dash_index import DashIndex, Period, TrackSegment
from gateway.live.hls import rendition_of
from gateway.live.media_answer import FOR_EVER, Playlist, give_media, give_playlist
from gateway.live.mpd import UPDATE_S, Anchor, render_mpd
from gateway.live.parts import LIVE
from gateway.live.rendition import BLOCK_TARGETS, Rendition
from gateway.live.session_names import PARAM
from gateway.live.viewer_session import Session
from gateway.services import SERVICES
from media.isobmff import BoxError, init_of, read_init
from runtime.clock import now_ms
from runtime.logs import get_logger

log = get_logger("live.dash")

MANIFEST_TYPE: Final = "application/dash+xml"
CLOCK_PATH: Final = "/live/time"
LINGER_S: Final = 15.0
RENDERED_MAX: Final = 8
"""Origins a manifest is kept rendered for: the clock's address in it is absolute."""
_IGNORES_LOCATION: Final = "Lavf/"
"""libavformat asks for the manifest again where it found it, whatever that said."""


class Dash:
    """One rendition as DASH: manifests rendered once, segments cut once, while somebody asks."""

    def __init__(self, rendition: Rendition, anchors: Anchors) -> None:
        self.asked_at = asyncio.get_running_loop().time()
        self._rendition = rendition
        self._anchors = anchors
        self._index = DashIndex()
        self._placed: dict[str, Anchor] = {}
        self._rendered: dict[str, Playlist] = {}
        self._version = -1

    def take(self, header: PartHeader, body: bytes) -> None:
        """Nothing is made before somebody asks."""

    def is_wanted(self, now: float) -> bool:
        """Whether somebody asked lately."""
        return now - self.asked_at < LINGER_S

    def stop(self) -> None:
        """Those who wait, wait for the rendition."""

    async def manifest(self, origin: str) -> Playlist:
        """The manifest as of now, for players that reach us at this origin; raises `Refused` unavailable."""
        rendered = self._rendered.get(origin)
        if rendered is None or self._version != self._rendition.index.version:
            rendered = Playlist.of(await self.manifest_at(origin, ""))
            if self._version != self._rendition.index.version or len(self._rendered) >= RENDERED_MAX:
                self._rendered.clear()
            self._version = self._rendition.index.version
            self._rendered[origin] = rendered
        return rendered

    async def manifest_at(self, origin: str, location: str) -> str:
        """The same with the place where the player finds the next one."""
        self._sync()
        for period in self._index.periods:
            if period.key not in self._placed:
                name = self._rendition.inits[period.init].name
                found = await self._anchors.share(self._rendition.stream, name, period.key, Anchor.of(period))
                self._placed[period.key] = found
        placed = [
            (period, self._placed[period.key], self._init_of(period))
            for period in self._index.periods
            if self._is_placed(period)
        ]
        if not placed:
            raise Refused(ErrorCode.UNAVAILABLE, "The first segment is not there yet.", retry_after=1)
        return render_mpd(
            placed,
            rendition=self._rendition.name,
            now_ms=now_ms(),
            ended=self._rendition.index.ended,
            clock_url=origin + CLOCK_PATH,
            location=location,
        )

    def _init_of(self, period: Period) -> InitHeader:
        init = self._rendition.inits[period.init]
        return replace(init, frame_rate=self._rendition.frame_rate(init))

    def _is_placed(self, period: Period) -> bool:
        return period.key in self._placed and period.init in self._rendition.inits

    async def find(self, init: int, kind: str, time: int) -> TrackSegment:
        """The segment that begins at that media time, waiting for one about to begin; raises `Refused` not_found."""
        try:
            async with asyncio.timeout(BLOCK_TARGETS * self._rendition.index.target_duration):
                while True:
                    self._sync()
                    found = self._index.find(init, kind, time)
                    if found is not None:
                        return found
                    if self._rendition.index.ended or not self._index.is_ahead(init, kind, time):
                        break
                    await self._rendition.change()
        except TimeoutError:
            pass
        raise Refused(ErrorCode.NOT_FOUND, "There is no such segment, or no longer.")

    def _sync(self) -> None:
        rendition = self._rendition
        try:
            self._index.sync(
                rendition.index, {number: rendition.init_body(number) for number in rendition.inits}
            )
        except BoxError as exc:
            log.warning("unreadable part", stream=rendition.stream, error=str(exc))
            raise Refused(
                ErrorCode.UNAVAILABLE, "This stream is not to be had as DASH.", retry_after=5
            ) from None


async def serve_manifest(request: web.Request) -> web.Response:
    """`manifest.mpd`. The first one names the address of the next, with a session's token.

    Names of DASH segments are made of times, which can be guessed: those of a restricted stream want the token too.
    """
    live = request.app[LIVE]
    services = request.app[SERVICES]
    again = PARAM in request.query or _IGNORES_LOCATION in request.headers.get(hdrs.USER_AGENT, "")
    row = await live.admission.stream(request, of=Protocol.DASH if again else None)
    rendition = await live.renditions.open(row.id, SOURCE_RENDITION, live=not again)
    dash = _dash(request, rendition)
    origin = services.addresses.origin(request, services.ctx.settings.gateway.public_url)
    if request.method == hdrs.METH_HEAD:
        return give_playlist(request, await dash.manifest(origin), MANIFEST_TYPE)
    if again:
        manifest = await dash.manifest(origin)
        session = await live.sessions.resume(row, Protocol.DASH, request)
        session.expect(UPDATE_S)
        if row.restricted:
            text = _within(manifest.plain.decode(), request.query["token"], session)
            manifest = Playlist.of(text)
        return give_playlist(request, manifest, MANIFEST_TYPE)
    session = await live.sessions.begin(row, Protocol.DASH, request)
    session.expect(UPDATE_S)
    token = live.admission.session_token(request, row)
    query = f"token={token}&{PARAM}={session.id}" if token else f"{PARAM}={session.id}"
    text = await dash.manifest_at(origin, f"{origin}{request.path}?{query}")
    if token:
        text = _within(text, token, session)
    return give_playlist(request, Playlist.of(text), MANIFEST_TYPE)


async def serve_dash_init(request: web.Request) -> web.StreamResponse:
    """`dash-{number}-{name}-{kind}.mp4`."""
    rendition = await rendition_of(request)
    init = _init(request, rendition)
    kind = request.match_info["kind"]
    body = rendition.init_body(init.init)
    track = next((one for one in read_init(body) if one.is_video is (kind == "video")), None)
    if track is None:
        raise _gone()
    return await give_media(request, [init_of(body, track.id)], f"{kind}/mp4")


async def serve_dash_segment(request: web.Request) -> web.StreamResponse:
    """`dash-{number}-{name}-{kind}-{time}.m4s`; an open one part by part. The play token as for the manifest."""
    names = request.match_info
    await request.app[LIVE].admission.stream(request, of=Protocol.DASH)
    rendition = await rendition_of(request)
    init = _init(request, rendition)
    one = await _dash(request, rendition).find(init.init, names["kind"], int(names["time"]))
    content_type = f"{names['kind']}/mp4"
    if one.source.complete:
        return await give_media(request, one.fragments(), content_type)
    response = web.StreamResponse(
        headers={
            hdrs.CONTENT_TYPE: content_type,
            hdrs.CACHE_CONTROL: FOR_EVER,
            # A proxy that gathers it would hand it on when it is complete.
            "X-Accel-Buffering": "no",
        }
    )
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return response
    try:
        await _send_open(response, rendition, one)
    except (Refused, TimeoutError, BoxError, ConnectionError):
        # The head has gone out: a body that breaks off is the only way left to say so.
        if request.transport is not None:
            request.transport.abort()
    return response


async def serve_clock(_request: web.Request) -> web.Response:
    """The server's time as DASH clients read it (ISO/IEC 23009-1, 5.8.4.11: http-iso)."""
    moment = datetime.fromtimestamp(now_ms() / 1_000, UTC)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1_000:03d}Z"
    return web.Response(text=text, headers={hdrs.CACHE_CONTROL: "no-store"})


async def _send_open(response: web.StreamResponse, rendition: Rendition, one: TrackSegment) -> None:
    sent = 0
    while True:
        complete = one.source.complete
        fragments = one.fragments()
        if sent < len(fragments):
            await response.write(b"".join(fragments[sent:]))
            sent = len(fragments)
            continue
        if complete:
            break
        async with asyncio.timeout(BLOCK_TARGETS * rendition.index.target_duration):
            await rendition.change()
    await response.write_eof()


def _within(manifest: str, token: str, session: Session) -> str:
    """The manifest of a restricted stream: its segments are asked for with a token, within a session."""
    # Quoted, though it was verified: decoders of signatures overlook what is none of their letters.
    query = f"token={quote(token, safe='')}&amp;{PARAM}={session.id}"
    return manifest.replace('.m4s"', f'.m4s?{query}"')


def _init(request: web.Request, rendition: Rendition) -> InitHeader:
    """The init segment that a name has."""
    names = request.match_info
    header = rendition.inits.get(int(names["number"]))
    if header is None or header.name != names["name"]:
        raise _gone()
    return header


def _dash(request: web.Request, rendition: Rendition) -> Dash:
    found = next((one for one in rendition.listeners if isinstance(one, Dash)), None)
    if found is None:
        found = Dash(rendition, request.app[LIVE].anchors)
        rendition.listeners.append(found)
    found.asked_at = asyncio.get_running_loop().time()
    return found


def _gone() -> Refused:
    return Refused(ErrorCode.NOT_FOUND, "There is no such segment, or no longer.")
