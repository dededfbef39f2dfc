"""DASH manifests as text (ISO/IEC 23009-1), low latency included (its K.3.2). Pure.

Periods begin at discontinuities. Their places on the wall clock are anchored once and shared by all
gateways (`Anchor`), because players hold on to them; media times are never touched. Where a publisher's
clock drifts away from ours, the availability start moves, which shifts no picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from bus_schemas.parts import PART_TARGET_US, InitHeader
from gateway.live.dash_index import Period, TrackSegment

UPDATE_S: Final = 1
"""How often players ask again."""
LATENCY_MS: Final = 2_500
"""Behind the publisher: what low-latency players aim at."""
LATENCY_MAX_MS: Final = 6_000
MIN_BUFFER_S: Final = 1
DRIFT_STEP_MS: Final = 200
"""So far clocks may part before the availability start is moved."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where a period stands: its `start` on the wall clock, ms since 1970, is media time `media_ms`."""

    start_ms: int
    media_ms: int

    @classmethod
    def of(cls, period: Period) -> Anchor:
        """Its place by what is held of it now."""
        wall_us, media_ms = period.anchor
        return cls(wall_us // 1_000, media_ms)

    def drift_ms(self, period: Period) -> int:
        """How far the newest segment's program date-time has moved from its place on the timeline."""
        wall_us, media_ms = period.newest_anchor
        return wall_us // 1_000 - (self.start_ms + media_ms - self.media_ms)


def media_uri(rendition: str, init: InitHeader, kind: str) -> str:
    """Template of a track's segments, relative to the manifest."""
    return f"{rendition}/dash-{init.init}-{init.name}-{kind}-$Time$.m4s"


def init_uri(rendition: str, init: InitHeader, kind: str) -> str:
    """Name of a track's init segment."""
    return f"{rendition}/dash-{init.init}-{init.name}-{kind}.mp4"


def render_mpd(
    periods: list[tuple[Period, Anchor, InitHeader]],
    *,
    rendition: str,
    now_ms: int,
    ended: bool,
    clock_url: str,
    location: str = "",
) -> str:
    """The manifest of at least one period; `location`: where to ask for the next one, if elsewhere."""
    newest, anchor, _ = periods[-1]
    drift = anchor.drift_ms(newest)
    drift = drift // DRIFT_STEP_MS * DRIFT_STEP_MS if abs(drift) >= DRIFT_STEP_MS else 0
    segments = [one for period, _, _ in periods for held in period.segments.values() for one in held]
    longest_s = max((one.duration / one.track.timescale for one in segments), default=0.0)
    first, first_anchor, _ = periods[0]
    end_ms = anchor.start_ms + newest.end_ms - anchor.media_ms
    window_ms = end_ms - (first_anchor.start_ms + first.anchor[1] - first_anchor.media_ms)
    root = [
        'xmlns="urn:mpeg:dash:schema:mpd:2011"',
        'profiles="urn:mpeg:dash:profile:isoff-live:2011"',
        f'type="{"static" if ended else "dynamic"}"',
        f'availabilityStartTime="{_moment(drift)}"',
        f'publishTime="{_moment(now_ms)}"',
        f'minBufferTime="PT{MIN_BUFFER_S}S"',
        f'maxSegmentDuration="PT{longest_s:.3f}S"',
    ]
    if ended:
        # DASH-IF IOP 4.3, 4.6.4: a player that sees the type change plays to the end and asks no more.
        root.append(f'mediaPresentationDuration="PT{end_ms / 1000:.3f}S"')
    else:
        root += [
            f'timeShiftBufferDepth="PT{max(window_ms, 0) / 1000:.3f}S"',
            f'minimumUpdatePeriod="PT{UPDATE_S}S"',
            f'suggestedPresentationDelay="PT{LATENCY_MS / 1000}S"',
        ]
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<MPD {' '.join(root)}>"]
    if location:
        lines.append(f"<Location>{escape(location)}</Location>")
    lines.append(
        f'<ServiceDescription id="0"><Latency target="{LATENCY_MS}" max="{LATENCY_MAX_MS}"/>'
        '<PlaybackRate min="0.96" max="1.04"/></ServiceDescription>'
    )
    for number, (period, place, init) in enumerate(periods):
        is_open = number == len(periods) - 1 and not ended
        lines += _period(period, place, init, rendition, clock_url, is_open=is_open)
    clock = quoteattr(clock_url)
    lines += [f'<UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-iso:2014" value={clock}/>', "</MPD>"]
    return "\n".join(lines) + "\n"


def _period(
    period: Period, anchor: Anchor, init: InitHeader, rendition: str, clock_url: str, *, is_open: bool
) -> list[str]:
    lines = [f'<Period id="{period.key}" start="PT{anchor.start_ms / 1000:.3f}S">']
    codecs = init.codecs.split(",")
    for number, (kind, held) in enumerate(period.segments.items()):
        if held:
            codec = codecs[min(number, len(codecs) - 1)]
            lines += _adaptation_set(number, kind, held, anchor, init, codec, rendition, clock_url, is_open)
    lines.append("</Period>")
    return lines


def _adaptation_set(
    number: int, kind: str, held: list[TrackSegment], anchor: Anchor, init: InitHeader, codec: str,
    rendition: str, clock_url: str, is_open: bool,
) -> list[str]:  # fmt: skip
    track = held[0].track
    scale = track.timescale
    offset = anchor.media_ms * scale // 1_000
    whole = [one for one in held if one.source.complete and one.duration]
    peak = max((one.size * 8 * scale // one.duration for one in whole or held if one.duration), default=1)
    described = [f'id="{kind}"', f"codecs={quoteattr(codec)}", f'bandwidth="{max(peak, 1)}"']
    if kind == "video":
        described += [f'width="{track.width}"', f'height="{track.height}"']
        if init.frame_rate:
            described.append(f'frameRate="{_ratio(init.frame_rate)}"')
    else:
        described.append(f'audioSamplingRate="{init.sample_rate or scale}"')
    template = [
        f'timescale="{scale}"',
        f'presentationTimeOffset="{offset}"',
        f"initialization={quoteattr(init_uri(rendition, init, kind))}",
        f"media={quoteattr(media_uri(rendition, init, kind))}",
    ]
    if is_open and whole:
        ahead = min(one.duration for one in whole) / scale - PART_TARGET_US / 1_000_000
        template += [f'availabilityTimeOffset="{max(ahead, 0):.3f}"', 'availabilityTimeComplete="false"']
    independent = all(one.source.parts[0].independent for one in held) or kind == "audio"
    lines = [
        f'<AdaptationSet id="{number}" contentType="{kind}" mimeType="{kind}/mp4" segmentAlignment="true"'
        + (' startWithSAP="1">' if independent else ">"),
        f'<ProducerReferenceTime id="{number}" type="encoder" wallClockTime="{_moment(anchor.start_ms)}"'
        f' presentationTime="{offset}"><UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-iso:2014"'
        f" value={quoteattr(clock_url)}/></ProducerReferenceTime>",
        f"<Representation {' '.join(described)}>",
    ]
    if kind == "audio" and init.channels:
        lines.append(
            '<AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011"'
            f' value="{init.channels}"/>'
        )
    lines += [f"<SegmentTemplate {' '.join(template)}>", "<SegmentTimeline>"]
    lines += _timeline(held)
    lines += ["</SegmentTimeline>", "</SegmentTemplate>", "</Representation>", "</AdaptationSet>"]
    return lines


def _timeline(held: list[TrackSegment]) -> list[str]:
    """One line a segment. The open one is listed too, as long as those before it until it is longer."""
    lines = []
    usual = max((one.duration for one in held if one.source.complete), default=0)
    for number, one in enumerate(held):
        duration = one.duration
        if number + 1 < len(held):
            duration = min(duration, held[number + 1].time - one.time)
        elif not one.source.complete:
            duration = max(duration, usual)
        lines.append(f'<S t="{one.time}" d="{max(duration, 1)}"/>')
    return lines


def _moment(milliseconds: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _ratio(rate: float) -> str:
    """Frames per second as DASH writes them: a whole number, or a fraction."""
    if abs(rate - round(rate)) < 1e-3:
        return str(round(rate))
    if abs(rate * 1.001 - round(rate * 1.001)) < 1e-3:
        return f"{round(rate * 1.001) * 1000}/1001"
    return f"{round(rate * 1000)}/1000"
