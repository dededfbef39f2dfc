"""How media and playlists are answered: types, caches, compression, byte ranges. CORS is the edge's."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from gateway.live.byte_range import RangeUnsatisfiableError, read_range

PLAYLIST_TYPE: Final = "application/vnd.apple.mpegurl"
FOR_EVER: Final = "public, max-age=3600, immutable"
"""Of what never changes under its name."""
GZIP_LEVEL: Final = 5


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
    if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        return web.Response(body=playlist.zipped, headers=headers)
    return web.Response(body=playlist.plain, headers=headers)


def give_media(request: web.Request, body: bytes, content_type: str = "video/mp4") -> web.Response:
    """Media that never changes under its name, or the range of it that is asked for."""
    headers = {
        hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: FOR_EVER, hdrs.ACCEPT_RANGES: "bytes"
    }  # fmt: skip
    try:
        wanted = read_range(request.headers.get(hdrs.RANGE), len(body))
    except RangeUnsatisfiableError:
        headers[hdrs.CONTENT_RANGE] = f"bytes */{len(body)}"
        return web.Response(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers)
    if wanted is None:
        return web.Response(body=body, headers=headers)
    start, stop = wanted
    headers[hdrs.CONTENT_RANGE] = f"bytes {start}-{stop - 1}/{len(body)}"
    return web.Response(status=HTTPStatus.PARTIAL_CONTENT, body=body[start:stop], headers=headers)
