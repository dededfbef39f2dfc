"""DASH manifests, and the track segments they name."""

import itertools
from xml.etree import ElementTree

import pytest

from bus_schemas.parts import PartFlags, PartHeader
from gateway.live.dash_index import DashIndex
from gateway.live.mpd import DRIFT_STEP_MS, Anchor, render_mpd
from gateway.live.segments import SegmentIndex
from media.isobmff import BoxError, read_fragment
from tests.unit.gateway.live_sources import init_header
from tests.unit.transmux.sources import encoded, inits_of, make_segmenter, messages_of, parts_of, run

NS = {"d": "urn:mpeg:dash:schema:mpd:2011"}
_MADE = run(make_segmenter(), messages_of(encoded(seconds=9)))
INIT = inits_of(_MADE)[-1].body
PARTS = parts_of(_MADE)
HEADER = init_header(PARTS[0].header.init, width=318, height=178)


def _index(parts: int, *, ended: bool = False) -> tuple[SegmentIndex, DashIndex]:
    index, dash = SegmentIndex(), DashIndex()
    for number, part in enumerate(PARTS[:parts]):
        index.add(part.header, len(part.body), number + 1, part.body)
    if ended:
        index.add(_end(PARTS[parts - 1].header), 0, parts + 1, b"")
    dash.sync(index, {HEADER.init: INIT})
    return index, dash


def _end(after: PartHeader) -> PartHeader:
    fields = {name: getattr(after, name) for name in PartHeader.__slots__}
    return PartHeader(**{**fields, "flags": PartFlags.END, "part": after.part + 1, "duration_us": 0})


def _mpd(dash: DashIndex, *, ended: bool = False) -> ElementTree.Element:
    placed = [(period, Anchor.of(period), HEADER) for period in dash.periods]
    text = render_mpd(
        placed, rendition="source", now_ms=1_700_000_010_000, ended=ended, clock_url="http://h/live/time"
    )
    return ElementTree.fromstring(text)


def _times(mpd: ElementTree.Element, kind: str) -> list[tuple[int, int]]:
    lines = mpd.findall(f".//d:AdaptationSet[@contentType='{kind}']//d:S", NS)
    return [(int(line.get("t", "")), int(line.get("d", ""))) for line in lines]


def test_each_track_has_its_own_set_and_a_timeline_without_holes() -> None:
    """Video in milliseconds, audio in samples, every segment beginning where the one before it ends."""
    mpd = _mpd(_index(len(PARTS))[1])

    for kind, scale in (("video", "1000"), ("audio", "48000")):
        template = mpd.find(f".//d:AdaptationSet[@contentType='{kind}']//d:SegmentTemplate", NS)
        assert template is not None
        assert template.get("timescale") == scale
        times = _times(mpd, kind)
        assert len(times) >= 4
        assert all(time + lasts == after for (time, lasts), (after, _) in itertools.pairwise(times))


def test_the_open_segment_is_listed_and_said_to_come_in_pieces() -> None:
    """From its first part on a low-latency player may ask for it."""
    count = next(at for at, part in enumerate(PARTS) if part.header.msn == 2) + 1
    mpd = _mpd(_index(count)[1])

    template = mpd.find(".//d:AdaptationSet[@contentType='video']//d:SegmentTemplate", NS)
    assert template is not None
    assert template.get("availabilityTimeComplete") == "false"
    assert 1.5 < float(template.get("availabilityTimeOffset", "")) < 2
    assert [lasts for _, lasts in _times(mpd, "video")] == [2000, 2000, 2000]
    assert mpd.get("type") == "dynamic"
    assert mpd.get("minimumUpdatePeriod")


def test_the_end_is_a_static_manifest() -> None:
    """Players stop asking, and know how long the presentation was."""
    mpd = _mpd(_index(len(PARTS), ended=True)[1], ended=True)

    start = mpd.find("d:Period", NS)
    assert start is not None
    assert mpd.get("type") == "static"
    assert mpd.get("minimumUpdatePeriod") is None
    last, lasts = _times(mpd, "video")[-1]
    offset = int(mpd.find(".//d:SegmentTemplate", NS).get("presentationTimeOffset"))  # type: ignore[union-attr,arg-type]
    end = float(start.get("start", "")[2:-1]) + (last + lasts - offset) / 1000
    assert float(mpd.get("mediaPresentationDuration", "")[2:-1]) == pytest.approx(end, abs=0.1)


