"""The rules of LL-HLS (RFC 8216bis, Apple's authoring specification), judged from what a server answers.

Pure: `RuleBook` is told every answer in order and collects faults as sentences. It knows nothing of the
server's inside, so the same book judges any LL-HLS server.
"""

from __future__ import annotations

import gzip
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

from bench.hls_playlist import MediaPlaylist, PartLine, PlaylistError, SegmentLines
from bench.hls_times import PartTimes
from bench.media_boxes import BoxError, Run, read_runs, read_tracks

PART_FULL: Final = 0.85
HOLD_BACK_PARTS: Final = 3
SKIP_TARGETS: Final = 6
PART_TARGETS: Final = 3
MILLISECOND: Final = 0.001
SLEW_S: Final = 0.0025
"""Program date-time against tfdt from one segment to the next: 1 ms of slew, and rounding to ms at both."""
PLAYLIST_TYPE: Final = "application/vnd.apple.mpegurl"
FAULTS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, its body as sent (still zipped)."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    def text(self) -> str:
        """The body, unzipped."""
        zipped = self.headers.get("content-encoding") == "gzip"
        return (gzip.decompress(self.body) if zipped else self.body).decode()


@dataclass
class _Segment:
    """What was ever said of one segment."""

    lines: SegmentLines
    discontinuity: int
    bodies: dict[int, bytes] = field(default_factory=dict)


