"""Timestamps are repaired once: rising, absolute, audio and video aligned."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.ingest.rtmp.events import MediaKind
from workers.ingest.timestamps import MAX_LAG_MS, ProgramClock, Repair, TimestampRepair

A, V = MediaKind.AUDIO, MediaKind.VIDEO


def run(timeline: TimestampRepair, messages: list[tuple[MediaKind, int, int]]) -> list[int]:
    """The DTS of (kind, raw timestamp, arrival) in order."""
    return [timeline.repair(kind, raw & 0xFFFFFFFF, now) for kind, raw, now in messages]


def paced(start: int, count: int, began: int = 0) -> list[tuple[MediaKind, int, int]]:
    """Video at 25 frames a second, each with an audio message 10 ms later, in real time."""
    return [
        (kind, start + 40 * n + after, began + 40 * n + after)
        for n in range(count)
        for kind, after in ((V, 0), (A, 10))
    ]


def test_a_good_clock_is_only_moved_to_the_beginning() -> None:
    """The first message stands at the beginning, all others keep their distance."""
    timeline = TimestampRepair(700)

    dts = run(timeline, paced(123_456, 5))

    assert dts == [700, 710, 740, 750, 780, 790, 820, 830, 860, 870]
    assert not timeline.repairs


@pytest.mark.parametrize(
    ("wrap", "counted"),
    [(1 << 32, 2), (1 << 31, 1), (1 << 24, 1)],
    ids=["32 bits", "31 bits", "24 bits, extended timestamp forgotten"],
)
def test_a_wrap_goes_unnoticed(wrap: int, counted: int) -> None:
    """Time goes on by the same steps; a wrap is counted where the clock notices it."""
    timeline = TimestampRepair()
    messages = [(kind, raw % wrap, now) for kind, raw, now in paced(wrap - 100, 8)]

    dts = run(timeline, messages)

    assert dts == [now for _, _, now in messages]
    assert timeline.repairs == {Repair.WRAP: counted}


@pytest.mark.parametrize("to", [3_600_000, 60_000, 0], ids=["an hour ahead", "a minute ahead", "back to 0"])
def test_a_leap_of_the_clock_is_closed_and_both_tracks_stay_aligned(to: int) -> None:
    """Jump or restart: the timeline goes on by a frame, audio still 10 ms behind its video; counted once."""
    timeline = TimestampRepair()
    before, after = paced(30_000, 5), paced(to, 5, began=200)

    dts = run(timeline, before + after)

    assert dts == [now for _, _, now in before + after]
    assert timeline.repairs == {Repair.JUMP if to > 30_000 else Repair.RESTART: 1}


def test_a_late_message_of_the_old_time_keeps_its_place() -> None:
    """Around a restart the tracks may come interleaved: the old offset holds until its own track restarts."""
    timeline = TimestampRepair()
    run(timeline, paced(30_000, 5))

    dts = run(timeline, [(V, 0, 200), (A, 30_210, 201), (V, 40, 240), (A, 50, 250)])

    assert dts == [200, 210, 240, 250]
    assert timeline.repairs == {Repair.RESTART: 1}


def test_a_pause_that_the_wall_clock_explains_is_kept() -> None:
    """An encoder that was silent for 10 s and says so is right."""
    timeline = TimestampRepair()

    dts = run(timeline, [(V, 0, 0), (V, 40, 40), (V, 10_040, 10_040)])

    assert dts == [0, 40, 10_040]
    assert not timeline.repairs


def test_a_restart_after_a_pause_keeps_to_the_wall_clock() -> None:
    """The clock began anew after 5 s of silence: the silence stays on the timeline."""
    timeline = TimestampRepair()

    assert run(timeline, [(V, 9_000, 0), (V, 9_040, 40), (V, 0, 5_040)]) == [0, 40, 5_040]


def test_a_file_pushed_at_once_keeps_its_own_time() -> None:
    """Steps under the limit need no wall clock."""
    timeline = TimestampRepair()

    assert run(timeline, [(V, n * 500, 0) for n in range(5)]) == [0, 500, 1_000, 1_500, 2_000]
    assert not timeline.repairs


def test_small_steps_back_are_held() -> None:
    """Rounding by an encoder: the track waits at its own time, rising by 1."""
    timeline = TimestampRepair()

    assert run(timeline, [(A, 100, 0), (A, 121, 21), (A, 120, 42), (A, 144, 64)]) == [0, 21, 22, 44]
    assert timeline.repairs == {Repair.BACK_STEP: 1}


def test_audio_that_begins_on_a_clock_of_its_own_is_put_beside_the_video() -> None:
    """Its first message far from the video's time: placed at the newest."""
    timeline = TimestampRepair()
    run(timeline, [(V, 500_000 + 40 * n, 40 * n) for n in range(5)])

    dts = run(timeline, [(A, 0, 165), (V, 500_200, 200), (A, 23, 188)])

    assert 160 < dts[0] <= 200
    assert dts[1] == 200
    assert dts[2] == dts[0] + 23


