"""A media playlist read line by line, nothing assumed: what the rule checker judges. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

_ATTRIBUTE: Final = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^,]*)')


class PlaylistError(ValueError):
    """Text that is no playlist."""


def attributes(line: str) -> dict[str, str]:
    """The attribute list of a tag, without quotes."""
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(line.partition(":")[2])}


@dataclass
class PartLine:
    """One EXT-X-PART."""

    uri: str
    duration: float
    independent: bool
    gap: bool


@dataclass
class SegmentLines:
    """One segment: the lines that belong to it; `uri` is empty while it is open."""

    msn: int
    discontinuity: bool = False
    map_uri: str = ""
    """Of the EXT-X-MAP that applies, carried over from segments before it."""
    pdt: float | None = None
    """Seconds since 1970."""
    pdt_after_part: bool = False
    parts: list[PartLine] = field(default_factory=list)
    extinf: float = 0.0
    uri: str = ""

    @property
    def duration(self) -> float:
        """EXTINF, or what the parts of an open segment last."""
        return self.extinf if self.uri else sum(part.duration for part in self.parts)


@dataclass
class MediaPlaylist:
    """All of one media playlist, or of a delta update."""

    version: int = 0
    target_duration: int = 0
    part_target: float = 0.0
    sequence: int = -1
    discontinuity_sequence: int | None = None
    independent_segments: bool = False
    server_control: dict[str, str] = field(default_factory=dict)
    skipped: int | None = None
    """SKIPPED-SEGMENTS of a delta update."""
    segments: list[SegmentLines] = field(default_factory=list)
    """Without the skipped ones; the last may be open."""
    hint: str | None = None
    ended: bool = False
    reports: dict[str, tuple[int, int]] = field(default_factory=dict)
    """RENDITION-REPORT: URI → LAST-MSN, LAST-PART."""
    uris: list[str] = field(default_factory=list)
    """Every URI in it."""

    @property
    def open_segment(self) -> SegmentLines | None:
        """The segment still without a URI, if it has parts."""
        last = self.segments[-1] if self.segments else None
        return last if last is not None and not last.uri else None

    @property
    def next(self) -> tuple[int, int]:
        """Media sequence number and index of the part after the last."""
        if not self.segments:
            return self.sequence + (self.skipped or 0), 0
        last = self.segments[-1]
        return (last.msn + 1, 0) if last.uri else (last.msn, len(last.parts))

    @classmethod
    def parse(cls, text: str) -> MediaPlaylist:
        """Read it; raises `PlaylistError`."""
        lines = text.split("\n")
        if lines[0] != "#EXTM3U" or lines[-1] != "":
            raise PlaylistError("does not begin with #EXTM3U, or its last line does not end")
        playlist = cls()
        at = _Cursor()
        for line in lines[1:-1]:
            try:
                playlist._read(line, at)
            except (ValueError, KeyError) as exc:
                raise PlaylistError(f"{line!r}: {exc!r}") from exc
        if at.touched:
            playlist.segments.append(at.segment)
        return playlist

    def _read(self, line: str, at: _Cursor) -> None:
        tag, _, value = line.partition(":")
        if not line.startswith("#"):
            self._close(line, at)
        elif tag == "#EXT-X-VERSION":
            self.version = int(value)
        elif tag == "#EXT-X-TARGETDURATION":
            self.target_duration = int(value)
        elif tag == "#EXT-X-PART-INF":
            self.part_target = float(attributes(line)["PART-TARGET"])
        elif tag == "#EXT-X-MEDIA-SEQUENCE":
            self.sequence = at.segment.msn = int(value)
        elif tag == "#EXT-X-DISCONTINUITY-SEQUENCE":
            self.discontinuity_sequence = int(value)
        elif tag == "#EXT-X-INDEPENDENT-SEGMENTS":
            self.independent_segments = True
        elif tag == "#EXT-X-SERVER-CONTROL":
            self.server_control = attributes(line)
        elif tag == "#EXT-X-SKIP":
            self.skipped = int(attributes(line)["SKIPPED-SEGMENTS"])
            at.segment.msn += self.skipped
        elif tag == "#EXT-X-ENDLIST":
            self.ended = True
        elif tag == "#EXT-X-PRELOAD-HINT":
            self.hint = attributes(line)["URI"]
            self.uris.append(self.hint)
        elif tag == "#EXT-X-RENDITION-REPORT":
            found = attributes(line)
            self.reports[found["URI"]] = int(found["LAST-MSN"]), int(found.get("LAST-PART", -1))
            self.uris.append(found["URI"])
        else:
            self._read_segment_tag(tag, value, line, at)

    def _read_segment_tag(self, tag: str, value: str, line: str, at: _Cursor) -> None:
        segment = at.segment
        if tag == "#EXT-X-DISCONTINUITY":
            segment.discontinuity = at.touched = True
        elif tag == "#EXT-X-MAP":
            segment.map_uri = attributes(line)["URI"]
            self.uris.append(segment.map_uri)
        elif tag == "#EXT-X-PROGRAM-DATE-TIME":
            segment.pdt = datetime.fromisoformat(value).timestamp()
            segment.pdt_after_part = bool(segment.parts)
            at.touched = True
        elif tag == "#EXT-X-PART":
            found = attributes(line)
            gap = found.get("GAP") == "YES"
            independent = found.get("INDEPENDENT") == "YES"
            segment.parts.append(PartLine(found["URI"], float(found["DURATION"]), independent, gap))
            self.uris.append(found["URI"])
            at.touched = True
        elif tag == "#EXTINF":
            segment.extinf = float(value.partition(",")[0])
        else:
            raise PlaylistError(f"an unknown tag {tag}")

    def _close(self, uri: str, at: _Cursor) -> None:
        if not uri:
            raise PlaylistError("an empty line")
        at.segment.uri = uri
        self.uris.append(uri)
        self.segments.append(at.segment)
        at.segment = SegmentLines(at.segment.msn + 1, map_uri=at.segment.map_uri)
        at.touched = False


@dataclass
class _Cursor:
    segment: SegmentLines = field(default_factory=lambda: SegmentLines(-1))
    touched: bool = False
