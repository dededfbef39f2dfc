"""Timestamps are repaired once: rising, absolute, audio and video aligned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.ingest.rtmp.events import MediaKind
from workers.ingest.timestamps import MAX_STEP_MS, ProgramClock, Repair, TimestampRepair

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


@given(
    st.lists(
        st.tuples(st.sampled_from([A, V]), st.integers(0, 0xFFFFFFFF), st.integers(0, 5_000)), max_size=60
    )
)
def test_whatever_comes_each_track_rises_and_never_runs_away(steps: list[tuple[MediaKind, int, int]]) -> None:
    """Any timestamps: strictly rising per track, and never further than the limits allow per message."""
    timeline = TimestampRepair()
    now, newest, last = 0, 0, {A: -1, V: -1}
    for kind, raw, wait in steps:
        now += wait
        dts = timeline.repair(kind, raw, now)
        assert dts > last[kind]
        assert dts <= newest + MAX_STEP_MS + wait
        last[kind], newest = dts, max(newest, dts)


def test_program_time_is_anchored_once_and_slewed_gently() -> None:
    """The first key frame anchors; later ones move it by at most 1 ms towards the earliest arrival."""
    clock = ProgramClock()

    first = clock.at_key_frame(0, 1_000_000)
    clock.observe(1_000, 2_400_000)
    late = clock.at_key_frame(2_000, 3_500_000)
    early = clock.at_key_frame(4_000, 4_000_000)

    assert (first, late, early) == (1_000.0, 3_001.0, 5_000.0)
