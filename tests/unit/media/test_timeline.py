"""One monotonic timeline for viewers over all publish sessions."""

import struct

from bus_schemas.tags import TagFlags, TagHeader
from media import flv, script
from media.timeline import Timeline, leading_headers, opening, shift, stamp, tracks_of
from tests.unit.gateway.live_sources import (
    AAC_HEADER,
    AVC_HEADER,
    EPOCH,
    HEADERS,
    audio_frame,
    inter_frame,
    key_frame,
)


def header(dts_ms: int, *, epoch: int = EPOCH, flags: int = TagFlags.NONE, arrival_ms: int = 0) -> TagHeader:
    return TagHeader(flags, 0, 0, epoch, dts_ms, (EPOCH + arrival_ms) * 1_000)


def clock(dts: float) -> bytes:
    pairs = b"\x00\x03dts\x00" + struct.pack("!d", dts) + b"\x00\x03pdt\x00" + struct.pack("!d", 5e12)
    return flv.mux(
        flv.TagType.SCRIPT, int(dts), b"\x02\x00\x07onClock\x08\x00\x00\x00\x02" + pairs + b"\x00\x00\x09"
    )


def test_bytes_of_one_session_go_through_untouched() -> None:
    """As long as the timeline goes on, viewers get the very bytes of the bus."""
    timeline = Timeline()

    for dts in (5_000, 5_040, 5_080):
        tags = inter_frame(dts)
        assert timeline.place(header(dts), tags) == (tags, dts)


def test_a_session_that_continues_the_timeline_is_not_shifted() -> None:
    """A publisher who returned after 4 s, on the same timeline, keeps his timestamps."""
    timeline = Timeline()
    timeline.place(header(60_000), key_frame(60_000))
    tags = key_frame(64_000)

    placed = timeline.place(header(64_000, epoch=EPOCH + 1, flags=TagFlags.DISCONTINUITY), tags)

    assert placed == (tags, 64_000)


def test_a_session_that_begins_at_zero_goes_on_where_the_last_one_stopped() -> None:
    """Timestamps never step back for a viewer; the silence between the sessions is kept."""
    timeline = Timeline()
    timeline.place(header(60_000, arrival_ms=0), key_frame(60_000))

    tags, dts = timeline.place(header(0, epoch=EPOCH + 1, arrival_ms=3_000), key_frame(0) + audio_frame(20))
    later, later_dts = timeline.place(header(40, epoch=EPOCH + 1, arrival_ms=3_040), inter_frame(40))

    assert (dts, later_dts) == (63_000, 63_040)
    assert [tag.timestamp_ms for tag in flv.demux(tags)] == [63_000, 63_020]
    assert [tag.timestamp_ms for tag in flv.demux(later)] == [63_040]


def test_a_session_that_begins_far_ahead_does_not_freeze_the_player() -> None:
    """A leap forward beyond a minute is closed to the silence there was."""
    timeline = Timeline()
    timeline.place(header(1_000, arrival_ms=0), key_frame(1_000))

    _, dts = timeline.place(header(90_000_000, epoch=EPOCH + 1, arrival_ms=500), key_frame(90_000_000))

    assert dts == 1_500


def test_a_session_that_arrived_before_the_last_one_stopped_still_comes_behind_it() -> None:
    """Clocks of two ingest workers may disagree: time goes on by a step at least."""
    timeline = Timeline()
    timeline.place(header(1_000, arrival_ms=900), key_frame(1_000))

    _, dts = timeline.place(header(0, epoch=EPOCH + 1, arrival_ms=100), key_frame(0))

    assert dts == 1_100


def test_shifting_moves_the_clock_that_players_read_along() -> None:
    """`onClock.dts` stays the timestamp of its frame; `pdt` is the wall clock and stays."""
    tag = next(iter(flv.demux(shift(clock(2_000.0), 500))))

    assert tag.timestamp_ms == 2_500
    assert script.read_numbers(tag.payload) == ("onClock", {"dts": 2_500.0, "pdt": 5e12})


