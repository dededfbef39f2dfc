"""Transport streams from CMAF."""

import io
import itertools
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import av
import av.logging
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media import aac, flv
from media.isobmff import Track, read_init, shifted
from media.mpegts import CLOCK, PACKET_SIZE, WRAP, Muxer, TsError
from tests.enhanced_flv import enhanced_tags
from tests.unit.transmux.sources import encoded, inits_of, make_segmenter, messages_of, parts_of, run
from workers.transmux.cmaf.fragments import AudioRun, fragment

WRAP_MS = WRAP * 1000 // CLOCK


@cache
def _stream(*, video: bool = True, audio: bool = True) -> tuple[bytes, dict[int, list[bytes]]]:
    """An init segment, and the parts of each complete segment."""
    made = run(make_segmenter(), messages_of(encoded(seconds=9, video=video, audio=audio)))
    segments: dict[int, list[bytes]] = {}
    for part in parts_of(made):
        segments.setdefault(part.header.msn, []).append(part.body)
    return inits_of(made)[-1].body, segments


def _mux(init: bytes, segments: dict[int, list[bytes]]) -> bytes:
    muxer = Muxer(read_init(init))
    return b"".join(muxer.segment(parts, number) for number, parts in segments.items())


def _read(file: bytes, kind: str) -> list[tuple[int, int, bytes]]:
    """(dts, pts, bytes) in 90 kHz of the packets of one kind of track."""
    with av.open(io.BytesIO(file), "r") as container:
        return [
            (
                round((packet.dts or 0) * packet.time_base * CLOCK),
                round((packet.pts or 0) * packet.time_base * CLOCK),
                bytes(packet),
            )
            for packet in container.demux()
            if packet.size and packet.stream.type == kind
        ]


def _packets(ts: bytes) -> Iterator[tuple[int, int, bool, bytes]]:
    """(pid, counter, begins something, payload) of each packet with a payload."""
    assert not len(ts) % PACKET_SIZE
    for at in range(0, len(ts), PACKET_SIZE):
        packet = ts[at : at + PACKET_SIZE]
        assert packet[0] == 0x47
        assert packet[3] & 0x10
        start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
        pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
        yield pid, packet[3] & 15, bool(packet[1] & 0x40), packet[start:]


@pytest.fixture
def warnings_of_libav(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What libavformat complains of."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.WARNING)
    with caplog.at_level(logging.WARNING, logger="libav"):
        yield caplog
    av.logging.set_level(before)


@pytest.mark.parametrize(("video", "audio"), [(True, True), (True, False), (False, True)])
def test_libavformat_reads_what_went_in_without_a_complaint(
    video: bool, audio: bool, warnings_of_libav: pytest.LogCaptureFixture
) -> None:
    """Segments one after another are one stream: every frame, every picture in its place, every sample on time."""
    init, segments = _stream(video=video, audio=audio)
    source = init + b"".join(part for parts in segments.values() for part in parts)

    ts = _mux(init, segments)

    for kind, wanted in (("video", video), ("audio", audio)):
        ours, theirs = _read(ts, kind), _read(source, kind)
        shift = 2 * CLOCK
        # A tick of 90 kHz is finer than the clock of either track; audio within a PES packet is timed by its reader.
        assert len(ours) == len(theirs)
        for (dts, pts, _), (wanted_dts, wanted_pts, _) in zip(ours, theirs, strict=True):
            assert abs(dts - shift - wanted_dts) <= 2
            assert abs(pts - shift - wanted_pts) <= 2
        assert bool(ours) is wanted
        if kind == "audio":
            assert [data[7:] for _, _, data in ours] == [data for _, _, data in theirs]
    assert not warnings_of_libav.records


def test_every_frame_can_be_decoded(warnings_of_libav: pytest.LogCaptureFixture) -> None:
    """A decoder that knows nothing but the transport stream shows each picture of the source."""
    init, segments = _stream()
    source = init + b"".join(part for parts in segments.values() for part in parts)

    with av.open(io.BytesIO(_mux(init, segments)), "r") as container:
        pictures = [bytes(frame.planes[0]) for frame in container.decode(video=0)]

    with av.open(io.BytesIO(source), "r") as container:
        assert pictures == [bytes(frame.planes[0]) for frame in container.decode(video=0)]
    assert not warnings_of_libav.records


@pytest.mark.parametrize(("video", "audio"), [("libx265", "ac3"), ("libx264", "eac3")])
def test_other_codecs_that_transport_streams_carry(
    video: str, audio: str, warnings_of_libav: pytest.LogCaptureFixture
) -> None:
    """H.265, AC-3 and E-AC-3, fragmented by libavformat: what it reads of ours is what it wrote."""
    source = _fragmented(video, audio)
    tracks = read_init(source[: source.index(b"moof") - 4])
    starts = [match.start() - 4 for match in re.finditer(b"moof", source)]
    parts = [source[at:after] for at, after in itertools.pairwise([*starts, source.index(b"mfra") - 4])]

    ts = Muxer(tracks).segment(parts, 0)

    with av.open(io.BytesIO(ts), "r") as container:
        frames = list(container.decode(video=0, audio=0))
    assert sum(isinstance(frame, av.VideoFrame) for frame in frames) == 30
    assert [data for _, _, data in _read(ts, "audio")] == [data for _, _, data in _read(source, "audio")]
    assert not warnings_of_libav.records


def _fragmented(video: str, audio: str) -> bytes:
    """A second of grey and silence as `moof` and `mdat` with their offsets based on the moof."""
    file = io.BytesIO()
    flags = {"movflags": "frag_keyframe+delay_moov+default_base_moof"}
    with av.open(file, "w", format="mp4", options=flags) as container:
        quiet = {"x265-params": "log-level=none", "preset": "ultrafast", "tune": "zerolatency"}
        stream: Any = container.add_stream(video, rate=30, options=quiet)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        if video == "libx265":
            stream.codec_context.codec_tag = "hvc1"
        sound: Any = container.add_stream(audio, rate=48_000, layout="stereo")
        for number in range(30):
            picture = av.VideoFrame(320, 180, "yuv420p")
            for plane in picture.planes:
                plane.update(bytes([number]) * plane.buffer_size)
            picture.pts, picture.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(picture))
        for number in range(30):
            samples = av.AudioFrame(format="fltp", layout="stereo", samples=1536)
            for sample_plane in samples.planes:
                sample_plane.update(bytes(sample_plane.buffer_size))
            samples.sample_rate, samples.pts, samples.time_base = 48_000, number * 1536, Fraction(1, 48_000)
            container.mux(sound.encode(samples))
        for one in (stream, sound):
            container.mux(one.encode(None))
    return file.getvalue()


