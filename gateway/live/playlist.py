"""HLS playlists as text: RFC 8216bis and Apple's authoring specification, from a `SegmentIndex`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from bus_schemas.parts import InitHeader
from gateway.live.segments import Part, Segment, SegmentIndex

VERSION: Final = 9
"""Of the playlist format: the least that has EXT-X-SKIP."""
HOLD_BACK_PARTS: Final = 3
HOLD_BACK_MIN_US: Final = 630_000
"""Of streams whose parts are shorter than usual."""
SKIP_TARGETS: Final = 6
"""CAN-SKIP-UNTIL, in target durations: no less is allowed."""
PART_TARGETS: Final = 3
"""Parts are listed for the last so many target durations."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def part_uri(msn: int, name: str, part: int) -> str:
    """Name of a part, relative to its playlist."""
    return f"{msn}-{name}.{part}.m4s"


def segment_uri(msn: int, name: str) -> str:
    """Name of a segment, relative to its playlist."""
    return f"{msn}-{name}.m4s"


def init_uri(init: InitHeader) -> str:
    """Name of an init segment, relative to its playlist."""
    return f"init-{init.init}-{init.name}.mp4"


@dataclass(frozen=True, slots=True)
class Variant:
    """One rendition as a multivariant playlist names it."""

    name: str
    init: InitHeader
    """The newest."""
    index: SegmentIndex
    frame_rate: float = 0.0
    """0: nothing says."""


def render_multivariant(variants: list[Variant], query: Mapping[str, str | None]) -> str:
    """The multivariant playlist of these; `query` for the addresses in it."""
    said = "&".join(f"{name}={value}" for name, value in query.items() if value)
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{VERSION}"]
    if all(one.index.independent for one in variants):
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    for one in variants:
        # What a publisher announces is believed only before a segment could be measured.
        init = one.init
        peak, average = one.index.bit_rates()
        announced = init.bandwidth or 1
        attributes = [
            f"BANDWIDTH={peak or announced}",
            f"AVERAGE-BANDWIDTH={average or announced}",
            f'CODECS="{init.codecs}"',
        ]
        if init.width:
            attributes.append(f"RESOLUTION={init.width}x{init.height}")
        if one.frame_rate:
            attributes.append(f"FRAME-RATE={one.frame_rate:.3f}")
        if init.colour:
            attributes.append(f"VIDEO-RANGE={init.video_range}")
        lines.append("#EXT-X-STREAM-INF:" + ",".join(attributes))
        lines.append(f"{one.name}/index.m3u8" + (f"?{said}" if said else ""))
    return "\n".join(lines) + "\n"


def render_media(index: SegmentIndex, inits: dict[int, InitHeader], *, skip: bool = False) -> str:
    """The media playlist; with `skip` a delta update, where that leaves anything out.

    The index must have a target duration, and an init for each of its segments.
    """
    target_us = index.target_duration * 1_000_000
    hold_back_us = max(HOLD_BACK_PARTS * index.part_target_us, HOLD_BACK_MIN_US)
    first = index.segments[0] if index.segments else None
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{VERSION}",
        f"#EXT-X-TARGETDURATION:{index.target_duration}",
        f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={seconds(hold_back_us)}"
        f",CAN-SKIP-UNTIL={index.target_duration * SKIP_TARGETS}.0",
        f"#EXT-X-PART-INF:PART-TARGET={seconds(index.part_target_us)}",
        f"#EXT-X-MEDIA-SEQUENCE:{first.msn if first else index.next[0]}",
    ]
    if first is not None:
        lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{first.discontinuity - first.begins_discontinuity}")
        if index.independent:
            lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    behind_us = _behind(index)
    skipped = _skippable(behind_us, SKIP_TARGETS * target_us) if skip else 0
    if skipped:
        lines.append(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}")
    shown_init = None
    for number, segment in enumerate(index.segments):
        if number < skipped:
            continue
        if segment.begins_discontinuity:
            lines.append("#EXT-X-DISCONTINUITY")
        if segment.init != shown_init:
            shown_init = segment.init
            lines.append(f'#EXT-X-MAP:URI="{init_uri(inits[segment.init])}"')
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date_time(segment.pdt_us)}")
        if not segment.complete or behind_us[number] < PART_TARGETS * target_us:
            lines += [_part(segment, at, part) for at, part in enumerate(segment.parts)]
        if segment.complete:
            lines.append(f"#EXTINF:{seconds(segment.duration_us)},")
            lines.append(segment_uri(segment.msn, segment.name))
    if index.ended:
        lines.append("#EXT-X-ENDLIST")
    elif (hint := index.hint) is not None:
        msn, part, name = hint
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{part_uri(msn, name, part)}"')
    return "\n".join(lines) + "\n"


def _behind(index: SegmentIndex) -> list[int]:
    """For each segment, how far its end lies behind the end of the playlist, µs."""
    behind = []
    total = 0
    for segment in reversed(index.segments):
        behind.append(total)
        total += segment.duration_us
    return behind[::-1]


def _skippable(behind_us: list[int], boundary_us: int) -> int:
    """How many of the first segments lie wholly before the skip boundary."""
    return sum(distance >= boundary_us for distance in behind_us)


def _part(segment: Segment, at: int, part: Part) -> str:
    uri = part_uri(segment.msn, segment.name, at)
    independent = ",INDEPENDENT=YES" if part.independent else ""
    return f'#EXT-X-PART:DURATION={seconds(part.duration_us)},URI="{uri}"{independent}'


@lru_cache(maxsize=8_192)  # a playlist says the same durations and times with each of its parts
def seconds(microseconds: int) -> str:
    """A decimal number of seconds, as short as it is exact."""
    text = f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}".rstrip("0")
    return text + "0" if text.endswith(".") else text


@lru_cache(maxsize=8_192)
def date_time(microseconds: int) -> str:
    """ISO 8601 of µs since 1970, to the millisecond."""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
