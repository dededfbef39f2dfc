"""An LL-HLS player's traffic: blocking reloads and every part, checked for holes."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin

import aiohttp

from bench.picture import read_stamps

_ATTRIBUTE: Final = re.compile(r'([A-Z-]+)=("[^"]*"|[^,]*)')
_DEADLINE_S: Final = 10.0


def attributes(line: str) -> dict[str, str]:
    """The attribute list of a tag."""
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(line.partition(":")[2])}


@dataclass
class Playlist:
    """What the puller needs of a media playlist."""

    sequence: int = 0
    segments: int = 0
    parts: list[tuple[int, int, str, float]] = field(default_factory=list)
    """Media sequence, part index, URI, duration."""
    ended: bool = False
    server_control: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Playlist:
        """Read a playlist without skips."""
        playlist = cls()
        msn = part = 0
        for line in text.splitlines():
            if line.startswith("#EXT-X-MEDIA-SEQUENCE:"):
                playlist.sequence = msn = int(line.partition(":")[2])
            elif line.startswith("#EXT-X-PART:"):
                found = attributes(line)
                playlist.parts.append((msn, part, found["URI"], float(found["DURATION"])))
                part += 1
            elif line.startswith("#EXT-X-SERVER-CONTROL:"):
                playlist.server_control = attributes(line)
            elif line.startswith("#EXT-X-ENDLIST"):
                playlist.ended = True
            elif line and not line.startswith("#"):
                msn, part = msn + 1, 0
                playlist.segments += 1
        return playlist


@dataclass
class HlsPuller:
    """Follows one media playlist by blocking reload and fetches each new part."""

    url: str
    """The media playlist."""
    edge_ms: list[float] = field(default_factory=list)
    """For each part: how far its newest frame lay behind the publisher's send when the part was here."""
    gaps: list[str] = field(default_factory=list)
    parts: int = 0
    longest_wait_s: float = 0.0

    async def run(self, session: aiohttp.ClientSession, until: asyncio.Event) -> None:
        """Play until told to stop."""
        seen: tuple[int, int] | None = None
        playlist = await self._playlist(session, None)
        while not until.is_set():
            fresh = [part for part in playlist.parts if seen is None or part[:2] > seen]
            if seen is None:
                fresh = fresh[-1:]
            for msn, index, uri, _ in fresh:
                expected = None if seen is None else ((seen[0], seen[1] + 1), (seen[0] + 1, 0))
                if expected is not None and (msn, index) not in expected:
                    self.gaps.append(f"part {seen} → {(msn, index)}")
                await self._part(session, uri)
                seen = (msn, index)
            if playlist.ended:
                return
            if seen is None:
                await asyncio.sleep(0.2)
            began = time.monotonic()
            playlist = await self._playlist(session, seen)
            self.longest_wait_s = max(self.longest_wait_s, time.monotonic() - began)

    async def _playlist(self, session: aiohttp.ClientSession, seen: tuple[int, int] | None) -> Playlist:
        query = f"?_HLS_msn={seen[0]}&_HLS_part={seen[1] + 1}" if seen else ""
        deadline = time.monotonic() + _DEADLINE_S
        while True:
            try:
                async with session.get(self.url + query) as response:
                    text = await response.text()
                    if response.status == 200:
                        return Playlist.parse(text)
                    fault = f"playlist {response.status} {text[:100]}"
            except (aiohttp.ClientError, TimeoutError) as exc:
                fault = repr(exc)
            if time.monotonic() > deadline:
                self.gaps.append(fault)
                return Playlist(ended=True)
            await asyncio.sleep(0.1)

    async def _part(self, session: aiohttp.ClientSession, uri: str) -> None:
        try:
            async with session.get(urljoin(self.url, uri)) as response:
                body = await response.read()
                if response.status != 200:
                    self.gaps.append(f"part {response.status}")
                    return
        except (aiohttp.ClientError, TimeoutError) as exc:
            self.gaps.append(repr(exc))
            return
        self.parts += 1
        if stamps := read_stamps(body):
            self.edge_ms.append((time.time_ns() // 1_000 - max(stamps)) / 1_000)
