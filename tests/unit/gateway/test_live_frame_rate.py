"""FRAME-RATE as it is, whatever was announced."""

import pytest

from bus_schemas.parts import InitHeader
from gateway.live.frame_rate import FrameRate
from gateway.live.segments import SegmentIndex
from tests.unit.gateway.live_sources import init_header
from tests.unit.transmux.sources import encoded, inits_of, make_segmenter, messages_of, parts_of, run


def packaged(fps: int, *, video: bool = True) -> tuple[SegmentIndex, InitHeader, bytes]:
    """Some seconds at this rate, as an index holds them; an init header that says nothing of it."""
    made = run(make_segmenter(), messages_of(encoded(seconds=5, fps=fps, gop=2 * fps, video=video)))
    init = inits_of(made)[-1]
    index = SegmentIndex()
    for number, part in enumerate(parts_of(made)):
        index.add(part.header, len(part.body), number + 1, part.body)
    size = 318 if video else 0
    number = parts_of(made)[0].header.init
    return index, init_header(number, width=size, height=size, frame_rate=0.0), init.body


@pytest.mark.parametrize("fps", [15, 60])
@pytest.mark.parametrize("announced", [0.0, 29.5])
def test_the_rate_is_that_of_the_frames(fps: int, announced: float) -> None:
    """A publisher who says nothing, and one who says something else, are measured."""
    index, said, body = packaged(fps)
    init = init_header(said.init, frame_rate=announced)

    assert FrameRate().of(index, init, body) == pytest.approx(fps, rel=0.002)


def test_an_announced_rate_that_agrees_is_said_as_it_was_announced() -> None:
    """Timestamps are whole milliseconds: 30000/1001 measures as a little more or less."""
    index, said, body = packaged(30)

    assert FrameRate().of(index, init_header(said.init, frame_rate=29.97), body) == 29.97


def test_sound_alone_has_no_rate() -> None:
    """Whatever its metadata say."""
    index, said, body = packaged(30, video=False)

    assert FrameRate().of(index, said, body) == 0.0


def test_frames_are_counted_once_and_remembered_when_their_bytes_are_gone() -> None:
    """A playlist is longer than what a gateway holds in memory."""
    index, init, body = packaged(25)
    rate = FrameRate()
    before = rate.of(index, init, body)
    for segment in index.segments:
        for part in segment.parts:
            part.body = None

    assert rate.of(index, init, body) == before
    assert FrameRate().of(index, init, body) == 0.0


def test_bytes_that_are_no_cmaf_leave_what_was_announced() -> None:
    """A playlist is made all the same."""
    index, init, _ = packaged(25)
    for segment in index.segments:
        for part in segment.parts:
            part.body = b"moof+mdat"

    assert FrameRate().of(index, init_header(init.init, frame_rate=24.0), b"ftyp+moov") == 24.0
