"""HLS playlists, line by line."""

import re

import pytest

from bus_schemas.parts import PART_TARGET_US
from gateway.live.playlist import Variant, render_media, render_multivariant
from gateway.live.segments import SegmentIndex
from tests.unit.gateway.live_sources import EPOCH, init_header, name_of, part_header
from tests.unit.gateway.test_live_segments import fill

INITS = {0: init_header(0), 1: init_header(1)}


def lines_of(index: SegmentIndex, *, skip: bool = False) -> list[str]:
    text = render_media(index, INITS, skip=skip)
    assert text.endswith("\n")
    return text.splitlines()


def values(lines: list[str], tag: str) -> list[str]:
    return [line.removeprefix(f"#EXT-X-{tag}:") for line in lines if line.startswith(f"#EXT-X-{tag}:")]


def test_a_live_playlist_says_what_a_low_latency_player_needs() -> None:
    """Blocking reload, a hold-back of three parts, delta updates, and the part target."""
    index = SegmentIndex()
    fill(index, first=7, segments=3, open_parts=2)

    lines = lines_of(index)

    assert lines[0] == "#EXTM3U"
    assert values(lines, "VERSION") == ["9"]
    assert values(lines, "TARGETDURATION") == ["2"]
    assert values(lines, "SERVER-CONTROL") == ["CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.63,CAN-SKIP-UNTIL=12.0"]
    assert values(lines, "PART-INF") == ["PART-TARGET=0.21"]
    assert values(lines, "MEDIA-SEQUENCE") == ["7"]
    assert values(lines, "DISCONTINUITY-SEQUENCE") == ["0"]
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in lines
    assert "#EXT-X-ENDLIST" not in lines


def test_every_segment_has_its_time_before_its_first_part() -> None:
    """Program date-time stands in front of each segment, the open one too."""
    index = SegmentIndex()
    fill(index, segments=2, open_parts=1)

    lines = lines_of(index)

    times = [number for number, line in enumerate(lines) if line.startswith("#EXT-X-PROGRAM-DATE-TIME")]
    assert len(times) == 3
    assert lines[times[0]] == "#EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:00.000Z"
    assert all(lines[number + 1].startswith("#EXT-X-PART:") for number in times)
    assert EPOCH == 1_800_000_000_000


def test_parts_add_up_to_their_segment_and_none_exceeds_the_target() -> None:
    """The sum of part durations is the segment's, and names are those under which parts are served."""
    index = SegmentIndex()
    fill(index, segments=1)

    lines = lines_of(index)

    parts = [
        re.fullmatch(r'DURATION=([\d.]+),URI="([^"]+)"(,INDEPENDENT=YES)?', v) for v in values(lines, "PART")
    ]
    assert [part[2] for part in parts if part] == [f"0-{name_of(0)}.{number}.m4s" for number in range(10)]
    assert [bool(part[3]) for part in parts if part] == [True] + [False] * 9
    assert sum(round(float(part[1]) * 1e6) for part in parts if part) == 2_000_000
    assert all(float(part[1]) * 1e6 <= PART_TARGET_US for part in parts if part)
    assert lines[-3:] == [
        "#EXTINF:2.0,",
        f"0-{name_of(0)}.m4s",
        f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="1-{name_of(1)}.0.m4s"',
    ]


def test_parts_are_listed_for_the_last_three_target_durations_only() -> None:
    """Older segments stand whole."""
    index = SegmentIndex()
    fill(index, segments=10, open_parts=5)

    parts = values(lines_of(index), "PART")

    listed = {int(re.search(r'URI="(\d+)-', part)[1]) for part in parts}  # type: ignore[index]
    assert listed == {7, 8, 9, 10}


def test_a_change_of_codec_has_its_map_and_its_discontinuity() -> None:
    """The new init segment follows the discontinuity, before the first segment that needs it."""
    index = SegmentIndex()
    fill(index, segments=2)
    for part in range(10):
        changed = part_header(2, part, last=part == 9, init=1, discontinuity=1, begins_discontinuity=True)
        index.add(changed, 100, 1, b"x")

    lines = lines_of(index)

    at = lines.index("#EXT-X-DISCONTINUITY")
    assert lines[at + 1] == f'#EXT-X-MAP:URI="init-1-{INITS[1].name}.mp4"'
    assert lines[at + 2].startswith("#EXT-X-PROGRAM-DATE-TIME:")
    assert len(values(lines, "MAP")) == 2
    assert values(lines, "DISCONTINUITY-SEQUENCE") == ["0"]


