"""CMAF read, and cut down to one track."""

import io

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.isobmff import BoxError, fragment_of, init_of, read_fragment, read_init, shifted
from tests.unit.transmux.sources import encoded, inits_of, make_segmenter, messages_of, parts_of, run

_MADE = run(make_segmenter(), messages_of(encoded(seconds=5)))
AAC_RECORD = inits_of(_MADE)[-1].header.audio_record
INIT = inits_of(_MADE)[-1].body
PARTS = [part.body for part in parts_of(_MADE)]


def _packets(file: bytes) -> dict[str, list[tuple[int, int, bytes]]]:
    """(dts, pts, bytes) by kind of track, as libavformat reads the file."""
    found: dict[str, list[tuple[int, int, bytes]]] = {}
    with av.open(io.BytesIO(file), "r") as container:
        for packet in container.demux():
            if packet.size:
                row = (int(packet.dts or 0), int(packet.pts or 0), bytes(packet))
                found.setdefault(packet.stream.type, []).append(row)
    return found


def test_the_tracks_of_an_init_segment() -> None:
    """Ids, clocks, codecs and size are what the packager wrote."""
    video, audio = read_init(INIT)

    assert (video.id, video.timescale, video.is_video, video.entry) == (1, 1000, True, "avc1")
    assert (video.width, video.height, video.record[0]) == (318, 178, 1)
    assert (audio.id, audio.timescale, audio.is_video, audio.entry) == (2, 48_000, False, "mp4a")
    assert (audio.record, audio.default_duration) == (AAC_RECORD, 1024)


def test_samples_are_those_that_libavformat_reads() -> None:
    """Times and bytes of every sample, of both tracks, agree with another reader of the same file."""
    tracks = read_init(INIT)
    ours: dict[str, list[tuple[int, int, bytes]]] = {"video": [], "audio": []}

    for part in PARTS:
        for one in read_fragment(part, tracks):
            time = one.decode_time
            rows = ours["video" if one.track == 1 else "audio"]
            for lasts, composition, data in zip(one.durations, one.compositions, one.data, strict=True):
                rows.append((time, time + composition, bytes(data)))
                time += lasts

    assert ours == _packets(INIT + b"".join(PARTS))


@pytest.mark.parametrize(("track", "kind"), [(1, "video"), (2, "audio")])
def test_one_track_alone_plays_as_it_did_beside_the_other(track: int, kind: str) -> None:
    """Cut down to one track, a file holds that track's samples at their times and nothing else."""
    alone = init_of(INIT, track) + b"".join(fragment_of(part, track) for part in PARTS)

    assert _packets(alone) == {kind: _packets(INIT + b"".join(PARTS))[kind]}
    assert [one.id for one in read_init(alone)] == [track]


def test_a_fragment_without_the_track_gives_nothing() -> None:
    """A part of video only has no audio fragment."""
    assert fragment_of(fragment_of(PARTS[0], 1), 2) == b""


def test_a_fragment_is_moved_in_time_and_stays_itself() -> None:
    """Shifting changes decode times only, each track by its own ticks."""
    tracks = read_init(INIT)
    before = read_fragment(PARTS[3], tracks)

    after = read_fragment(shifted(PARTS[3], {1: 1000, 2: 48_000}), tracks)

    assert [one.decode_time for one in after] == [
        one.decode_time + tracks[one.track - 1].timescale for one in before
    ]
    assert [[bytes(data) for data in one.data] for one in after] == [
        [bytes(data) for data in one.data] for one in before
    ]


@given(st.integers(0, len(PARTS[0]) - 1), st.binary(max_size=8))
def test_damaged_fragments_give_an_error_or_a_fragment(at: int, junk: bytes) -> None:
    """Whatever bytes come, reading ends with boxes or with `BoxError`."""
    damaged = PARTS[0][:at] + junk + PARTS[0][at + len(junk) :]
    tracks = read_init(INIT)

    for read in (
        lambda: read_fragment(damaged, tracks),
        lambda: fragment_of(damaged, 1),
        lambda: shifted(damaged, {1: 5}),
    ):
        try:
            read()
        except BoxError:
            continue


@given(st.integers(0, len(INIT) - 1), st.binary(max_size=8))
def test_damaged_init_segments_give_an_error_or_tracks(at: int, junk: bytes) -> None:
    """The same of init segments."""
    damaged = INIT[:at] + junk + INIT[at + len(junk) :]

    for read in (lambda: read_init(damaged), lambda: init_of(damaged, 2)):
        try:
            read()
        except BoxError:
            continue
