"""Program date-time and the count of audio samples."""

from hypothesis import given
from hypothesis import strategies as st

from workers.transmux.clocks import AUDIO_TOLERANCE_MS, SLEW_MAX_US, AudioClock, ProgramClock


def test_rounded_stamps_do_not_move_the_count_of_samples() -> None:
    """An hour of 1,024-sample frames stamped in ms is an hour of samples, frame after frame."""
    clock = AudioClock(44_100, 1024)

    times = [clock.next(round(index * 1024_000 / 44_100), 1024) for index in range(2_000)]

    assert times == [index * 1024 for index in range(2_000)]


def test_a_real_gap_moves_it() -> None:
    """Lost frames are not played early."""
    clock = AudioClock(48_000, 1024)
    clock.next(0, 1024)

    assert clock.next(500, 1024) == 24_000


@given(st.lists(st.integers(0, 200), max_size=100), st.sampled_from([8_000, 44_100, 48_000, 96_000]))
def test_audio_never_goes_back_and_stays_near_its_stamps(steps: list[int], rate: int) -> None:
    """Whatever the stamps, times rise; where stamps leave room for the frames, they are kept to."""
    clock = AudioClock(rate, 1024)
    before, dts, frame_ms = -1, 0, 1024_000 // rate
    for step in steps:
        time = clock.next(dts, 1024)
        assert time > before
        before = time
        dts += step
        if all(each >= frame_ms + 1 for each in steps):
            assert abs(time * 1000 / rate - (dts - step)) <= AUDIO_TOLERANCE_MS + 1


def test_the_clock_is_anchored_once_and_slewed_slowly() -> None:
    """The first announcement is taken over; later ones move it by a millisecond a segment."""
    clock = ProgramClock()
    clock.announce(100, 1_000_100)
    clock.open_segment(5)
    anchored = clock.offset_us
    clock.announce(2_100, 1_002_140)
    clock.close_segment()
    clock.open_segment(5)

    assert anchored == 1_000_000_000
    assert clock.offset_us == 1_000_000_000 + SLEW_MAX_US


def test_announcements_that_are_no_times_are_ignored() -> None:
    """The arrival is then the anchor."""
    clock = ProgramClock()
    for dts, pdt in [(-1.0, 5.0), (5.0, 2.0), (0.0, float("inf")), (float("nan"), 1.0)]:
        clock.announce(dts, pdt)
    clock.open_segment(77)

    assert clock.offset_us == 77
