"""Where parts and segments end, and what is said of them (DESIGN.md §4)."""

from itertools import groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus_schemas.parts import PART_TARGET_US, PartFlags, PartHeader
from bus_schemas.tags import TagFlags, TagHeader
from media.flv import FlvError
from tests.unit.transmux.sources import (
    AAC_HEADER,
    ARRIVAL_US,
    AVC_HEADER,
    EPOCH,
    Frame,
    Message,
    aac_header,
    audio_frames,
    behind,
    end_message,
    headers_of,
    init_header,
    inits_of,
    make_segmenter,
    messages,
    parts_of,
    run,
    video_frames,
)
from workers.transmux.output import Output, PartReady


def merged(*tracks: list[Frame]) -> list[Frame]:
    """Frames of several tracks in the order of their DTS, video before audio of the same."""
    return sorted((frame for track in tracks for frame in track), key=lambda f: (f.dts, f.audio))


def segments(headers: list[PartHeader]) -> list[list[PartHeader]]:
    """The parts of each segment."""
    return [list(parts) for _, parts in groupby(headers, key=lambda header: header.msn)]


@pytest.mark.parametrize("fps", [10, 15, 20, 23.976, 24, 25, 29.97, 30, 48, 50, 59.94, 60, 120])
def test_every_part_fills_the_target_and_never_exceeds_it(fps: float) -> None:
    """At every usual frame rate a part is at most PART-TARGET long, and at least 85 % of it but at a segment's end."""
    gop = round(2 * fps)
    stream = messages(video_frames(round(fps * 9), fps, gop))

    headers = headers_of(run(make_segmenter(), stream))

    assert all(header.duration_us <= PART_TARGET_US for header in headers)
    inner = [header for header in headers if not header.flags & PartFlags.LAST]
    assert len(inner) >= 30
    assert all(header.duration_us >= 0.85 * PART_TARGET_US for header in inner)


