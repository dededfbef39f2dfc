"""The test picture and its tone."""

import array

import pytest

from ops.test_picture import FRAME_RATE, HEIGHT, SAMPLE_RATE, WIDTH, TestPicture, Tone, clock_text


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "00:00:00.00"),
        (86_399_999, "23:59:59.99"),
        (86_400_000, "00:00:00.00"),
        (45_296_780, "12:34:56.78"),
    ],
)
def test_the_clock_is_the_time_of_day(at_ms: int, text: str) -> None:
    """In UTC, to the hundredth of a second."""
    assert clock_text(at_ms) == text


def test_planes_have_the_size_of_the_picture() -> None:
    """yuv420p: chroma has half of the width and half of the height."""
    luma, u, v = TestPicture().frame(45_296_780)

    assert (len(luma), len(u), len(v)) == (WIDTH * HEIGHT, WIDTH * HEIGHT // 4, WIDTH * HEIGHT // 4)


def test_each_frame_differs_from_the_one_before() -> None:
    """Clock and box move in every one of them."""
    picture = TestPicture()
    frames = [picture.frame(number * 1000 // FRAME_RATE)[0] for number in range(FRAME_RATE)]

    assert len(set(frames)) == FRAME_RATE


def test_the_same_moment_is_the_same_picture() -> None:
    """It depends on the time alone."""
    assert TestPicture().frame(123_456) == TestPicture().frame(123_456)


def test_the_tone_beeps_on_the_second() -> None:
    """Loud in its first tenth, quiet in the rest; a block may cross the second."""
    tone = Tone()
    loud = array.array("h", tone.block(0, 1024))
    quiet = array.array("h", tone.block(SAMPLE_RATE // 2, 1024))
    across = tone.block(SAMPLE_RATE - 512, 1024)

    assert max(loud) > 5 * max(quiet) > 0
    assert len(across) == 2 * 1024
    assert across[1024:] == tone.block(0, 512)
