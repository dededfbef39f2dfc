"""What a DASH manifest is made of: the segments of one rendition, track by track. Pure.

Read from the index of parts when somebody asks, and only as far as its bytes are held here, so every
gateway lists the same segments. Media times are those of the CMAF parts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gateway.live.segments import Segment, SegmentIndex
from media.isobmff import Track, fragment_of, read_fragment, read_init

KINDS: Final = ("video", "audio")


@dataclass(slots=True)
class TrackSegment:
    """One segment of one track: open while its HLS segment is."""

    source: Segment
    track: Track
    time: int
    """Decode time of its first sample, ticks of the track."""
    duration: int = 0
    """Of its samples so far, ticks."""
    size: int = 0
    """Bytes of them."""
    read: int = 0
    """Parts of `source` counted in."""
    _fragments: list[bytes] = field(default_factory=list)
    _cut: int = 0

    @property
    def kind(self) -> str:
        """`video` or `audio`."""
        return KINDS[not self.track.is_video]

    def fragments(self) -> list[bytes]:
        """Its fragments so far, cut once for all who ask; raises `BoxError`.

        The bytes of its parts must be held, or have been cut before.
        """
        parts = self.source.parts
        while self._cut < len(parts):
            body = parts[self._cut].body
            if body is None:
                break
            if fragment := fragment_of(body, self.track.id):
                self._fragments.append(fragment)
            self._cut += 1
        return self._fragments


@dataclass(slots=True)
class Period:
    """The segments between two discontinuities: one init segment, one timeline."""

    discontinuity: int
    init: int
    tracks: tuple[Track, ...]
    segments: dict[str, list[TrackSegment]]

    @property
    def key(self) -> str:
        """Its id in manifests, the same at every gateway."""
        return f"{self.discontinuity}-{self.init}"

    @property
    def anchor(self) -> tuple[int, int]:
        """Wall clock (µs since 1970) and media time (ms) of the first frame that is held."""
        first = min((held[0] for held in self.segments.values() if held), key=_ms)
        leader = next(held[0] for held in self.segments.values() if held)
        return leader.source.pdt_us - (_ms(leader) - _ms(first)) * 1_000, _ms(first)

    @property
    def newest_anchor(self) -> tuple[int, int]:
        """The same of the newest segment of the leading track."""
        leader = next(held[-1] for held in self.segments.values() if held)
        return leader.source.pdt_us, _ms(leader)

    @property
    def end_ms(self) -> int:
        """Media time at which its last sample ends."""
        last = [held[-1] for held in self.segments.values() if held]
        return max((one.time + one.duration) * 1_000 // one.track.timescale for one in last)


class DashIndex:
    """The periods of one rendition; `sync` before reading."""

    def __init__(self) -> None:
        self.periods: list[Period] = []
        self._known: dict[str, dict[str, TrackSegment]] = {}
        """By name of the HLS segment and kind."""
        self._tracks: dict[int, tuple[Track, ...]] = {}
        self._version = -1

    def sync(self, index: SegmentIndex, inits: dict[int, bytes]) -> None:
        """Take in what the parts say now; raises `BoxError` for bytes that are not CMAF."""
        if index.version == self._version:
            return
        self._version = index.version
        held = [segment for segment in index.segments if all(part.body is not None for part in segment.parts)]
        known: dict[str, dict[str, TrackSegment]] = {}
        periods: list[Period] = []
        for segment in held:
            tracks = self._tracks.get(segment.init)
            if tracks is None:
                tracks = self._tracks[segment.init] = read_init(inits[segment.init])
            if not periods or periods[-1].key != f"{segment.discontinuity}-{segment.init}":
                periods.append(
                    Period(
                        segment.discontinuity, segment.init, tracks, {_kind(track): [] for track in tracks}
                    )
                )
            found = known[segment.name] = self._known.get(segment.name, {})
            _read(found, segment, tracks)
            for kind, one in found.items():
                periods[-1].segments[kind].append(one)
        self.periods = [period for period in periods if any(period.segments.values())]
        self._known = known
        self._tracks = {init: tracks for init, tracks in self._tracks.items() if init in inits}

    def find(self, init: int, kind: str, time: int) -> TrackSegment | None:
        """The segment of that track that begins at that media time."""
        for period in reversed(self.periods):
            if period.init == init:
                for one in reversed(period.segments.get(kind, [])):
                    if one.time == time:
                        return one
        return None

    def is_ahead(self, init: int, kind: str, time: int) -> bool:
        """Whether that time is behind all that is known: its segment may be about to begin."""
        newest = [
            held[-1] for period in self.periods if period.init == init and (held := period.segments.get(kind))
        ]
        return not newest or time > newest[-1].time


def _read(found: dict[str, TrackSegment], segment: Segment, tracks: tuple[Track, ...]) -> None:
    """Count in the parts that were not there the last time."""
    by_id = {track.id: track for track in tracks}
    start = min((one.read for one in found.values()), default=0)
    for at in range(start, len(segment.parts)):
        body = segment.parts[at].body
        if body is None:
            return
        for run in read_fragment(body, tracks):
            if not run.data:
                continue  # its picture began in a part before
            track = by_id[run.track]
            one = found.get(_kind(track))
            if one is None:
                one = found[_kind(track)] = TrackSegment(segment, track, run.decode_time)
            one.duration = run.decode_time + run.duration - one.time
            one.size += sum(map(len, run.data))
        for one in found.values():
            one.read = at + 1


def _kind(track: Track) -> str:
    return KINDS[not track.is_video]


def _ms(one: TrackSegment) -> int:
    return one.time * 1_000 // one.track.timescale
