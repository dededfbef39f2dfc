"""Progressive fMP4: `/live/{stream}.mp4`, the parts of a rendition as one file without an end."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from bus_schemas.parts import SOURCE_RENDITION, PartFlags, PartHeader
from bus_schemas.viewers import Protocol
from gateway.live.fanout import Fanout
from gateway.live.parts import LIVE
from gateway.live.rendition import Rendition
from gateway.live.viewing import serve_response
from gateway.services import SERVICES
from media.isobmff import BoxError, Track, read_fragment, read_init, shifted
from media.ring import Ring
from runtime.logs import get_logger
from runtime.metrics import Metrics
from runtime.settings import LiveSettings

log = get_logger("live.progressive")

RING_PARTS: Final = 2_048
LINGER_S: Final = 5.0
"""A file that nobody reads is kept for so long."""
SILENCE_S: Final = 30.0
"""After so long without a part the file ends: whoever should have ended the stream is gone too."""
OVERLAP_S: Final = 0.1
"""How far a new timeline may begin before the end of the one before it and still be the same: audio."""
GAP_MAX_S: Final = 60.0


class Timeline:
    """One rising timeline for the fragments of a file, whatever publishers do. Pure.

    Bytes go through untouched until a timeline begins that does not continue the one before it; from there
    on all tracks are shifted by one time.
    """

    def __init__(self, tracks: tuple[Track, ...]) -> None:
        self._tracks = tracks
        self._scales = {track.id: track.timescale for track in tracks}
        self._offset_s = 0.0
        self._last = b""

    def place(self, fragment: bytes, *, discontinuity: bool) -> bytes:
        """The fragment as it goes out; raises `BoxError`."""
        if discontinuity and self._last:
            starts, _ = self._span(fragment)
            _, ends = self._span(self._last)
            gap = starts + self._offset_s - ends
            if not -OVERLAP_S <= gap <= GAP_MAX_S:
                self._offset_s = ends - starts
        if self._offset_s:
            fragment = shifted(
                fragment, {track: round(self._offset_s * scale) for track, scale in self._scales.items()}
            )
        self._last = fragment
        return fragment

    def _span(self, fragment: bytes) -> tuple[float, float]:
        """When its first track begins and its last one ends, s."""
        runs = read_fragment(fragment, self._tracks)
        starts = [run.decode_time / self._scales[run.track] for run in runs]
        ends = [(run.decode_time + run.duration) / self._scales[run.track] for run in runs]
        return min(starts, default=0.0), max(ends, default=0.0)


class Progressive:
    """The file that viewers of one rendition share from some moment on: it lives while they are there.

    It cannot go on past a change of codecs: then it ends, and who asks again is given the next.
    """

    def __init__(self, rendition: Rendition, settings: LiveSettings, metrics: Metrics) -> None:
        """Begin with the newest key frame held; raises `BoxError` for an init segment that cannot be read."""
        self._loop = asyncio.get_running_loop()
        self._stream = rendition.stream
        self._ring = Ring(seconds=settings.ring_s, max_bytes=settings.ring_bytes, max_messages=RING_PARTS)
        self.fanout = Fanout(
            self._ring,
            self._loop,
            stall_s=settings.stall_s,
            sent_bytes=metrics.counter("matinee_live_sent_bytes_total").labels("mp4"),
            drops=metrics.counter("matinee_live_drops_total"),
            stalled=metrics.counter("matinee_live_stalled_total"),
        )
        self.init, self.beginning = rendition.current_init
        self.ended = False
        self.asked_at = self._heard = self._loop.time()
        self._timeline = Timeline(read_init(self.beginning))
        self._clock_us = 0
        self._segment = -1
        newest = rendition.index.newest_independent()
        for segment, part in newest:
            if part.body is not None and segment.init == self.init:
                self._append(
                    part.body, part.duration_us, key=part.independent,
                    discontinuity=segment.begins_discontinuity and self._segment != segment.msn,
                )  # fmt: skip
                self._segment = segment.msn

    def take(self, header: PartHeader, body: bytes) -> None:
        """The next part of the rendition, or its END."""
        if self.ended:
            return
        if header.flags & PartFlags.END or header.init != self.init:
            self._finish()
            return
        self._heard = self._loop.time()
        begins = header.msn != self._segment
        self._segment = header.msn
        try:
            self._append(
                body, header.duration_us, key=bool(header.flags & PartFlags.INDEPENDENT),
                discontinuity=begins and bool(header.flags & PartFlags.DISCONTINUITY),
            )  # fmt: skip
        except BoxError as exc:
            log.warning("unreadable part", stream=self._stream, error=str(exc))
            self._finish()

    def is_wanted(self, now: float) -> bool:
        """Whether anybody reads it (loop's clock, s); ends it where nothing comes any more, and where nobody does.

        Who was let in slowly, by a hook, is then told of its end rather than of nothing.
        """
        if self.fanout.viewers:
            self.asked_at = now
        if not self.ended and (now - self._heard > SILENCE_S or now - self.asked_at >= LINGER_S):
            self._finish()
        return not self.ended

    def stop(self) -> None:
        """End all responses at once: this gateway goes."""
        self.ended = True
        self.fanout.stop()

    def _finish(self) -> None:
        self.ended = True
        self.fanout.finish()

    def _append(self, body: bytes, duration_us: int, *, key: bool, discontinuity: bool) -> None:
        fragment = self._timeline.place(body, discontinuity=discontinuity)
        self._ring.append(fragment, self._clock_us // 1_000, key=key)
        self._clock_us += duration_us
        self.fanout.notice()


async def serve_mp4(request: web.Request) -> web.StreamResponse:
    """`ftyp`, `moov`, and fragments from the newest key frame on, for as long as the stream is live."""
    live = request.app[LIVE]
    ctx = request.app[SERVICES].ctx
    row = await live.admission.stream(request)
    rendition = await live.renditions.open(row.id, SOURCE_RENDITION, live=True)
    file = next((one for one in rendition.listeners if isinstance(one, Progressive) and not one.ended), None)
    if file is None or file.init != rendition.newest_init.init:
        file = Progressive(rendition, ctx.settings.live, ctx.metrics)
        rendition.listeners.append(file)
    file.asked_at = asyncio.get_running_loop().time()
    return await serve_response(
        request,
        row=row,
        content_type="video/mp4",
        protocol=Protocol.MP4,
        beginning=file.beginning,
        fanout=file.fanout,
    )