def test_nothing_comes_before_the_beginning() -> None:
    """A second track whose time lies a little before the first one's is held at the beginning."""
    assert run(TimestampRepair(1_000), [(V, 80, 0), (A, 0, 1), (A, 23, 2)]) == [1_000, 1_000, 1_001]


Fault = Callable[[MediaKind, int], int]
"""What an encoder stamps on a message of this track whose true time is this, ms; modulo 2**32."""


def source(seconds: int, audio_late: int) -> list[tuple[MediaKind, int, int]]:
    """(track, true time, arrival) of 25 pictures and 43 AAC frames a second, audio `audio_late` ms behind."""
    video = [(V, 40 * n, 40 * n) for n in range(25 * seconds)]
    audio = [(A, n * 1024 * 10 // 441, n * 1024 * 10 // 441 + audio_late) for n in range(43 * seconds)]
    return sorted(video + audio, key=lambda message: (message[2], message[0]))


def skews(seconds: int, audio_late: int, fault: Fault) -> tuple[int, int, Counter[Repair]]:
    """Greatest distance of audio and video from each other, ms; steps that did not rise; and the repairs."""
    timeline = TimestampRepair()
    moved: dict[MediaKind, list[tuple[int, int]]] = {A: [], V: []}
    last = {A: -1, V: -1}
    fell = 0
    for kind, true, arrival in source(seconds, audio_late):
        dts = timeline.repair(kind, fault(kind, true) & 0xFFFFFFFF, arrival)
        fell += dts <= last[kind]
        last[kind] = dts
        moved[kind].append((true, dts - true))
    worst = 0
    for true, by in moved[A]:
        beside = [video_by for video_true, video_by in moved[V] if abs(video_true - true) <= 40]
        worst = max(worst, min((abs(by - video_by) for video_by in beside), default=0))
    return worst, fell, timeline.repairs


def leap(by: int, at: int = 3_000, only: MediaKind | None = None) -> Fault:
    """From `at` on all stamps, or those of one track, are `by` off."""
    return lambda kind, true: 100_000 + true + (by if true >= at and only in (None, kind) else 0)


FAULTS: list[tuple[str, Fault, dict[Repair, int] | None]] = [
    ("clean", leap(0), {}),
    ("200 ms ahead", leap(200), {}),
    ("950 ms ahead", leap(950), {Repair.JUMP: 1}),
    ("1.5 s ahead", leap(1_500), {Repair.JUMP: 1}),
    ("5 s ahead", leap(5_000), {Repair.JUMP: 1}),
    ("an hour ahead", leap(3_600_000), {Repair.JUMP: 1}),
    ("300 ms back", leap(-300), {Repair.RESTART: 1}),
    ("5 s back", leap(-5_000), {Repair.RESTART: 1}),
    ("back to 0", lambda _, true: true if true < 3_000 else true - 3_000, {Repair.RESTART: 1}),
    ("24 bits", lambda _, true: ((1 << 24) - 3_000 + true) % (1 << 24), {Repair.WRAP: 1}),
    ("31 bits", lambda _, true: ((1 << 31) - 3_000 + true) % (1 << 31), {Repair.WRAP: 1}),
    ("32 bits", lambda _, true: (1 << 32) - 3_000 + true, {Repair.WRAP: 2}),
    (
        "audio leaps later",
        lambda k, true: 9 + true + (5_000 if true >= (3_000 if k is V else 3_500) else 0),
        {Repair.JUMP: 1},
    ),
    ("audio alone ahead", leap(5_000, only=A), {Repair.JUMP: 1}),
    ("video alone ahead", leap(5_000, only=V), {Repair.JUMP: 1}),
    ("audio alone back", leap(-5_000, only=A), {Repair.RESTART: 1}),
    ("video alone back", leap(-300, only=V), {Repair.RESTART: 1}),
    ("40 ms back", leap(-40), None),
    ("jitter of 15 ms", lambda _, true: 100_000 + true + true * 7_919 % 31 - 15, None),
]
"""What goes wrong at 3 s, and how often it is counted where that is certain."""


@pytest.mark.parametrize("audio_late", [0, 15, 300], ids=["in step", "15 ms late", "300 ms late"])
@pytest.mark.parametrize(
    ("fault", "repairs"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_audio_and_video_stay_together_and_rise(
    fault: Fault, repairs: dict[Repair, int] | None, audio_late: int
) -> None:
    """Within 50 ms over every fault, each track strictly rising, and the fault counted once."""
    worst, fell, counted = skews(6, audio_late, fault)

    assert worst <= 50
    assert fell == 0
    if repairs is not None:
        assert counted == repairs


def test_a_jump_of_one_track_is_seen_by_the_other() -> None:
    """Audio 700 ms ahead of a video that runs on: no gap in the source, so a fault of audio's clock."""
    worst, fell, counted = skews(6, 0, leap(700, only=A))

    assert (worst <= 50, fell, counted) == (True, 0, {Repair.JUMP: 1})


def test_frames_dropped_by_a_congested_encoder_are_a_gap_of_video_alone() -> None:
    """OBS drops pictures when its line is slow, and sends what is left in a burst: audio shows that time went on."""
    timeline = TimestampRepair()
    audio = [(A, n * 23, 0) for n in range(60)]
    run(timeline, [(V, 0, 0), *audio])

    assert run(timeline, [(V, 800, 0), (V, 840, 0)]) == [800, 840]
    assert not timeline.repairs


def test_equal_stamps_are_told_apart() -> None:
    """Two frames at one time, as some encoders bundle them: the second 1 ms later; both counted."""
    timeline = TimestampRepair()

    assert run(timeline, [(A, 0, 0), (A, 0, 0), (A, 46, 46), (A, 46, 46)]) == [0, 1, 46, 47]
    assert timeline.repairs == {Repair.BACK_STEP: 2}


def test_a_track_that_begins_two_seconds_ahead_or_behind_keeps_its_distance() -> None:
    """Within 3 s of the other track its own time is believed."""
    assert run(TimestampRepair(), [(V, 9_000, 0), (A, 11_000, 0), (A, 11_023, 23)]) == [0, 2_000, 2_023]
    assert run(TimestampRepair(5_000), [(V, 9_000, 0), (V, 12_000, 3_000), (A, 10_000, 3_001)]) == [
        5_000,
        8_000,
        6_000,
    ]


def test_a_track_that_comes_back_takes_its_place() -> None:
    """Audio ends for a minute while video goes on; its clock began anew: it goes on by the wall clock."""
    timeline = TimestampRepair()
    run(timeline, [(kind, raw, raw) for raw in range(0, 400, 40) for kind in (V, A)])
    run(timeline, [(V, raw, raw) for raw in range(400, 60_000, 40)])

    dts = run(timeline, [(A, 0, 60_010), (V, 60_000, 60_020), (A, 23, 60_033)])

    assert dts == [60_010, 60_000, 60_033]
    assert timeline.repairs == {Repair.RESTART: 1}


@given(
    st.lists(
        st.tuples(st.sampled_from([A, V]), st.integers(0, 0xFFFFFFFF), st.integers(0, 5_000)), max_size=60
    )
)
def test_whatever_comes_each_track_rises_and_never_runs_away(steps: list[tuple[MediaKind, int, int]]) -> None:
    """Any timestamps: strictly rising per track, and never further than the limits and the clock allow."""
    timeline = TimestampRepair()
    now, newest, last, heard = 0, 0, {A: -1, V: -1}, {A: 0, V: 0}
    for kind, raw, wait in steps:
        now += wait
        dts = timeline.repair(kind, raw, now)
        assert dts > last[kind]
        assert dts <= newest + MAX_LAG_MS + wait + (now - heard[kind])
        last[kind], newest, heard[kind] = dts, max(newest, dts), now


def test_program_time_is_anchored_once_and_slewed_gently() -> None:
    """The first key frame anchors; later ones move it by at most 1 ms towards the earliest arrival."""
    clock = ProgramClock()

    first = clock.at_key_frame(0, 1_000_000)
    clock.observe(1_000, 2_400_000)
    late = clock.at_key_frame(2_000, 3_500_000)
    early = clock.at_key_frame(4_000, 4_000_000)

    assert (first, late, early) == (1_000.0, 3_001.0, 5_000.0)
