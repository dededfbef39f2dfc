"""The playlist of MPEG-TS segments for old players: version 3, whole segments only (RFC 8216). Pure."""

from __future__ import annotations

from typing import Final

from gateway.live.playlist import date_time, seconds
from gateway.live.segments import SegmentIndex

VERSION: Final = 3
"""The least that has decimal durations."""


def ts_uri(msn: int, name: str) -> str:
    """Name of a segment, relative to its playlist."""
    return f"{msn}-{name}.ts"


def render_ts(index: SegmentIndex) -> str:
    """The media playlist. The index must have a target duration."""
    segments = [segment for segment in index.segments if segment.complete]
    first = segments[0] if segments else None
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{VERSION}",
        f"#EXT-X-TARGETDURATION:{index.target_duration}",
        f"#EXT-X-MEDIA-SEQUENCE:{first.msn if first else index.next[0]}",
    ]
    if first is not None:
        # Authoring specification, 8: always, where it may ever be needed.
        lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{first.discontinuity - first.begins_discontinuity}")
    for segment in segments:
        if segment.begins_discontinuity:
            lines.append("#EXT-X-DISCONTINUITY")
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date_time(segment.pdt_us)}")
        lines.append(f"#EXTINF:{seconds(segment.duration_us)},")
        lines.append(ts_uri(segment.msn, segment.name))
    if index.ended:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def render_ts_entry(bandwidth: int, token: str, session: str) -> str:
    """A playlist of that playlist alone, its address with the token and the id of a session."""
    return (
        f"#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-STREAM-INF:BANDWIDTH={bandwidth}\n"
        f"ts.m3u8?token={token}&session={session}\n"
    )
