"""How media and playlists are answered: types, caches, compression, byte ranges. CORS is the edge's."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from gateway.live.byte_range import RangeUnsatisfiableError, read_range

PLAYLIST_TYPE: Final = "application/vnd.apple.mpegurl"
FOR_EVER: Final = "public, max-age=3600, immutable"
"""Of what never changes under its name."""
GZIP_LEVEL: Final = 5
PIECE: Final = 128 << 10
"""Bytes of an answer that a connection is given at once: who takes nothing holds no more of our memory."""
ACCEPTED_KEPT: Final = 256
"""Forms of `Accept-Encoding` whose meaning is remembered: there are few."""
_NOT: Final = re.compile(r"q=0(\.0{0,3})?")


@dataclass(frozen=True, slots=True)
class Playlist:
    """A rendered playlist or manifest, for all who ask for it."""

    plain: bytes
    zipped: bytes

    @classmethod
    def of(cls, text: str) -> Playlist:
        """Zip it, once."""
        plain = text.encode()
        return cls(plain, gzip.compress(plain, GZIP_LEVEL, mtime=0))


def give_playlist(
    request: web.Request, playlist: Playlist, content_type: str = PLAYLIST_TYPE
) -> web.Response:
    """A playlist or manifest: never from a cache, zipped for who takes it (authoring specification 10.1)."""
    headers = {hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: "no-cache", hdrs.VARY: "Accept-Encoding"}
    if takes_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, "")):
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        return web.Response(body=playlist.zipped, headers=headers)
    return web.Response(body=playlist.plain, headers=headers)


@lru_cache(ACCEPTED_KEPT)
def takes_gzip(accepted: str) -> bool:
    """Whether a client with this `Accept-Encoding` takes gzip (RFC 9110, 12.5.3). Pure."""
    others = False
    for one in accepted.lower().split(","):
        coding, _, weight = one.partition(";")
        takes = _NOT.fullmatch(weight.replace(" ", "")) is None
        if coding.strip() in ("gzip", "x-gzip"):
            return takes
        if coding.strip() == "*":
            others = takes
    return others


async def give_media(
    request: web.Request, bodies: Sequence[bytes], content_type: str = "video/mp4"
) -> web.StreamResponse:
    """Media that never changes under its name, these bytes one after another, or the range of it that is asked for."""
    headers = {
        hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: FOR_EVER, hdrs.ACCEPT_RANGES: "bytes"
    }  # fmt: skip
    size = sum(map(len, bodies))
    try:
        wanted = read_range(request.headers.get(hdrs.RANGE), size)
    except RangeUnsatisfiableError:
        headers[hdrs.CONTENT_RANGE] = f"bytes */{size}"
        return web.Response(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers)
    start, stop = wanted or (0, size)
    if wanted is not None:
        headers[hdrs.CONTENT_RANGE] = f"bytes {start}-{stop - 1}/{size}"
    status = HTTPStatus.OK if wanted is None else HTTPStatus.PARTIAL_CONTENT
    if stop - start <= PIECE:
        return web.Response(status=status, body=b"".join(pieces(bodies, start, stop)), headers=headers)
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = stop - start
    await response.prepare(request)
    if request.method != hdrs.METH_HEAD:
        try:
            for piece in pieces(bodies, start, stop):
                await response.write(piece)
        except ConnectionError:
            pass  # He left.
    return response


def pieces(bodies: Sequence[bytes], start: int, stop: int) -> Iterator[bytes | memoryview]:
    """The bytes from `start` up to `stop` of bodies laid end to end, uncopied, at most `PIECE` at a time. Pure."""
    before = 0
    for body in bodies:
        first, behind = max(start - before, 0), min(stop - before, len(body))
        before += len(body)
        if (first, behind) == (0, len(body)) and len(body) <= PIECE:
            yield body
            continue
        for at in range(first, behind, PIECE):
            yield memoryview(body)[at : min(at + PIECE, behind)]
