"""The playlist of MPEG-TS segments."""

from gateway.live.segments import SegmentIndex
from gateway.live.ts_playlist import render_ts
from tests.unit.gateway.live_sources import name_of, part_header


def _index(segments: int, *, parts_of_last: int = 10, break_at: int = -1) -> SegmentIndex:
    index = SegmentIndex()
    for msn in range(segments):
        count = parts_of_last if msn == segments - 1 else 10
        for part in range(count):
            header = part_header(
                msn,
                part,
                last=part == 9,
                begins_discontinuity=msn == break_at,
                discontinuity=int(0 <= break_at <= msn),
            )
            index.add(header, 1_000, msn * 10 + part + 1, b"body")
    return index


def test_only_whole_segments_are_listed_and_no_word_of_low_latency() -> None:
    """An old player sees version 3 and nothing it does not know."""
    text = render_ts(_index(4, parts_of_last=3))

    assert text.splitlines()[:4] == [
        "#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", "#EXT-X-MEDIA-SEQUENCE:0",
    ]  # fmt: skip
    assert [line for line in text.splitlines() if line.endswith(".ts")] == [
        f"{n}-{name_of(n)}.ts" for n in range(3)
    ]
    assert not any(word in text for word in ("PART", "MAP", "SKIP", "SERVER-CONTROL", "HINT", "ENDLIST"))
    assert text.count("#EXTINF:2.0,") == text.count("#EXT-X-PROGRAM-DATE-TIME:") == 3


def test_a_discontinuity_stands_before_its_segment() -> None:
    """And once it has gone from the window, the sequence counts it; a sequence there always is."""
    index = _index(4, break_at=2)
    lines = render_ts(index).splitlines()

    assert lines.index("#EXT-X-DISCONTINUITY") == lines.index(f"1-{name_of(1)}.ts") + 1
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:0" in lines

    for _ in range(3):
        index.segments.popleft()
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:1" in render_ts(index)


def test_the_end_is_written() -> None:
    """What was open when the stream ended is listed, and ENDLIST follows."""
    index = _index(3, parts_of_last=4)
    index.add(part_header(2, 4, end=True), 0, 99, b"")

    assert render_ts(index).splitlines()[-2:] == [f"2-{name_of(2)}.ts", "#EXT-X-ENDLIST"]