def test_any_segment_can_be_the_first() -> None:
    """Each one has its tables, its parameter sets and a clock before its first frame."""
    init, segments = _stream()
    number, parts = list(segments.items())[2]

    with av.open(io.BytesIO(Muxer(read_init(init)).segment(parts, number)), "r") as container:
        frames = list(container.decode(video=0))

    assert frames[0].key_frame
    assert len(frames) == 60


def test_another_process_makes_the_same_bytes() -> None:
    """One that has made every segment and one that begins with the last agree on it."""
    init, segments = _stream()
    muxer = Muxer(read_init(init))
    made = [muxer.segment(parts, number) for number, parts in segments.items()]
    number = max(segments)

    assert Muxer(read_init(init)).segment(segments[number], number) == made[-1]


def test_continuity_counters_run_on_over_segments() -> None:
    """Nowhere in the stream does a player think that a packet was lost."""
    init, segments = _stream()
    last: dict[int, int] = {}

    for pid, counter, _, _ in _packets(_mux(init, segments)):
        assert counter == (last.get(pid, counter - 1) + 1) % 16, hex(pid)
        last[pid] = counter

    assert set(last) == {0, 0x1000, 0x100, 0x101}


def test_timestamps_wrap_at_33_bits_and_play_on(warnings_of_libav: pytest.LogCaptureFixture) -> None:
    """A stream that has run for 26.5 hours goes on: its reader sees one timeline."""
    init, segments = _stream()
    begin = WRAP_MS - 5_000
    late = {
        number: [shifted(part, {1: begin, 2: begin * 48}) for part in parts]
        for number, parts in segments.items()
    }

    ts = _mux(init, late)

    for kind in ("video", "audio"):
        times = [dts for dts, _, _ in _read(ts, kind)]
        assert all(0 < after - before < CLOCK // 10 for before, after in itertools.pairwise(times))
    assert not warnings_of_libav.records


def test_pictures_shown_before_they_are_decoded_are_decoded_earlier() -> None:
    """Negative composition offsets: no PTS is before its DTS, and the order of decoding stays."""
    init, segments = _stream()
    tracks = read_init(init)
    ts = Muxer(tracks).segment([_with_composition(part, -70) for part in segments[0]], 0)

    times = [(dts, pts) for dts, pts, _ in _read(ts, "video")]

    assert all(pts >= dts for dts, pts in times)
    assert [dts for dts, _ in times] == sorted(dts for dts, _ in times)


def _with_composition(part: bytes, by: int) -> bytes:
    """The part with every composition offset of its video run moved."""
    moved = bytearray(part)
    at = part.index(b"trun") + 4
    count = int.from_bytes(part[at + 4 : at + 8], "big")
    for index in range(count):
        place = at + 12 + index * 16 + 12
        value = int.from_bytes(part[place : place + 4], "big", signed=True) + by
        moved[place : place + 4] = value.to_bytes(4, "big", signed=True)
    return bytes(moved)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(8, 5_000), min_size=1, max_size=40), st.integers(0, 1 << 40))