def test_twelve_frames_a_second_fill_what_they_can() -> None:
    """Frames of 83 ms allow no better than two to a part."""
    headers = headers_of(run(make_segmenter(), messages(video_frames(60, 12, 24))))

    assert {header.duration_us // 1000 for header in headers[:-1]} <= {83, 84, 166, 167}
    assert all(header.duration_us > 160_000 for header in headers if not header.flags & PartFlags.LAST)


def test_a_part_closes_with_the_frame_that_shows_it_is_full() -> None:
    """The part of 30 fps is six frames and comes when the seventh does, not one later."""
    stream = messages(video_frames(8, 30, 60))
    segmenter = make_segmenter()

    made = [len(parts_of(segmenter.push(*message))) for message in stream]

    assert made == [0, 0, 0, 0, 0, 0, 1, 0]


def test_segments_end_at_the_first_key_frame_after_two_seconds() -> None:
    """With a key frame each 0.8 s a segment is 2.4 s."""
    headers = headers_of(run(make_segmenter(), messages(video_frames(300, 30, 24))))

    whole = segments(headers)[:-1]
    assert [sum(part.duration_us for part in parts) for parts in whole] == [2_400_000] * len(whole)
    for parts in whole:
        assert parts[0].flags & PartFlags.INDEPENDENT
        assert [bool(part.flags & PartFlags.LAST) for part in parts] == [False] * (len(parts) - 1) + [True]
        assert [part.part for part in parts] == list(range(len(parts)))


def test_target_duration_is_known_with_the_first_segment_and_never_changes() -> None:
    """No part says it before the first segment ends; all say the same from there on."""
    frames = video_frames(180, 30, 90)
    later = video_frames(240, 30, 60, start=6000)

    headers = headers_of(run(make_segmenter(), messages(frames + later)))

    first = next(index for index, header in enumerate(headers) if header.flags & PartFlags.LAST)
    assert {header.target_duration for header in headers[:first]} == {0}
    assert {header.target_duration for header in headers[first:]} == {3}


@pytest.mark.parametrize(("fps", "gop", "target"), [(29.97, 60, 2), (30, 30, 2), (25, 250, 10), (30, 135, 5)])
def test_target_duration_is_the_first_gop_rounded_up(fps: float, gop: int, target: int) -> None:
    """At least 2 s; a GOP of 2.002 s is one of two seconds."""
    headers = headers_of(run(make_segmenter(), messages(video_frames(gop * 4, fps, gop))))

    assert headers[-1].target_duration == target


def test_a_gop_longer_than_ten_seconds_is_cut_there() -> None:
    """The cut segment goes on without a key frame, and nothing in it claims to be independent before one comes."""
    headers = headers_of(run(make_segmenter(), messages(video_frames(30 * 30, 30, 30 * 12))))

    whole = segments(headers)
    durations = [sum(part.duration_us for part in parts) / 1e6 for parts in whole]
    assert durations[:4] == [10.0, 2.0, 10.0, 2.0]
    assert [bool(parts[0].flags & PartFlags.INDEPENDENT) for parts in whole[:4]] == [True, False, True, False]
    assert headers[-1].target_duration == 10


def test_a_gop_that_grows_is_cut_at_the_target_duration() -> None:
    """Rounded, no segment is longer than TARGETDURATION, whatever the encoder does later."""
    frames = video_frames(120, 30, 60) + video_frames(360, 30, 180, start=4000)

    headers = headers_of(run(make_segmenter(), messages(frames)))

    whole = segments(headers)[:-1]
    assert all(round(sum(part.duration_us for part in parts) / 1e6) <= 2 for parts in whole)
    assert any(not parts[0].flags & PartFlags.INDEPENDENT for parts in whole)


@pytest.mark.parametrize(("index", "rate"), [(3, 48_000), (4, 44_100), (5, 32_000), (7, 22_050)])
def test_audio_alone_makes_full_independent_parts(index: int, rate: int) -> None:
    """Without video every part is independent, parts fill the target, segments are two seconds."""
    frames = audio_frames(round(9 * rate / 1024), rate)

    headers = headers_of(run(make_segmenter(), messages(frames, headers=[aac_header(index)])))

    assert all(header.flags & PartFlags.INDEPENDENT for header in headers)
    inner = [header for header in headers if not header.flags & PartFlags.LAST]
    assert all(0.85 * PART_TARGET_US <= header.duration_us <= PART_TARGET_US for header in inner)
    for parts in segments(headers)[:-1]:
        assert 1.98 <= sum(part.duration_us for part in parts) / 1e6 <= 2.06
    assert headers[-1].target_duration == 2


def test_parts_follow_each_other_without_a_hole_in_time() -> None:
    """Each part's program date-time is that of the one before plus its duration, but for the slew between segments."""
    stream = messages(merged(video_frames(300, 30, 60), audio_frames(470)))

    headers = headers_of(run(make_segmenter(), stream))

    for before, after in pairwise(headers):
        drift = after.pdt_us - before.pdt_us - before.duration_us
        assert drift == 0 if before.msn == after.msn else abs(drift) <= 1000


def test_program_date_time_is_what_ingest_announced() -> None:
    """The first segment takes the clock over; later ones follow it by a millisecond each."""
    drifting = [
        message
        for index in range(5)
        for message in messages(
            video_frames(60, 30, 60, start=index * 2000), first=index * 60,
            pdt_offset_us=ARRIVAL_US + index * 40_000,
        )
    ]  # fmt: skip

    headers = headers_of(run(make_segmenter(), drifting))

    starts = [parts[0].pdt_us - parts[0].dts_ms * 1000 - ARRIVAL_US for parts in segments(headers)]
    assert starts == [0, 1000, 2000, 3000, 4000]


def test_program_date_time_without_an_announcement_is_the_arrival() -> None:
    """Where ingest says nothing the first frame's arrival anchors the clock."""
    headers = headers_of(run(make_segmenter(), messages(video_frames(60, 30, 60), announce=False)))

    assert headers[0].pdt_us == ARRIVAL_US + 3_000


def test_the_same_headers_again_change_nothing() -> None:
    """A second message of equal sequence headers makes no init segment and no discontinuity."""
    stream = messages(video_frames(120, 30, 60)) + messages(
        video_frames(120, 30, 60, start=4000),
        first=120,
    )

    made = run(make_segmenter(), stream)

    assert len(inits_of(made)) == 1
    assert not any(header.flags & PartFlags.DISCONTINUITY for header in headers_of(made))


def test_other_headers_make_a_new_init_segment_and_a_discontinuity() -> None:
    """The first part of the new generation says so, and names the new init segment."""
    stream = messages(merged(video_frames(120, 30, 60), audio_frames(187)))
    stream += messages(audio_frames(300, start=4000), generation=1, first=len(stream), headers=[AAC_HEADER])

    made = run(make_segmenter(), stream)

    assert [init.header.init for init in inits_of(made)] == [1, 2]
    assert [init.header.codecs for init in inits_of(made)] == ["avc1.4d400d,mp4a.40.2", "mp4a.40.2"]
    after = [header for header in headers_of(made) if header.init == 2]
    assert after[0].flags & PartFlags.DISCONTINUITY
    assert after[0].part == 0
    assert {header.discontinuity for header in after} == {1}
    assert [header.generation for header in after[:1]] == [1]


def test_a_new_epoch_on_a_new_timeline_is_a_discontinuity() -> None:
    """Media sequence numbers go on, the init segment stays, DTS begins again."""
    stream = messages(video_frames(100, 30, 60))
    again = messages(video_frames(100, 30, 60), epoch=EPOCH + 60_000, flags=TagFlags.DISCONTINUITY)

    made = run(make_segmenter(), stream + again)

    headers = headers_of(made)
    second = [header for header in headers if header.epoch == EPOCH + 60_000]
    assert second[0].msn == max(h.msn for h in headers if h.epoch == EPOCH) + 1
    assert second[0].flags & PartFlags.DISCONTINUITY
    assert second[0].dts_ms == 0
    assert len(inits_of(made)) == 1


@pytest.mark.parametrize(("start", "discontinuity"), [(3_333, False), (3_360, False), (5_000, True)])
def test_a_new_epoch_on_the_same_timeline_goes_on(start: int, discontinuity: bool) -> None:
    """A publisher who comes back at once leaves no mark; a hole in DTS is a discontinuity, and DTS goes on."""
    stream = messages(video_frames(100, 30, 60))
    again = messages(video_frames(100, 30, 60, start=start), epoch=EPOCH + 60_000)

    headers = headers_of(run(make_segmenter(), stream + again))

    second = [header for header in headers if header.epoch == EPOCH + 60_000]
    assert second[0].dts_ms == start
    assert any(header.flags & PartFlags.DISCONTINUITY for header in headers) == discontinuity
    assert [header.msn for header in headers] == sorted(header.msn for header in headers)


def test_a_lost_message_costs_the_rest_of_its_gop_and_is_marked() -> None:
    """Nothing is cut until the next key frame, and the segment that begins with it is marked."""
    stream = messages(video_frames(180, 30, 60))
    del stream[70]

    headers = headers_of(run(make_segmenter(), stream))

    assert next(header.dts_ms for header in headers if header.flags & PartFlags.DISCONTINUITY) == 4000
    assert not any(2334 <= header.dts_ms < 4000 for header in headers)
    assert [parts[0].msn for parts in segments(headers)] == [0, 1, 2]


def test_messages_sent_twice_are_cut_once() -> None:
    """Ingest sends the last group of pictures again after the bus came back; we have it already."""
    stream = messages(video_frames(180, 30, 60))
    twice = stream[:100] + stream[60:100] + stream[100:]

    assert headers_of(run(make_segmenter(), twice)) == headers_of(run(make_segmenter(), stream))


def test_end_flushes_what_there_is_and_marks_the_end() -> None:
    """The open segment is closed with its last frame; END has the place after it."""
    stream = messages(video_frames(70, 30, 60))

    made = run(make_segmenter(), [*stream, end_message(stream[-1])])

    last = made[-1]
    assert isinstance(last, PartReady)
    assert last.header.flags == PartFlags.END
    assert last.body == b""
    assert last.header.duration_us == 0
    headers = headers_of(made)
    assert headers[-1].flags & PartFlags.LAST
    assert (last.header.msn, last.header.part) == (headers[-1].msn + 1, 0)
    assert sum(header.duration_us for header in headers) == 70 * 1_000_000 // 30 // 1000 * 1000


def test_a_stream_that_begins_between_key_frames_waits_for_one() -> None:
    """A worker that joins late cuts nothing that cannot be decoded."""
    stream = messages(video_frames(130, 30, 60))
    segmenter = make_segmenter()
    header, message = stream[0]

    assert segmenter.learn_headers(header, message)
    headers = headers_of(run(segmenter, stream[10:]))

    assert headers[0].dts_ms == 2000
    assert headers[0].flags & PartFlags.INDEPENDENT
    assert segmenter.dropped_frames == 50


def test_tags_of_unseen_headers_wait_for_them() -> None:
    """After a gap in which the codec changed, the headers kept on the bus are asked for."""
    stream = messages(video_frames(60, 30, 60))
    other = messages(video_frames(180, 30, 60, start=4000), generation=1, first=120, headers=[AVC_HEADER])
    segmenter = make_segmenter()
    run(segmenter, stream)

    made = run(segmenter, other[1:10])

    assert segmenter.wants_headers
    header, message = other[0]
    assert segmenter.learn_headers(header, message)
    made = run(segmenter, other[10:])
    assert init_header(made).codecs == "avc1.4d400d"
    assert headers_of(made)[0].dts_ms == 6000


def test_video_that_stops_beside_audio_does_not_pile_up() -> None:
    """Three seconds after the last picture its segment is closed; the stream goes on with the next key frame."""
    sound = audio_frames(600)
    stream = messages(merged(video_frames(90, 30, 60), video_frames(60, 30, 60, start=10_000), sound))

    headers = headers_of(run(make_segmenter(), stream))

    assert headers[-1].dts_ms >= 10_000
    resumed = next(header for header in headers if header.dts_ms >= 10_000)
    assert resumed.flags & PartFlags.DISCONTINUITY


def test_a_part_fits_one_bus_message() -> None:
    """Access units of up to the limit are not gathered into a part that the bus would refuse."""
    frames = [Frame(index * 33, index == 0, payload=bytes(3 << 20)) for index in range(12)]

    parts = parts_of(run(make_segmenter(), messages(frames)))

    assert all(len(part.message()) <= (8 << 20) + (64 << 10) for part in parts)
    assert len(parts) == 5


def test_a_body_that_is_not_flv_is_named_and_skipped() -> None:
    """Bytes that cannot be read raise, and the messages after them are cut as after a loss."""
    stream = messages(video_frames(200, 30, 60))
    segmenter = make_segmenter()
    run(segmenter, stream[:80])
    header, message = stream[80]

    with pytest.raises(FlvError):
        segmenter.push(header, message[:-9])

    headers = headers_of(run(segmenter, stream[81:]))
    assert headers[0].flags & PartFlags.LAST
    assert headers[1].dts_ms == 4000


FRAMES = st.lists(
    st.tuples(
        st.sampled_from(["video", "video", "video", "key", "audio", "audio"]),
        st.integers(0, 120) | st.just(33) | st.just(0) | st.integers(0, 4_000),
    ),
    max_size=150,
)


def random_stream(drawn: list[tuple[str, int]], *, video: bool = True) -> list[Message]:
    """Frames with the drawn kinds and steps of DTS, behind a key frame, ended on purpose."""
    frames = [Frame(0, key=video, audio=not video)]
    for kind, step in drawn:
        dts = frames[-1].dts + step
        frames.append(Frame(dts, kind == "key" and video, kind == "audio" or not video, payload=b"%d" % dts))
    stream = messages(frames, headers=[AVC_HEADER, AAC_HEADER] if video else [AAC_HEADER])
    return [*stream, end_message(stream[-1])]


@given(FRAMES, st.booleans())
@settings(max_examples=150, deadline=None)
def test_numbers_have_no_holes_whatever_comes(drawn: list[tuple[str, int]], video: bool) -> None:
    """Media sequence and part numbers rise by one; the bytes are those of the frames, each once."""
    made = run(make_segmenter(), random_stream(drawn, video=video))

    place = (0, -1)
    for header in [out.header for out in made if isinstance(out, PartReady)]:
        msn, part = place
        assert (header.msn, header.part) in {(msn, part + 1), (msn + 1, 0)}
        place = (header.msn, header.part)
        assert header.duration_us >= 0
    last = made[-1]
    assert isinstance(last, PartReady)
    assert last.header.flags & PartFlags.END


@given(FRAMES, st.booleans(), st.data())
@settings(max_examples=150, deadline=None)
def test_a_successor_cuts_the_same_parts_from_any_checkpoint(
    drawn: list[tuple[str, int]], video: bool, data: st.DataObject
) -> None:
    """Whichever part was the last one written, the next worker goes on with the very same bytes."""
    stream = random_stream(drawn, video=video)
    made = run(make_segmenter(), stream)
    headers = [out for out in made if isinstance(out, PartReady)]
    at = data.draw(st.integers(0, len(headers) - 1))

    assert_resumes(stream, made, at)


@pytest.mark.parametrize("broken", ["epoch", "generation", "hole", "discontinuity", "timeline"])
def test_a_successor_goes_on_over_every_kind_of_break(broken: str) -> None:
    """Each checkpoint around a new epoch, other codec headers, a loss or a jump leads to the same parts."""
    first = messages(merged(video_frames(100, 30, 60), audio_frames(150)))
    following = merged(video_frames(150, 30, 60, start=6000), audio_frames(230, start=6000))
    sequence = first[-1][0].sequence + 1
    if broken == "epoch":
        second = messages(following, epoch=EPOCH + 9_000)
    elif broken == "timeline":
        second = messages(
            merged(video_frames(150, 30, 60), audio_frames(230)), epoch=EPOCH + 9_000,
            flags=TagFlags.DISCONTINUITY,
        )  # fmt: skip
    elif broken == "generation":
        second = messages(following, generation=1, first=sequence, headers=[AVC_HEADER])
    elif broken == "hole":
        second = messages(following, first=sequence + 3)[20:]
    else:
        second = messages(following, first=sequence, flags=TagFlags.DISCONTINUITY)
    stream = [*first, *second, end_message(second[-1])]
    made = run(make_segmenter(), stream)

    for at in range(len([out for out in made if isinstance(out, PartReady)])):
        assert_resumes(stream, made, at)


def assert_resumes(stream: list[Message], made: list[Output], at: int) -> None:
    """A segmenter that resumes behind part `at` makes exactly what the first one made after it."""
    place = [index for index, out in enumerate(made) if isinstance(out, PartReady)][at]
    last = made[place]
    assert isinstance(last, PartReady)
    known = {init.header.init: init.header for init in inits_of(made[:place])}
    resumed = make_segmenter(last=PartHeader.unpack(last.message()), init=known.get(last.header.init))
    from_there = behind(stream, last.header)

    assert run(resumed, from_there) == made[place + 1 :]


@given(st.binary(max_size=400), st.integers(0, 15))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_taken_or_refused_as_flv(body: bytes, flags: int) -> None:
    """No message can do more harm than FlvError."""
    segmenter = make_segmenter()
    run(segmenter, messages(video_frames(10, 30, 60)))
    header = TagHeader(flags, 0, 10, EPOCH, 400, ARRIVAL_US)

    try:
        segmenter.push(header, header.pack() + body)
    except FlvError:
        return
    run(segmenter, messages(video_frames(70, 30, 60, start=2_000), first=11))


def test_audio_beside_an_enormous_picture_does_not_burst_the_message() -> None:
    """An access unit at the limit keeps room for its header; audio that does not fit is dropped and counted."""
    sound = [Frame(40 * i, audio=True, payload=bytes(4000)) for i in range(1, 40)]
    frames = [Frame(0, key=True, payload=bytes((8 << 20) - 16)), *sound, Frame(1700, key=True)]
    segmenter = make_segmenter()

    parts = parts_of(run(segmenter, messages(frames)))

    assert all(len(part.message()) <= (8 << 20) + (64 << 10) for part in parts)
    assert segmenter.dropped_frames == 31


@pytest.mark.parametrize(
    ("fps", "target_ms"),
    [(25, 210), (30, 210), (60, 210), (12, 170), (8, 130), (4, 250), (2, 500), (1, 1_000)],
)
def test_frames_that_fill_no_usual_part_have_a_target_of_their_own(fps: int, target_ms: int) -> None:
    """PART-TARGET is fixed by the first part: none is longer, none but the last of a segment under 85 %."""
    headers = headers_of(run(make_segmenter(), messages(video_frames(fps * 10, fps, fps * 2))))

    assert {header.part_target_us for header in headers} == {target_ms * 1_000}
    assert all(header.duration_us <= target_ms * 1_000 for header in headers)
    assert all(
        header.duration_us >= 850 * target_ms
        for header in headers
        if not header.flags & (PartFlags.LAST | PartFlags.INDEPENDENT)
    )