def test_a_segment_is_found_by_its_time_and_holds_its_track_alone() -> None:
    """Its samples are those of the parts, and asking for another time finds nothing."""
    _, dash = _index(len(PARTS))
    time = _times(_mpd(dash), "audio")[1][0]

    one = dash.find(HEADER.init, "audio", time)

    assert one is not None
    tracks = dash.periods[0].tracks
    runs = [run for fragment in one.fragments() for run in read_fragment(fragment, tracks)]
    assert {run.track for run in runs} == {2}
    assert (runs[0].decode_time, sum(run.duration for run in runs)) == (time, one.duration)
    assert dash.find(HEADER.init, "audio", time + 1) is None
    assert not dash.is_ahead(HEADER.init, "audio", time + 1)
    assert dash.is_ahead(HEADER.init, "audio", time + 1_000_000)


def test_parts_are_cut_once_however_often_they_are_asked_for() -> None:
    """What was cut is given again, the same objects; what came since is added."""
    index, dash = _index(3)
    one = dash.find(HEADER.init, "video", _times(_mpd(dash), "video")[0][0])
    assert one is not None
    before = list(one.fragments())

    index.add(PARTS[3].header, len(PARTS[3].body), 4, PARTS[3].body)
    dash.sync(index, {HEADER.init: INIT})

    assert len(one.fragments()) == 4
    assert all(now is then for now, then in zip(one.fragments(), before, strict=False))


def test_a_gateway_that_came_later_names_the_same_segments() -> None:
    """Times in the manifest and the bytes behind them do not depend on what a gateway saw before."""
    index, early = _index(4)
    for number, part in enumerate(PARTS[4:], 4):
        index.add(part.header, len(part.body), number + 1, part.body)
        early.sync(index, {HEADER.init: INIT})
    _, late = _index(len(PARTS))

    for kind in ("video", "audio"):
        assert _times(_mpd(early), kind) == _times(_mpd(late), kind)
        for time, _ in _times(_mpd(late), kind):
            ours, theirs = early.find(HEADER.init, kind, time), late.find(HEADER.init, kind, time)
            assert ours is not None
            assert theirs is not None
            assert ours.fragments() == theirs.fragments()


def test_a_discontinuity_begins_a_period() -> None:
    """Each with a start of its own, in the order of the wall clock."""
    index, dash = SegmentIndex(), DashIndex()
    broken = next(at for at, part in enumerate(PARTS) if part.header.msn == 2)
    for number, part in enumerate(PARTS):
        fields = {name: getattr(part.header, name) for name in PartHeader.__slots__}
        if number >= broken:
            flags = part.header.flags | (PartFlags.DISCONTINUITY if part.header.msn == 2 else PartFlags.NONE)
            fields |= {"discontinuity": 1, "flags": flags, "pdt_us": part.header.pdt_us + 3_000_000}
        index.add(PartHeader(**fields), len(part.body), number + 1, part.body)
    dash.sync(index, {HEADER.init: INIT})

    periods = _mpd(dash).findall("d:Period", NS)

    first, second = (float(period.get("start", "")[2:-1]) for period in periods)
    assert [period.get("id") for period in periods] == [f"0-{HEADER.init}", f"1-{HEADER.init}"]
    assert second - first == pytest.approx(7, abs=0.05)


def test_what_is_held_no_more_is_listed_no_more() -> None:
    """Segments whose bytes this gateway has let go are not in the manifest."""
    index, dash = _index(len(PARTS))
    for part in index.segments[0].parts:
        part.body = None
    index.version += 1

    dash.sync(index, {HEADER.init: INIT})

    assert len(_times(_mpd(dash), "video")) == len(index.segments) - 1


def test_a_clock_that_drifts_moves_the_availability_and_no_picture() -> None:
    """Program date-time half a second away: the availability start follows, the period stays."""
    _, dash = _index(len(PARTS))
    period = dash.periods[0]
    anchor = Anchor.of(period)
    early = Anchor(anchor.start_ms - 500, anchor.media_ms)

    text = render_mpd(
        [(period, early, HEADER)], rendition="source", now_ms=0, ended=False, clock_url="http://h/live/time"
    )

    mpd = ElementTree.fromstring(text)
    assert anchor.drift_ms(period) < DRIFT_STEP_MS <= early.drift_ms(period)
    assert mpd.get("availabilityStartTime") == "1970-01-01T00:00:00.400Z"
    assert f'start="PT{early.start_ms / 1000:.3f}S"' in text


def test_bytes_that_are_no_cmaf_are_an_error() -> None:
    """A damaged part is `BoxError`, nothing else."""
    index, dash = SegmentIndex(), DashIndex()
    index.add(PARTS[0].header, 4, 1, b"junk")

    with pytest.raises(BoxError):
        dash.sync(index, {HEADER.init: INIT})