def test_a_discontinuity_that_left_the_window_is_counted() -> None:
    """A segment that begins with one still shows its tag; the sequence counts those before it."""
    index = SegmentIndex()
    for part in range(10):
        index.add(
            part_header(5, part, last=part == 9, discontinuity=3, begins_discontinuity=True), 100, 1, b"x"
        )
    assert values(lines_of(index), "DISCONTINUITY-SEQUENCE") == ["2"]

    later = SegmentIndex()
    later.add(part_header(6, 0, last=True, discontinuity=3), 100, 1, b"x")
    assert values(lines_of(later), "DISCONTINUITY-SEQUENCE") == ["3"]


def test_a_long_group_of_pictures_is_not_called_independent() -> None:
    """A segment that was cut without a key frame takes the promise back."""
    index = SegmentIndex()
    fill(index, segments=1)
    index.add(part_header(1, 0, independent=False, last=True), 100, 1, b"x")

    lines = lines_of(index)

    assert "#EXT-X-INDEPENDENT-SEGMENTS" not in lines
    text = render_multivariant([Variant("source", INITS[0], index)], {})
    assert "#EXT-X-INDEPENDENT-SEGMENTS" not in text


def test_a_delta_update_leaves_out_only_what_lies_beyond_the_boundary() -> None:
    """Twelve seconds before the end and everything after stay; the first that stays has map and time."""
    index = SegmentIndex()
    fill(index, segments=20, open_parts=5)
    full, delta = lines_of(index), lines_of(index, skip=True)

    skipped = int(values(delta, "SKIP")[0].removeprefix("SKIPPED-SEGMENTS="))

    assert skipped == 14
    assert values(delta, "MEDIA-SEQUENCE") == ["0"]
    uris = [line for line in full if line.endswith(".m4s") and not line.startswith("#")]
    assert [line for line in delta if line.endswith(".m4s") and not line.startswith("#")] == uris[skipped:]
    after = delta.index(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}")
    assert delta[after + 1].startswith("#EXT-X-MAP:")
    assert delta[after + 2].startswith("#EXT-X-PROGRAM-DATE-TIME:")


def test_a_short_playlist_has_nothing_to_skip() -> None:
    """A delta update that would leave out nothing is a full playlist."""
    index = SegmentIndex()
    fill(index, segments=4, open_parts=5)

    assert lines_of(index, skip=True) == lines_of(index)


def test_an_ended_playlist_ends() -> None:
    """No hint, and the end is said."""
    index = SegmentIndex()
    fill(index, segments=2, open_parts=3)
    index.add(part_header(2, 3, end=True), 0, 1, b"")

    lines = lines_of(index)

    assert lines[-1] == "#EXT-X-ENDLIST"
    assert lines[-2] == f"2-{name_of(2)}.m4s"
    assert values(lines, "PRELOAD-HINT") == []


@pytest.mark.parametrize(
    ("duration_us", "text"), [(10_000_000, "10.0"), (2_083_333, "2.083333"), (1_500_000, "1.5")]
)
def test_durations_are_exact(duration_us: int, text: str) -> None:
    """No rounding moves a segment."""
    index = SegmentIndex()
    index.add(part_header(0, 0, last=True, duration_us=duration_us, target=10), 100, 1, b"x")

    assert f"#EXTINF:{text}," in lines_of(index)


def test_the_multivariant_playlist_describes_the_source() -> None:
    """Codecs, resolution, frame rate; and bandwidth as measured, whatever was announced."""
    index = SegmentIndex()
    index.add(part_header(0, 0, last=True, duration_us=2_000_000), 250_000, 1, b"x")
    init = init_header(bandwidth=9_000_000, colour=(9, 16, 9, 0), video_record=b"\x01")

    text = render_multivariant([Variant("source", init, index, 30.0)], {})

    assert (
        '#EXT-X-STREAM-INF:BANDWIDTH=1000000,AVERAGE-BANDWIDTH=1000000,CODECS="avc1.64001f,mp4a.40.2",'
        "RESOLUTION=1280x720,FRAME-RATE=30.000,VIDEO-RANGE=PQ\nsource/index.m3u8\n"
    ) in text


def test_a_sound_only_stream_has_no_resolution() -> None:
    """Attributes that say nothing are left out."""
    index = SegmentIndex()
    fill(index, segments=1)
    init = init_header(width=0, height=0, frame_rate=0.0, codecs="mp4a.40.2")

    text = render_multivariant([Variant("source", init, index)], {})

    assert "RESOLUTION" not in text
    assert "FRAME-RATE" not in text


def test_the_token_of_a_session_stands_in_the_addresses_of_playlists_only() -> None:
    """Playlists are asked for again and again; parts have names nobody guesses."""
    index = SegmentIndex()
    fill(index, segments=1, open_parts=1)

    query = {"token": "abc", "session": "1a", "more": None}
    text = render_multivariant([Variant("source", INITS[0], index)], query)

    assert "source/index.m3u8?token=abc&session=1a\n" in text
    assert "token" not in render_media(index, INITS)
