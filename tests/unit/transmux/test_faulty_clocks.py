"""A publisher's clock that goes wrong, from his messages to the samples of the CMAF: both repairs together."""

from itertools import pairwise

import pytest

from bus_schemas.tags import TagHeader
from media.isobmff import read_fragment, read_init
from tests.unit.ingest.test_timestamps import FAULTS, A, Fault, V, source
from tests.unit.transmux.sources import AVC_HEADER, EPOCH, aac_header, inits_of, make_segmenter, parts_of
from workers.ingest.packing import Packer
from workers.ingest.rtmp.events import MediaKind
from workers.ingest.timestamps import TimestampRepair
from workers.transmux.output import Output

ARRIVAL_US = 1_700_000_000_000_000
SAMPLE_RATE = 44_100


def payload(kind: MediaKind, true: int, composition: int = 0) -> bytes:
    """A frame that knows when it truly is."""
    mark = b"\0\0\0\x08" + true.to_bytes(8, "big")
    if kind is A:
        return b"\xaf\x01" + mark
    head = b"\x17" if not true % 2_000 else b"\x27"
    return head + b"\x01" + (composition & 0xFFFFFF).to_bytes(3, "big") + mark


def published(fault: Fault, *, audio_late: int = 0, composition: int = 0, seconds: int = 6) -> list[Output]:
    """What ingest and transmux make of such a publisher."""
    packer, segmenter = Packer(EPOCH, TimestampRepair()), make_segmenter()
    made: list[Output] = []
    frames = [
        (kind, fault(kind, true) & 0xFFFFFFFF, payload(kind, true, composition), arrival)
        for kind, true, arrival in source(seconds, audio_late)
    ]
    headers = [(V, frames[0][1], AVC_HEADER, 0), (A, frames[0][1], aac_header(4), 0)]
    for kind, stamp, data, arrival in (*headers, *frames):
        for message in packer.push(kind, stamp, data, ARRIVAL_US + arrival * 1_000):
            made += segmenter.push(TagHeader.unpack(message.payload), message.payload)
    return made


def shown(made: list[Output]) -> dict[bool, list[tuple[int, float, float]]]:
    """For video (True) and audio (False): true time, decode and presentation time of each sample, ms."""
    tracks = read_init(inits_of(made)[0].body)
    found: dict[bool, list[tuple[int, float, float]]] = {True: [], False: []}
    for part in parts_of(made):
        for run in read_fragment(part.body, tracks):
            track = next(one for one in tracks if one.id == run.track)
            time = run.decode_time
            for lasts, composition, data in zip(run.durations, run.compositions, run.data, strict=True):
                true = int.from_bytes(bytes(data)[-8:], "big")
                scale = 1_000 / track.timescale
                found[track.is_video].append((true, time * scale, (time + composition) * scale))
                time += lasts
    return found


def assert_together(made: list[Output]) -> None:
    """Decode times rise, no sample is there twice, and sound and picture of one moment are within 50 ms."""
    samples = shown(made)
    assert len(inits_of(made)) == 1
    for track in samples.values():
        assert len(track) > 90
        assert all(after[1] > before[1] for before, after in pairwise(track))
        assert len({true for true, _, _ in track}) == len(track)
    moved = [(true, decode - true) for true, decode, _ in samples[True]]
    for true, decode, _ in samples[False]:
        beside = [by for video_true, by in moved if abs(video_true - true) <= 40]
        assert min((abs(decode - true - by) for by in beside), default=0) <= 50, true


@pytest.mark.parametrize("audio_late", [0, 15, 300], ids=["in step", "15 ms late", "300 ms late"])
@pytest.mark.parametrize("fault", [fault[1] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_sound_and_picture_stay_together_in_the_cmaf(fault: Fault, audio_late: int) -> None:
    """Whatever the publisher's clock does."""
    assert_together(published(fault, audio_late=audio_late))


@pytest.mark.parametrize("composition", [-80, -1, 0, 40, 120])
def test_composition_is_kept_whatever_its_sign(composition: int) -> None:
    """Presentation is decode time and composition, to the millisecond, also below zero."""
    made = published(lambda _, true: true, composition=composition)

    assert_together(made)
    assert {round(presented - decode, 3) for _, decode, presented in shown(made)[True]} == {composition}
    assert shown(made)[True][0][2] == composition


def test_pictures_with_equal_stamps_are_all_there() -> None:
    """An encoder that bundles two under one stamp: the second lasts from 1 ms later on."""
    made = published(lambda kind, true: true // 80 * 80 if kind is V else true)

    assert_together(made)
    assert len(shown(made)[True]) > 145


def test_sound_that_begins_late_joins_at_its_time() -> None:
    """Two seconds of pictures alone, then both: a new init segment, and sound at the time of its picture."""
    packer, segmenter = Packer(EPOCH, TimestampRepair()), make_segmenter()
    made: list[Output] = []
    frames = [(V, 0, AVC_HEADER, 0)]
    for kind, true, arrival in source(8, 0):
        if kind is A and true < 2_500:
            continue
        if kind is A and not any(frame[2] == aac_header(4) for frame in frames):
            frames.append((A, true, aac_header(4), arrival))
        frames.append((kind, true, payload(kind, true), arrival))
    for kind, stamp, data, arrival in frames:
        for message in packer.push(kind, stamp, data, ARRIVAL_US + arrival * 1_000):
            made += segmenter.push(TagHeader.unpack(message.payload), message.payload)

    assert [init.header.codecs for init in inits_of(made)] == ["avc1.4d400d", "avc1.4d400d,mp4a.40.2"]
    second = inits_of(made)[1]
    both: list[Output] = [
        second,
        *(part for part in parts_of(made) if part.header.init == second.header.init),
    ]
    samples = shown(both)
    assert samples[False][0][0] >= 4_000 - 30
    assert all(abs(decode - true) < 30 for true, decode, _ in (*samples[True], *samples[False]))