def test_whatever_the_sizes_payloads_arrive_whole(sizes: list[int], number: int) -> None:
    """Frames of any size: 188-byte packets, a multiple of 16 of each stream, and every byte in its place."""
    track = Track(1, 1000, False, "ac-3", b"", 0, 0, 32, 0, 0)
    frames = [bytes([index % 251]) * size for index, size in enumerate(sizes)]
    parts = [_fragment(index * 32, frame) for index, frame in enumerate(frames)]

    packets = [packet for packet in _packets(Muxer((track,)).segment(parts, number)) if packet[0] == 0x101]

    assert not len(packets) % 16
    found: list[bytes] = []
    for _, _, begins, payload in packets:
        assert payload
        if begins:
            found.append(payload)
        else:
            found[-1] += payload
    assert [pes[9 + pes[8] :] for pes in found] == frames
    assert all(int.from_bytes(pes[4:6], "big") == len(pes) - 6 for pes in found)


def _fragment(time: int, data: bytes) -> bytes:
    def box(kind: bytes, body: bytes) -> bytes:
        return (8 + len(body)).to_bytes(4, "big") + kind + body

    trun = b"\0\0\2\1" + b"".join(value.to_bytes(4, "big") for value in (1, 100, len(data)))
    traf = box(b"tfhd", b"\0\2\0\0\0\0\0\1") + box(b"tfdt", b"\1\0\0\0" + time.to_bytes(8, "big"))
    traf += box(b"trun", trun)
    moof = box(b"moof", box(b"mfhd", bytes(8)) + box(b"traf", traf))
    assert len(moof) == 92
    return moof + box(b"mdat", data)


def test_what_no_transport_stream_carries_is_refused() -> None:
    """AV1 video is refused rather than left out; an odd audio codec beside H.264 is left out."""
    video, audio = read_init(_stream()[0])

    with pytest.raises(TsError):
        Muxer((replace(video, entry="av01"), audio))
    with pytest.raises(TsError):
        Muxer((replace(audio, entry="fLaC"),))

    muxer = Muxer((video, replace(audio, entry="fLaC")))
    assert {pid for pid, *_ in _packets(muxer.segment(_stream()[1][0], 0))} == {0, 0x1000, 0x100}


def test_a_damaged_segment_is_refused() -> None:
    """Bytes that are no fragment, and a sample whose NAL units do not fill it, give `TsError`."""
    init, segments = _stream()
    muxer = Muxer(read_init(init))
    part = segments[0][0]
    data = part.index(b"mdat") + 4

    for damaged in (part[:50], part[:data] + b"\xff\xff\xff\xff" + part[data + 4 :]):
        with pytest.raises(TsError):
            muxer.segment([damaged], 0)


@pytest.mark.parametrize(("layout", "channels"), [("quad", 4), ("2.1", 3), ("6.0", 6), ("5.1", 6)])
def test_channels_that_only_a_program_config_element_tells(
    layout: str, channels: int, warnings_of_libav: pytest.LogCaptureFixture
) -> None:
    """It travels in front of each frame; a decoder that begins anywhere knows the channels."""
    tags = [tag for tag in enhanced_tags(None, "aac", layout=layout) if tag.type is flv.TagType.AUDIO]
    record = tags[0].payload[2:]
    track = Track(2, 48_000, False, "mp4a", record, 0, 0, 1024, 0, 0)
    frames = [tag.payload[2:] for tag in tags[1:]]
    parts = [
        fragment(number, None, AudioRun(number * 1024, None, [frame])) for number, frame in enumerate(frames)
    ]

    file = Muxer((track,)).segment(parts[20:], 1)

    assert aac.parse_config(record).channels == channels
    assert bool(aac.parse_config(record).program) == (layout != "5.1")
    with av.open(io.BytesIO(file), "r") as container:
        heard = list(container.decode(audio=0))
    assert len(heard) > 100
    assert {len(frame.layout.channels) for frame in heard} == {channels}
    assert not warnings_of_libav.records
