"""Frames that last longer than a part may: slow pictures, frozen ones, and holes that are too long for either."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus_schemas.parts import PART_TARGET_US, PartFlags
from media.isobmff import Run, read_fragment, read_init
from tests.unit.transmux.sources import (
    AAC_HEADER,
    ARRIVAL_US,
    AVC_HEADER,
    Frame,
    Message,
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

VIDEO, AUDIO = 1, 2


def pictures(steps: Sequence[int], keys: Sequence[bool] = (), *, start: int = 0) -> list[Frame]:
    """Frames that last so many ms each; the first is a key frame."""
    times = list(accumulate(steps, initial=start))[:-1]
    marks = [*keys, *[False] * len(times)]
    return [Frame(time, key=not index or marks[index]) for index, time in enumerate(times)]


def beside(video: list[Frame], *, until: int = 0) -> list[Frame]:
    """The frames with sound all the time, as an encoder interleaves them."""
    last = until or video[-1].dts
    sound = [frame for frame in audio_frames(last * 48 // 1024 + 1, start=video[0].dts) if frame.dts <= last]
    return sorted([*video, *sound], key=lambda frame: (frame.dts, frame.audio))


def samples(made: list[Output], track: int) -> list[tuple[int, int]]:
    """Decode time and duration of every sample of a track, in the order of the parts."""
    tracks = read_init(inits_of(made)[0].body)
    found: list[tuple[int, int]] = []
    for part in parts_of(made):
        runs: tuple[Run, ...] = read_fragment(part.body, tracks)
        for one in runs:
            if one.track == track:
                begins = list(accumulate(one.durations, initial=one.decode_time))
                found += zip(begins, one.durations, strict=False)
    return found


def assert_legal(made: list[Output], *, ended: bool = False) -> None:
    """What a playlist of these parts would be judged by."""
    parts: list[PartReady] = parts_of(made)
    headers = [part.header for part in parts]
    target = headers[-1].part_target_us
    lengths: dict[int, int] = {}
    for index, header in enumerate(headers):
        lengths[header.msn] = lengths.get(header.msn, 0) + header.duration_us
        assert header.duration_us <= target, header
        last = header.flags & PartFlags.LAST or (ended and index == len(headers) - 1)
        assert header.flags & PartFlags.INDEPENDENT or last or header.duration_us >= 0.85 * target, header
    for before, after in pairwise(headers):
        if after.discontinuity == before.discontinuity:
            assert before.dts_ms * 1000 + before.duration_us == after.dts_ms * 1000
    limit = max(header.target_duration for header in headers)
    if limit:
        assert all(round(length / 1_000_000) <= limit for length in lengths.values()), lengths
    assert sorted(lengths) == list(range(len(lengths)))


def assert_a_successor_does_the_same(stream: list[Message], made: list[Output]) -> None:
    """From every checkpoint on, to the byte."""
    parts, init = parts_of(made), init_header(made)
    for index, part in enumerate(parts):
        again = run(make_segmenter(last=part.header, init=init), behind(stream, part.header))
        assert parts_of(again) == parts[index + 1 :], f"behind part {index}"


@pytest.mark.parametrize("sound", [False, True])
def test_a_stream_that_becomes_slow_keeps_its_part_target(sound: bool) -> None:
    """Thirty frames a second, then three: parts end within frames, and every sample is there once."""
    video = [*video_frames(90, 30, 60), *pictures([333] * 18, [False] * 6 + [True], start=3_000)]
    stream = messages(beside(video) if sound else video, headers=(AVC_HEADER, AAC_HEADER)[: 1 + sound])

    made = run(make_segmenter(), stream)

    assert_legal(made)
    assert {header.part_target_us for header in headers_of(made)} == {PART_TARGET_US}
    got = samples(made, VIDEO)
    assert [time for time, _ in got] == [frame.dts for frame in video][: len(got)]
    assert len(got) >= len(video) - 2
    assert all(begin + lasts == after for (begin, lasts), (after, _) in pairwise(got))
    assert_a_successor_does_the_same(stream, made)


@pytest.mark.parametrize("freeze_ms", [211, 700, 1_900, 2_400])
@pytest.mark.parametrize("at", [0, 1, 30, 55])
def test_a_frozen_picture_between_usual_ones(freeze_ms: int, at: int) -> None:
    """The sound beside it goes into the parts it belongs to; the picture lasts until the next one."""
    steps = [33] * 150
    steps[60 + at] = freeze_ms
    video = pictures(steps, [index % 60 == 0 for index in range(150)])
    stream = messages(beside(video))

    made = run(make_segmenter(), stream)

    assert_legal(made)
    assert (video[60 + at].dts, freeze_ms) in samples(made, VIDEO)
    tracks = read_init(inits_of(made)[0].body)
    for part in parts_of(made):
        begin, end = part.header.dts_ms, part.header.dts_ms + part.header.duration_us // 1000
        for one in read_fragment(part.body, tracks):
            if one.track == AUDIO:
                assert begin - 60 <= one.decode_time / 48 < end
    assert_a_successor_does_the_same(stream, made)


def test_a_part_without_a_sample_says_so() -> None:
    """Pictures alone, and a frozen one: the parts behind it are for a time in which nothing begins."""
    made = run(make_segmenter(), messages(pictures([40] * 60 + [900] + [40] * 30), headers=(AVC_HEADER,)))

    empty = [part for part in parts_of(made) if not any(
        one.data for one in read_fragment(part.body, read_init(inits_of(made)[0].body)))]  # fmt: skip
    assert len(empty) in (3, 4)
    assert all(len(part.body) < 100 for part in empty)
    assert_legal(made)


def test_the_clock_announced_behind_a_frozen_picture_is_for_later() -> None:
    """A segment that ends within it is slewed by what was announced before; a successor sees it the same."""
    steps = [40] * 50 + [40] * 30 + [2_300] + [40] * 120
    keys = [index in (50, 81, 131) for index in range(201)]
    stream = [
        message
        for part in (
            messages(pictures(steps, keys)[:81], headers=(AVC_HEADER,)),
            messages(
                pictures(steps, keys)[81:], first=81, headers=(AVC_HEADER,), pdt_offset_us=ARRIVAL_US + 7_000
            ),
        )
        for message in part
    ]

    made = run(make_segmenter(), stream)

    assert_legal(made)
    offsets = [header.pdt_us - header.dts_ms * 1_000 for header in headers_of(made)]
    assert all(0 <= after - before <= 1_000 for before, after in pairwise(offsets))
    assert offsets[-1] > ARRIVAL_US
    assert_a_successor_does_the_same(stream, made)


@pytest.mark.parametrize(
    ("rate", "first_ms", "target_ms"), [(30, 500, 500), (30, 2_900, 210), (2, 500, 500), (30, 1_000, 1_000)]
)
def test_an_odd_beginning_does_not_fix_the_part_target(rate: int, first_ms: int, target_ms: int) -> None:
    """A first frame of seconds in a stream of thirty a second; one of half a second might be what they are."""
    usual = 1000 // rate
    made = run(make_segmenter(), messages(pictures([first_ms] + [usual] * 150), headers=(AVC_HEADER,)))

    assert_legal(made)
    assert {header.part_target_us for header in headers_of(made)} == {target_ms * 1_000}


def test_a_hole_too_long_for_a_segment_is_a_discontinuity() -> None:
    """Video alone that pauses for 20 s on one connection: it goes on with the next key frame."""
    before, after = video_frames(90, 30, 60), video_frames(200, 30, 60, start=23_000)
    after[0] = Frame(after[0].dts)
    stream = messages([*before, *after], headers=(AVC_HEADER,))

    made = run(make_segmenter(), stream)

    assert_legal(made)
    headers = headers_of(made)
    assert [header.discontinuity for header in headers][-1] == 1
    first = next(header for header in headers if header.discontinuity)
    assert first.dts_ms == after[60].dts
    assert first.flags & PartFlags.INDEPENDENT
    offsets = {header.pdt_us - header.dts_ms * 1_000 for header in headers}
    assert len(offsets) == 1
    assert_a_successor_does_the_same(stream, made)


def test_a_hole_in_sound_alone_is_a_discontinuity() -> None:
    """No frame of sound is stretched over it, and none is lost."""
    frames = [*audio_frames(200), *audio_frames(300, start=9_000)]
    stream = messages(frames, headers=(AAC_HEADER,))

    made = run(make_segmenter(), stream)

    assert_legal(made)
    assert [header.discontinuity for header in headers_of(made)][-1] == 1
    assert {lasts for _, lasts in samples(made, AUDIO)} == {1024}
    assert len(samples(made, AUDIO)) > 490
    assert_a_successor_does_the_same(stream, made)


def test_a_picture_that_freezes_before_the_end_lasts_as_long_as_the_sound() -> None:
    """The last segment has all of the sound, in parts of the usual size."""
    video = video_frames(90, 30, 60)
    stream = messages(beside(video, until=5_500))
    stream.append(end_message(stream[-1]))

    made = run(make_segmenter(), stream)

    assert_legal(made, ended=True)
    headers = headers_of(made)
    assert 5_400 < headers[-1].dts_ms + headers[-1].duration_us // 1000 < 5_600
    assert len(samples(made, AUDIO)) > 250
    assert_a_successor_does_the_same(stream, made[:-1])


STEPS = st.lists(
    st.tuples(
        st.one_of(st.integers(10, 60), st.integers(60, 400), st.integers(400, 2_400)),
        st.sampled_from([False, False, False, True]),
    ),
    min_size=5,
    max_size=60,
)


@settings(max_examples=120, deadline=None)
@given(STEPS, st.booleans())
def test_any_rhythm_gives_legal_parts(drawn: list[tuple[int, bool]], sound: bool) -> None:
    """However long frames last: PART-TARGET, TARGETDURATION, no sample lost, and a successor does the same."""
    video = pictures([step for step, _ in drawn], [key for _, key in drawn])
    stream = messages(beside(video) if sound else video, headers=(AVC_HEADER, AAC_HEADER)[: 1 + sound])

    made = run(make_segmenter(), stream)

    if not parts_of(made):
        return
    assert_legal(made)
    got = samples(made, VIDEO)
    if headers_of(made)[-1].discontinuity == 0:
        assert [time for time, _ in got] == [frame.dts for frame in video][: len(got)]
        assert all(begin + lasts == after for (begin, lasts), (after, _) in pairwise(got))
    assert_a_successor_does_the_same(stream, made)