class RuleBook:
    """Judges one rendition of one running stream."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.playlists = 0
        self.parts = 0
        self.deltas = 0
        self.times = PartTimes(self.check)
        self._constants: dict[str, object] = {}
        self._segments: dict[int, _Segment] = {}
        self._order: deque[int] = deque()
        self._inits: dict[str, bytes] = {}
        self._last: MediaPlaylist | None = None
        self._hint: str | None = None

    def fault(self, rule: str, detail: str) -> None:
        """Note what was broken."""
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(f"{rule}: {detail}")

    def check(self, rule: str, holds: object, detail: object = "") -> None:
        """Note it unless it holds."""
        if not holds:
            self.fault(rule, str(detail))

    def multivariant(self, answer: Answer) -> list[str]:
        """Judge the multivariant playlist; gives the addresses in it."""
        self._judge_playlist_answer(answer)
        lines = answer.text().splitlines()
        self.check("first line", lines[:1] == ["#EXTM3U"], lines[:1])
        uris = [line for line in lines if line and not line.startswith("#")]
        infos = [line for line in lines if line.startswith("#EXT-X-STREAM-INF:")]
        self.check("one STREAM-INF for each address", len(uris) == len(infos), (uris, infos))
        for info in infos:
            self.check("BANDWIDTH", re.search(r"[:,]BANDWIDTH=[1-9]\d*", info), info)
            self.check("CODECS", re.search(r'CODECS="[^"]+"', info), info)
            if "avc1" in info or "hvc1" in info or "av01" in info:
                self.check("RESOLUTION with video", re.search(r"RESOLUTION=\d+x\d+", info), info)
                self.check("FRAME-RATE with video", re.search(r"FRAME-RATE=\d+\.\d{3}", info), info)
        self.check("no _HLS_ in addresses", not any("_HLS_" in uri for uri in uris), uris)
        return uris

    def init(self, uri: str, answer: Answer) -> None:
        """Judge an init segment."""
        self._judge_media_answer(uri, answer)
        try:
            read_tracks(answer.body)
        except BoxError as exc:
            self.fault("init segment", f"{uri} {exc}")
            return
        self._inits[uri] = answer.body

    def playlist(
        self, answer: Answer, *, asked: tuple[int, int | None] | None = None
    ) -> MediaPlaylist | None:
        """Judge the next media playlist; `asked` is the `_HLS_msn` and `_HLS_part` it answers."""
        self._judge_playlist_answer(answer)
        if answer.status != 200:
            return None
        try:
            playlist = MediaPlaylist.parse(answer.text())
        except PlaylistError as exc:
            self.fault("readable", str(exc))
            return None
        self.playlists += 1
        self._judge_head(playlist)
        self._judge_sequence(playlist)
        if asked is not None:
            msn, part = asked
            wanted = (msn, part + 1) if part is not None else (msn + 1, 0)
            self.check("a blocking reload has what it asked for", playlist.ended or playlist.next >= wanted,
                       f"asked for {asked}, got up to {playlist.next}")  # fmt: skip
        discontinuity = playlist.discontinuity_sequence or 0
        for segment in playlist.segments:
            discontinuity += segment.discontinuity
            self._judge_segment(playlist, segment, discontinuity)
        self._judge_placing(playlist)
        self._last = playlist
        return playlist

    def delta(self, answer: Answer, full: MediaPlaylist) -> None:
        """Judge a delta update fetched right after the full playlist."""
        self._judge_playlist_answer(answer)
        try:
            delta = MediaPlaylist.parse(answer.text())
        except PlaylistError as exc:
            self.fault("readable delta", str(exc))
            return
        self.deltas += 1
        boundary = float(delta.server_control.get("CAN-SKIP-UNTIL", "0"))
        total = sum(segment.duration for segment in full.segments)
        if delta.skipped is None:
            return
        self.check("EXT-X-SKIP needs version 9", delta.version >= 9, delta.version)
        self.check("delta keeps MEDIA-SEQUENCE", delta.sequence >= full.sequence, delta.sequence)
        skipped = [segment for segment in full.segments if segment.msn < delta.sequence + delta.skipped]
        left = total - sum(segment.duration for segment in skipped)
        self.check("nothing younger than the skip boundary is skipped", left > boundary - MILLISECOND,
                   f"{delta.skipped} skipped, {left:.3f} s left of {total:.3f}, boundary {boundary}")  # fmt: skip
        by_msn = {segment.msn: segment for segment in full.segments if segment.uri}
        for number, segment in enumerate(delta.segments):
            there = by_msn.get(segment.msn)
            if there is None:
                continue
            same = (segment.uri, segment.extinf, segment.pdt, segment.discontinuity)
            self.check("delta says what the full playlist says",
                       same == (there.uri, there.extinf, there.pdt, there.discontinuity), segment)  # fmt: skip
            if number == 0:
                self.check("delta carries EXT-X-MAP", segment.map_uri == there.map_uri, segment)

    def part(self, msn: int, number: int, line: PartLine, answer: Answer) -> None:
        """Judge a part that a playlist named."""
        self._judge_media_answer(line.uri, answer)
        segment = self._segments.get(msn)
        if answer.status != 200 or segment is None:
            return
        self.parts += 1
        init = self._inits.get(segment.lines.map_uri)
        if init is None:
            self.fault("a part has an init segment", f"{line.uri}: {segment.lines.map_uri!r} was not had")
            return
        try:
            leading = _leading(read_runs(answer.body, init), init)
        except BoxError as exc:
            self.fault("CMAF", f"{line.uri} {exc}")
            return
        segment.bodies[number] = answer.body
        self.times.judge((msn, number), self._before(msn, number), line.duration, leading)
        if number == 0:
            self._judge_date(msn, segment)
        if leading is None or not leading.samples:
            self.check("a part that is INDEPENDENT has a key frame", not line.independent, line.uri)
            return
        self.check("INDEPENDENT=YES is the media's", leading.first_sync == line.independent or not line.independent,
                   line.uri)  # fmt: skip
        self.check(
            "a key frame at a part's start is INDEPENDENT",
            line.independent or not leading.first_sync,
            line.uri,
        )

    def whole_segment(self, segment: SegmentLines, answer: Answer) -> None:
        """Judge a complete segment: its parts joined, as long as its EXTINF."""
        self._judge_media_answer(segment.uri, answer)
        known = self._segments.get(segment.msn)
        init = self._inits.get(segment.map_uri)
        if answer.status != 200 or known is None or init is None:
            return
        if sorted(known.bodies) == list(range(len(known.lines.parts))) and known.bodies:
            joined = b"".join(known.bodies[number] for number in sorted(known.bodies))
            self.check("a segment is its parts joined", joined == answer.body, segment.uri)
        try:
            runs = read_runs(answer.body, init)
        except BoxError as exc:
            self.fault("CMAF", f"{segment.uri} {exc}")
            return
        leading = _leading(runs, init) or (runs[0] if runs else None)
        if leading is not None:
            its = [run for run in runs if run.track == leading.track]
            self.times.judge_segment(segment.msn, segment.extinf, its)

    def refusal(self, what: str, answer: Answer, *statuses: int) -> None:
        """Judge an answer that must be one of these errors."""
        self.check(f"{what} is {'/'.join(map(str, statuses))}", answer.status in statuses, answer.status)
        self.check(
            f"{what}: CORS on errors",
            answer.headers.get("access-control-allow-origin") == "*",
            answer.headers,
        )
        if answer.status >= 400:
            self.check(f"{what}: errors are not cached", answer.headers.get("cache-control") == "no-store",
                       answer.headers.get("cache-control"))  # fmt: skip

    def _judge_playlist_answer(self, answer: Answer) -> None:
        headers = answer.headers
        self.check("playlist status", answer.status in (200, 503), answer.status)
        self.check("CORS", headers.get("access-control-allow-origin") == "*", headers)
        if answer.status == 200:
            self.check("playlists are zipped", headers.get("content-encoding") == "gzip", dict(headers))
            self.check(
                "playlist type", headers.get("content-type", "").startswith(PLAYLIST_TYPE), dict(headers)
            )
            self.check("playlists are no-cache", headers.get("cache-control") == "no-cache", dict(headers))
            self.check("playlists vary", "accept-encoding" in headers.get("vary", "").lower(), dict(headers))

    def _judge_media_answer(self, uri: str, answer: Answer) -> None:
        headers = answer.headers
        self.check("media that is named is there", answer.status == 200, f"{uri}: {answer.status}")
        self.check("CORS", headers.get("access-control-allow-origin") == "*", headers)
        if answer.status == 200:
            self.check(
                "media type", headers.get("content-type") in ("video/mp4", "video/iso.segment"), dict(headers)
            )
            self.check("media may be cached", "max-age=" in headers.get("cache-control", ""), dict(headers))

    def _constant(self, name: str, value: object) -> None:
        before = self._constants.setdefault(name, value)
        self.check(f"{name} never changes", before == value, f"{before} → {value}")

    def _judge_head(self, playlist: MediaPlaylist) -> None:
        control, target, part_target = playlist.server_control, playlist.target_duration, playlist.part_target
        self._constant("TARGETDURATION", target)
        self._constant("PART-TARGET", part_target)
        self._constant("SERVER-CONTROL", tuple(sorted(control.items())))
        self.check("version", playlist.version >= 9, playlist.version)
        self.check("CAN-BLOCK-RELOAD", control.get("CAN-BLOCK-RELOAD") == "YES", control)
        self.check("PART-TARGET", part_target > 0, part_target)
        hold_back = float(control.get("PART-HOLD-BACK", "0"))
        self.check(
            "PART-HOLD-BACK ≥ 3 × PART-TARGET", hold_back >= HOLD_BACK_PARTS * part_target - 1e-9, control
        )
        skip = float(control.get("CAN-SKIP-UNTIL", "0"))
        self.check("CAN-SKIP-UNTIL ≥ 6 × TARGETDURATION", skip >= SKIP_TARGETS * target, control)
        self.check("MEDIA-SEQUENCE", playlist.sequence >= 0, playlist.sequence)
        self.check("DISCONTINUITY-SEQUENCE is always there", playlist.discontinuity_sequence is not None)
        self.check("a preload hint is always there", playlist.ended or playlist.hint, playlist.next)
        self.check("no hint after the end", not (playlist.ended and playlist.hint), playlist.hint)
        self.check("no _HLS_ in addresses", not any("_HLS_" in uri for uri in playlist.uris))
        # A name may not lead elsewhere: no host, no way up.
        self.check(
            "addresses are plain names", not any(urlsplit(uri).netloc or ".." in uri for uri in playlist.uris)
        )
        if playlist.independent_segments:
            starts = [segment.parts[0] for segment in playlist.segments if segment.parts]
            self.check("INDEPENDENT-SEGMENTS is true", all(part.independent for part in starts))

    def _judge_sequence(self, playlist: MediaPlaylist) -> None:
        last = self._last
        if last is None:
            return
        self.check("MEDIA-SEQUENCE never falls", playlist.sequence >= last.sequence,
                   f"{last.sequence} → {playlist.sequence}")  # fmt: skip
        self.check(
            "the playlist never goes back", playlist.next >= last.next, f"{last.next} → {playlist.next}"
        )
        self.check("nothing between two playlists is missing", playlist.sequence <= last.next[0] + 1,
                   f"{last.next} → {playlist.sequence}")  # fmt: skip
        gone = [segment for segment in last.segments if segment.msn < playlist.sequence]
        expected = (last.discontinuity_sequence or 0) + sum(segment.discontinuity for segment in gone)
        if playlist.sequence <= last.next[0]:
            self.check("DISCONTINUITY-SEQUENCE counts what left", playlist.discontinuity_sequence == expected,
                       f"{playlist.discontinuity_sequence}, expected {expected}")  # fmt: skip

    def _judge_segment(self, playlist: MediaPlaylist, segment: SegmentLines, discontinuity: int) -> None:
        name = f"segment {segment.msn}"
        self.check("PROGRAM-DATE-TIME on every segment", segment.pdt is not None, name)
        self.check("PROGRAM-DATE-TIME before the first part", not segment.pdt_after_part, name)
        self.check("EXT-X-MAP", segment.map_uri, name)
        if segment.uri:
            self.check("EXTINF rounded ≤ TARGETDURATION", int(segment.extinf + 0.5) <= playlist.target_duration,
                       f"{name}: {segment.extinf} of {playlist.target_duration}")  # fmt: skip
            if segment.parts:
                total = sum(part.duration for part in segment.parts)
                self.check("EXTINF is the sum of its parts", abs(total - segment.extinf) < MILLISECOND,
                           f"{name}: {segment.extinf} of {total}")  # fmt: skip
        for number, part in enumerate(segment.parts):
            whole = bool(segment.uri) and number == len(segment.parts) - 1
            newest = not segment.uri and number == len(segment.parts) - 1
            self.check("a part is at most PART-TARGET", part.duration <= playlist.part_target + 1e-9,
                       f"{part.uri}: {part.duration}")  # fmt: skip
            # Of the newest part of an open segment it is not known yet whether it is the last.
            self.check("a part is at least 85 % of PART-TARGET",
                       part.independent or whole or newest or part.gap
                       or part.duration >= PART_FULL * playlist.part_target,
                       f"{part.uri}: {part.duration} of {playlist.part_target}")  # fmt: skip
        known = self._segments.get(segment.msn)
        if known is None:
            self._segments[segment.msn] = _Segment(segment, discontinuity)
            self._order.append(segment.msn)
            while len(self._order) > 400:
                del self._segments[self._order.popleft()]
            return
        self._judge_same(name, known.lines, segment)
        self.check(
            "a segment's discontinuity number never changes", known.discontinuity == discontinuity, name
        )
        if len(segment.parts) >= len(known.lines.parts) or segment.uri:
            known.lines = replace(segment, parts=segment.parts or known.lines.parts)

    def _judge_same(self, name: str, before: SegmentLines, now: SegmentLines) -> None:
        same = (before.pdt, before.discontinuity, before.map_uri) == (now.pdt, now.discontinuity, now.map_uri)
        self.check("what was said of a segment stays", same, f"{name}: {before} → {now}")
        if before.uri and now.uri:
            self.check("a segment's lines stay", (before.uri, before.extinf) == (now.uri, now.extinf), name)
        if now.parts:
            common = min(len(before.parts), len(now.parts))
            self.check("a part's line stays", before.parts[:common] == now.parts[:common], name)
            self.check("parts are only added", len(now.parts) >= len(before.parts), name)

    def _judge_placing(self, playlist: MediaPlaylist) -> None:
        """Parts only near the end, the hint names what comes, numbers without holes."""
        behind = 0.0
        for segment in reversed(playlist.segments):
            if segment.uri and segment.parts:
                self.check("parts only in the last three target durations",
                           behind <= PART_TARGETS * playlist.target_duration + MILLISECOND,
                           f"segment {segment.msn} ends {behind:.2f} s before the end")  # fmt: skip
            elif segment.uri and playlist.skipped is None:
                self.check("parts in all of the last three target durations",
                           behind + MILLISECOND >= PART_TARGETS * playlist.target_duration,
                           f"segment {segment.msn} ends {behind:.2f} s before the end")  # fmt: skip
            behind += segment.duration
        numbers = [segment.msn for segment in playlist.segments]
        self.check("media sequence numbers without holes", numbers == list(range(numbers[0], numbers[0] + len(numbers)))
                   if numbers else True, numbers)  # fmt: skip
        names = [part.uri for segment in playlist.segments for part in segment.parts]
        names += [segment.uri for segment in playlist.segments if segment.uri]
        self.check("every name is used once", len(set(names)) == len(names))
        self.check("a hint is of what is not there", playlist.hint not in names, playlist.hint)
        hint, self._hint = self._hint, playlist.hint
        if hint is not None and playlist.hint != hint and not playlist.ended:
            self.check("what was hinted at came", hint in names or not names, f"{hint} → {playlist.hint}")

    def _before(self, msn: int, number: int) -> tuple[int, int] | None:
        """The part that this one goes on behind; None where that is not known, or a discontinuity between."""
        if number:
            return msn, number - 1
        previous, segment = self._segments.get(msn - 1), self._segments[msn]
        if previous is None or not previous.lines.uri or segment.lines.discontinuity:
            return None
        return msn - 1, len(previous.lines.parts) - 1

    def _judge_date(self, msn: int, segment: _Segment) -> None:
        """Program date-time against the media's time, from one segment to the next."""
        previous = self._segments.get(msn - 1)
        begins = self.times.begins
        if previous is None or segment.lines.discontinuity or msn not in begins or msn - 1 not in begins:
            return
        if previous.lines.pdt is None or segment.lines.pdt is None:
            return
        moved = (segment.lines.pdt - begins[msn]) - (previous.lines.pdt - begins[msn - 1])
        self.check(
            "PROGRAM-DATE-TIME agrees with tfdt", abs(moved) <= SLEW_S, f"segment {msn}: {moved:+.4f} s"
        )


def _leading(runs: list[Run], init: bytes) -> Run | None:
    """The first run of the video track, or of the only track."""
    tracks = read_tracks(init)
    video = [run for run in runs if tracks[run.track].video]
    if any(track.video for track in tracks.values()):
        return video[0] if video else None
    return runs[0] if runs else None