def test_timestamps_of_more_than_24_bits_are_shifted_whole() -> None:
    """The extension byte of a timestamp takes part."""
    tag = next(iter(flv.demux(shift(inter_frame(0xFFFFFF), 10))))

    assert tag.timestamp_ms == 0xFFFFFF + 10


def test_headers_are_stamped_with_the_time_of_the_frame_behind_them() -> None:
    """Headers for a newcomer do not lie hours before his first frame."""
    assert {tag.timestamp_ms for tag in flv.demux(stamp(HEADERS, 7_200_000))} == {7_200_000}


def test_leading_headers_end_where_media_begins() -> None:
    """Metadata and sequence headers are headers, a clock and frames are not."""
    assert leading_headers(HEADERS + clock(0.0) + key_frame(0)) == HEADERS
    assert leading_headers(HEADERS + audio_frame(0)) == HEADERS
    assert leading_headers(key_frame(0)) == b""


def test_headers_behind_a_fourcc_are_headers_too() -> None:
    """Sequence starts, colour information and channel layouts; frames are not, nor is an empty AC-3 start missed."""
    headers = b"".join(
        flv.mux(kind, 0, payload)
        for kind, payload in [
            (9, b"\x90hvc1record"), (9, b"\xd4hvc1colour"), (8, b"\x90ac-3"), (8, b"\x94ac-3\x01\x02\0\0\0\x03"),
        ]
    )  # fmt: skip

    for frame in (b"\x91hvc1\0\0\0nal", b"\xa3hvc1nal"):
        assert leading_headers(headers + flv.mux(9, 0, frame)) == headers
    assert leading_headers(headers + flv.mux(8, 0, b"\x91ac-3frame")) == headers


def test_garbage_has_no_headers() -> None:
    """A cut tag ends the search, it does not fail it."""
    assert leading_headers(AVC_HEADER[:-3]) == b""
    assert leading_headers(b"") == b""


def test_tracks_are_those_of_the_sequence_headers() -> None:
    """An FLV file header announces audio and video by what there really is."""
    assert tracks_of(HEADERS) == (True, True)
    assert tracks_of(AAC_HEADER) == (True, False)
    assert tracks_of(AVC_HEADER) == (False, True)


def test_who_begins_gets_what_players_want_to_know_first() -> None:
    """Metadata, clock, audio header, video header, key frame; the sound in front of the key frame is left out."""
    metadata = flv.mux(flv.TagType.SCRIPT, 0, b"\x02\x00\x0aonMetaData\x08")
    clock = flv.mux(flv.TagType.SCRIPT, 500, b"\x02\x00\x07onClock\x08")
    video_header = flv.mux(flv.TagType.VIDEO, 0, b"\x17\x00\x00\x00\x00record")
    audio_header = flv.mux(flv.TagType.AUDIO, 0, b"\xaf\x00record")
    sound, later = (
        flv.mux(flv.TagType.AUDIO, 480, b"\xaf\x01early"),
        flv.mux(flv.TagType.AUDIO, 503, b"\xaf\x01later"),
    )
    key = flv.mux(flv.TagType.VIDEO, 500, b"\x17\x01\x00\x00\x00key")

    joined = opening(metadata + video_header + audio_header, clock + sound + key + later, 500)
    inline = opening(b"", metadata + video_header + audio_header + sound + clock + key + later, 0)
    silent = opening(metadata + audio_header, sound + later, 480)

    wanted = [b"\x02\x00\x0aonMetaData\x08", b"\x02\x00\x07onClock\x08", b"\xaf\x00record"]
    wanted += [b"\x17\x00\x00\x00\x00record", b"\x17\x01\x00\x00\x00key", b"\xaf\x01later"]
    assert [tag.payload for tag in flv.demux(joined)] == wanted
    assert [tag.payload for tag in flv.demux(inline)] == wanted
    assert [tag.timestamp_ms for tag in flv.demux(joined)] == [500, 500, 500, 500, 500, 503]
    assert [tag.payload for tag in flv.demux(silent)][2:] == [b"\xaf\x01early", b"\xaf\x01later"]
