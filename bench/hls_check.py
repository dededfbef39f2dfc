"""Watches a running LL-HLS stream as several players would, and has the rule book judge every answer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from bench.hls_playlist import MediaPlaylist
from bench.hls_rules import Answer, RuleBook

_DELTA_EVERY: Final = 7
_BLOCKED_S: Final = 0.03
"""A request that is answered sooner was not held back."""
_DEADLINE_S: Final = 30.0


@dataclass
class Checker:
    """Follows one media playlist for as long as it is asked to."""

    url: str
    """The media playlist."""
    book: RuleBook = field(default_factory=RuleBook)
    retry_s: float = 0.0
    """How long an answer other than 200 is asked for again: what a killed process may take."""
    seen: tuple[int, int] | None = None
    """The part had last."""
    inits: int = 0
    _named: set[str] = field(default_factory=set)
    _reloads: int = 0

    async def run(self, session: aiohttp.ClientSession, until: asyncio.Event) -> RuleBook:
        """Play until told to stop or until the stream ends; gives the book."""
        asked: tuple[int, int | None] | None = None
        while not until.is_set():
            playlist = await self._reload(session, asked)
            if playlist is None:
                return self.book
            await self._fetch(session, playlist)
            self._reloads += 1
            if self._reloads % _DELTA_EVERY == 0:
                answer = await self._get(session, f"{self.url}?_HLS_skip=YES")
                if answer.status == 200 or not self.retry_s:
                    self.book.delta(answer, playlist)
            if playlist.ended:
                return self.book
            asked = playlist.next
        return self.book

    async def _reload(
        self, session: aiohttp.ClientSession, asked: tuple[int, int | None] | None
    ) -> MediaPlaylist | None:
        query = f"?_HLS_msn={asked[0]}&_HLS_part={asked[1]}" if asked else ""
        deadline = time.monotonic() + self.retry_s
        while True:
            answer = await self._get(session, self.url + query)
            if answer.status == 200 or time.monotonic() > deadline:
                return self.book.playlist(answer, asked=asked)
            await asyncio.sleep(0.1)

    async def _fetch(self, session: aiohttp.ClientSession, playlist: MediaPlaylist) -> None:
        for segment in playlist.segments:
            if segment.map_uri and segment.map_uri not in self._named:
                self._named.add(segment.map_uri)
                self.inits += 1
                self.book.init(segment.map_uri, await self._media(session, segment.map_uri))
            for number, part in enumerate(segment.parts):
                if part.uri in self._named:
                    continue
                self._named.add(part.uri)
                self.book.part(segment.msn, number, part, await self._media(session, part.uri))
                self.seen = segment.msn, number
            if segment.uri and segment.uri not in self._named:
                self._named.add(segment.uri)
                self.book.whole_segment(segment, await self._media(session, segment.uri))

    async def _media(self, session: aiohttp.ClientSession, uri: str) -> Answer:
        deadline = time.monotonic() + self.retry_s
        while True:
            answer = await self._get(session, urljoin(self.url, uri))
            if answer.status < 500 or time.monotonic() > deadline:
                return answer
            await asyncio.sleep(0.1)

    async def _get(self, session: aiohttp.ClientSession, url: str) -> Answer:
        return await get(session, url)


async def get(session: aiohttp.ClientSession, url: str, **headers: str) -> Answer:
    """One request, nothing of its address normalised; status 599 where the server was not there."""
    try:
        async with session.get(
            URL(url, encoded=True), headers={"Accept-Encoding": "gzip", **headers}, allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=_DEADLINE_S),
        ) as response:  # fmt: skip
            named = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, named, await response.read())
    except (aiohttp.ClientError, TimeoutError) as exc:
        return Answer(599, {}, repr(exc).encode())


async def probe(session: aiohttp.ClientSession, url: str, book: RuleBook) -> None:
    """Ask a running stream for what must block, and for what must be refused (RFC 8216bis, 6.2.5.2)."""
    playlist = book.playlist(await get(session, url))
    if playlist is None or playlist.hint is None or playlist.ended:
        book.fault("probe", "there is no running playlist")
        return
    msn, part = playlist.next
    for query, what in (
        ("_HLS_part=1", "_HLS_part alone"),
        ("_HLS_msn=-1", "a negative _HLS_msn"),
        ("_HLS_msn=x", "an _HLS_msn that is no number"),
        (f"_HLS_msn={msn}&_HLS_part=1e1", "an _HLS_part that is no number"),
        (f"_HLS_msn={10**30}", "an endless _HLS_msn"),
        (f"_HLS_msn={msn + 4}", "an _HLS_msn far ahead"),
        (f"_HLS_msn={msn}&_HLS_part={part + 400}", "an _HLS_part far ahead"),
        (f"_HLS_msn={msn}&_HLS_part=-1", "a negative _HLS_part"),
        ("_HLS_skip=maybe", "an unknown _HLS_skip"),
    ):
        book.refusal(what, await get(session, f"{url}?{query}"), 400)
    base = urljoin(url, ".")
    uri = next(segment.uri for segment in reversed(playlist.segments) if segment.uri)
    for path, what in (
        ("0-ffffffffffffffff.m4s", "a name that is not ours"),
        ("../nothing/index.m3u8", "an unknown rendition"),
        ("..%2f..%2fetc%2fpasswd", "a way up"),
        ("%2e%2e/%2e%2e/%2e%2e/etc/passwd", "a way up in dots"),
        ("999999-" + uri.partition("-")[2], "a number of another segment"),
        (uri + "%00", "a zero byte"),
        ("x" * 4_000, "a long name"),
    ):
        book.refusal(what, await get(session, base + path), 404, 400)
    await _probe_ranges(session, base + uri, book)
    await _probe_blocking(session, url, book)


async def _probe_ranges(session: aiohttp.ClientSession, url: str, book: RuleBook) -> None:
    whole = await get(session, url)
    size = len(whole.body)
    for wanted, start, stop in (("0-99", 0, 100), (f"{size - 10}-", size - 10, size), ("-7", size - 7, size),
                                (f"5-{size * 2}", 5, size)):  # fmt: skip
        answer = await get(session, url, Range=f"bytes={wanted}")
        book.check(
            f"Range {wanted}", answer.status == 206 and answer.body == whole.body[start:stop], answer.status
        )
        expected = f"bytes {start}-{stop - 1}/{size}"
        book.check("Content-Range", answer.headers.get("content-range") == expected, dict(answer.headers))
    for wanted in (f"{size}-", f"{size + 5}-{size + 9}", "-0"):
        answer = await get(session, url, Range=f"bytes={wanted}")
        book.refusal(f"Range {wanted}", answer, 416)
        book.check(
            "Content-Range of 416",
            answer.headers.get("content-range") == f"bytes */{size}",
            dict(answer.headers),
        )
    for wanted in ("bytes=9-5", "bytes=a-b", "lines=1-2", "bytes=0-1,4-5"):
        answer = await get(session, url, Range=wanted)
        book.check(f"Range {wanted} is as good as none", answer.status in (200, 206), answer.status)


async def _probe_blocking(session: aiohttp.ClientSession, url: str, book: RuleBook) -> None:
    """A hint, and a reload for the part after the next, are held back until the part is there."""
    for _ in range(3):
        playlist = book.playlist(await get(session, url))
        if playlist is None or playlist.hint is None:
            return
        began = time.monotonic()
        hinted, reload_ = await asyncio.gather(
            get(session, urljoin(url, playlist.hint)),
            get(session, f"{url}?_HLS_msn={playlist.next[0]}&_HLS_part={playlist.next[1]}"),
        )
        waited = time.monotonic() - began
        # The part may have come between the two requests: then another try tells.
        book.check("a hinted part comes", hinted.status == 200, hinted.status)
        book.playlist(reload_, asked=playlist.next)
        if waited > _BLOCKED_S:
            return
    book.fault("hints and reloads are held back", f"answered after {waited:.3f} s")
