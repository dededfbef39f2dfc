"""Every codec from the publisher's tags to what libavformat reads of the CMAF and of the FLV, cores only."""

import io
import itertools
from collections import defaultdict
from fractions import Fraction
from typing import Any

import av
import pytest
from av.logging import Capture
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.parts import InitHeader, PartFlags
from bus_schemas.tags import HEADER_SIZE, TagFlags, TagHeader
from media import avc, flv
from media.av_tags import PacketType, parse_audio, parse_video
from media.isobmff import read_fragment, read_init
from media.timeline import leading_headers, tracks_of
from tests.enhanced_flv import enhanced_tags
from tests.unit.transmux.sources import (
    EPOCH,
    Message,
    behind,
    headers_of,
    init_header,
    inits_of,
    make_segmenter,
    parts_of,
    run,
)
from workers.ingest.packing import Packer
from workers.ingest.rtmp import amf0
from workers.ingest.rtmp.events import MediaKind
from workers.ingest.timestamps import TimestampRepair
from workers.transmux.output import Output
from workers.transmux.tracks import from_init

ARRIVAL_US = 1_700_000_000_000_000
KINDS = {flv.TagType.VIDEO: MediaKind.VIDEO, flv.TagType.AUDIO: MediaKind.AUDIO}
COMBINATIONS = [
    ("libx265", "aac", "hvc1.1.6.L60.90,mp4a.40.2"),
    ("libsvtav1", "libopus", "av01.0.00M.08,Opus"),
    ("libvpx-vp9", "libopus", "vp09.00.11.08,Opus"),
    ("libx264", "flac", "avc1.4d400d,fLaC"),
    ("libx265", "ac3", "hvc1.1.6.L60.90,ac-3"),
    ("libx264", "eac3", "avc1.4d400d,ec-3"),
    ("libsvtav1", None, "av01.0.00M.08"),
    (None, "libopus", "Opus"),
    (None, "flac", "fLaC"),
    (None, "eac3", "ec-3"),
    (None, "libmp3lame", "mp4a.6B"),
]


def ingested(tags: list[flv.Tag], *, shift_ms: int = 0, packer: Packer | None = None) -> list[Message]:
    """The messages that ingest makes of a publisher's tags."""
    packer = packer or Packer(EPOCH, TimestampRepair())
    made: list[Message] = []
    for tag in tags:
        if tag.type is flv.TagType.SCRIPT:
            packer.set_metadata({"videocodecid": 1.0, "audiocodecid": 1.0, "framerate": 25.0})
            continue
        time = tag.timestamp_ms + shift_ms
        packed = packer.push(KINDS[tag.type], time, tag.payload, ARRIVAL_US + time * 1_000)
        made += [(TagHeader.unpack(message.payload), message.payload) for message in packed]
    return made


def joined(made: list[Output]) -> bytes:
    """The first init segment and all parts."""
    return inits_of(made)[0].body + b"".join(part.body for part in parts_of(made))


def frames_of(tags: list[flv.Tag]) -> dict[str, list[tuple[int, int, bytes]]]:
    """DTS and PTS, ms, and the codec's bytes of each frame from the first key frame on."""
    found: dict[str, list[tuple[int, int, bytes]]] = defaultdict(list)
    with_video = any(tag.type is flv.TagType.VIDEO for tag in tags)
    for tag in tags:
        if tag.type is flv.TagType.VIDEO:
            video = parse_video(tag.payload)
            if video.packet_type is PacketType.FRAME and video.body < video.end:
                pts = tag.timestamp_ms + video.composition_ms
                found["video"].append((tag.timestamp_ms, pts, tag.payload[video.body :]))
        elif tag.type is flv.TagType.AUDIO and (found["video"] or not with_video):
            audio = parse_audio(tag.payload)
            if audio.packet_type is PacketType.FRAME and audio.body < audio.end:
                found["audio"].append((tag.timestamp_ms, tag.timestamp_ms, tag.payload[audio.body :]))
    return found


def demuxed(data: bytes, form: str) -> dict[str, list[tuple[float, float, bytes]]]:
    """DTS and PTS, ms, and the bytes of each packet that libavformat finds; it decodes them all in silence."""
    found: dict[str, list[tuple[float, float, bytes]]] = defaultdict(list)
    av.logging.set_level(av.logging.WARNING)
    try:
        with Capture() as logged, av.open(io.BytesIO(data), "r", format=form) as container:
            decoded = 0
            for packet in container.demux():
                if packet.size and packet.dts is not None and packet.pts is not None:
                    base: Any = packet.time_base
                    times = float(packet.dts * base * 1000), float(packet.pts * base * 1000)
                    found[packet.stream.type].append((*times, bytes(packet)))
                if packet.size and packet.stream.type != "data":  # onMetaData and onClock
                    decoded += len(packet.decode())
    finally:
        av.logging.set_level(None)
    assert decoded > 20
    assert [line for line in logged if "Svt" not in line[2]] == []
    return found


@pytest.mark.parametrize(("video", "audio", "codecs"), COMBINATIONS)
def test_cmaf_holds_the_publishers_frames_at_his_times(
    video: str | None, audio: str | None, codecs: str
) -> None:
    """Codec strings, sizes, timestamps, bytes; and a decoder has nothing to say about it."""
    tags = enhanced_tags(video, audio)

    made = run(make_segmenter(), ingested(tags))

    header = init_header(made)
    assert header.codecs == codecs
    assert (header.width, header.height) == ((322, 182) if video else (0, 0))
    assert header.frame_rate == (25.0 if video else 0.0)
    assert (header.sample_rate, header.channels) == ((48_000, 2) if audio else (0, 0))
    sent, got = frames_of(tags), demuxed(joined(made), "mp4")
    for kind, tolerance in (("video", 0.01), ("audio", 1.5)):
        assert len(got[kind]) >= len(sent[kind]) - 14
        for (dts, pts, data), (got_dts, got_pts, got_data) in zip(sent[kind], got[kind], strict=False):
            assert abs(dts - got_dts) <= tolerance
            assert abs(pts - got_pts) <= tolerance
            assert data == got_data


@pytest.mark.parametrize(("video", "audio", "codecs"), COMBINATIONS)
def test_flv_of_the_bus_is_read_by_libavformat(video: str | None, audio: str | None, codecs: str) -> None:
    """What an FLV viewer gets: a file header and the tags of the messages."""
    tags = enhanced_tags(video, audio)

    file = flv.file_header(audio=audio is not None, video=video is not None)
    file += b"".join(message[HEADER_SIZE:] for _, message in ingested(tags))

    sent, got = frames_of(tags), demuxed(file, "flv")
    for kind in ("video", "audio"):
        assert len(got[kind]) >= len(sent[kind]) - 4
        assert [(dts, data) for dts, _, data in got[kind]] == [
            (dts, data) for dts, _, data in sent[kind][: len(got[kind])]
        ]


@pytest.mark.parametrize(("video", "audio", "codecs"), COMBINATIONS)
def test_a_successor_cuts_the_same_parts_of_every_codec(
    video: str | None, audio: str | None, codecs: str
) -> None:
    """From each part's checkpoint on, to the byte."""
    stream = ingested(enhanced_tags(video, audio))
    made = run(make_segmenter(), stream)
    parts = parts_of(made)
    init = init_header(made)

    for index in range(0, len(parts) - 1, 3):
        at = parts[index].header
        again = run(
            make_segmenter(last=at, init=init),
            behind(stream, at),
        )
        assert parts_of(again) == parts[index + 1 :]


def test_opus_frames_of_any_length_are_timed_by_their_own_bytes() -> None:
    """2.5, 10, 20 and 60 ms packets behind each other: decode times are the sum of them."""
    lengths = [(0xE4, 120), (0x84, 480), (0xFC, 960), (0x1C, 2880)] * 60
    packer = Packer(EPOCH, TimestampRepair())
    messages: list[Message] = []
    at = 0
    for toc, samples in [(0, 0), *lengths]:
        payload = b"\x91Opus" + bytes((toc, 1, 2)) if samples else b"\x90OpusOpusHead\x01\x02" + bytes(9)
        time = at // 48
        messages += [
            (TagHeader.unpack(packed.payload), packed.payload)
            for packed in packer.push(MediaKind.AUDIO, time, payload, ARRIVAL_US + time * 1_000)
        ]
        at += samples

    headers = headers_of(run(make_segmenter(), messages))

    assert len(headers) > 15
    ends = [header.dts_ms * 1_000 + header.duration_us for header in headers]
    assert all(abs(end - after.dts_ms * 1_000) < 1_000 for end, after in zip(ends, headers[1:], strict=False))


def test_mp3_beside_video_is_for_flv_alone() -> None:
    """Chromium would refuse the pictures for it: CMAF has them without sound, FLV has both."""
    tags = enhanced_tags("libx264", "libmp3lame")
    stream = ingested(tags)

    segmenter = make_segmenter()
    made = run(segmenter, stream)
    file = flv.file_header(audio=True, video=True) + b"".join(message[HEADER_SIZE:] for _, message in stream)

    assert init_header(made).codecs == "avc1.4d400d"
    assert segmenter.dropped_frames == 0
    assert demuxed(joined(made), "mp4").keys() == {"video"}
    sounds = [data for _, _, data in demuxed(file, "flv")["audio"]]
    assert sounds == [data for _, _, data in frames_of(tags)["audio"]][: len(sounds)]
    assert len(sounds) > 100
    header = next(message for header, message in stream if header.flags & TagFlags.HEADER)
    assert tracks_of(leading_headers(header[HEADER_SIZE:])) == (True, True)


def test_mp3_by_fourcc_is_mp3() -> None:
    """Enhanced RTMP's way of saying it becomes FLV's own."""
    tags = enhanced_tags(None, "libmp3lame")
    named = [
        flv.Tag(tag.type, tag.timestamp_ms, b"\x91.mp3" + tag.payload[1:])
        if tag.type is flv.TagType.AUDIO
        else tag
        for tag in tags
    ]

    assert [message for _, message in ingested(named)] == [message for _, message in ingested(tags)]


def test_eac3_of_half_frames_is_packaged_in_whole_ones() -> None:
    """A sample of an ISO file holds six blocks; it has the time of its first frame."""
    tags = enhanced_tags(None, "eac3", sound_kbps=1_500)

    made = run(make_segmenter(), ingested(tags))

    assert demuxed(joined(made), "mp4")["audio"]
    tracks = read_init(inits_of(made)[0].body)
    runs = [run for part in parts_of(made) for run in read_fragment(part.body, tracks)]
    sent, got = frames_of(tags)["audio"], [bytes(sample) for run in runs for sample in run.data]
    assert (
        got
        == [first + second for (_, _, first), (_, _, second) in zip(sent[::2], sent[1::2], strict=False)][
            : len(got)
        ]
    )
    assert len(got) > 80
    assert {lasts for run in runs for lasts in run.durations} == {1_536}
    assert all(abs(run.decode_time / 1_536 - round(run.decode_time / 1_536)) < 0.01 for run in runs)


def test_opus_that_says_nothing_is_no_hole() -> None:
    """Discontinuous transmission: a packet each 400 ms, and the silence between them is the packet's own."""
    packer = Packer(EPOCH, TimestampRepair())
    times = [*range(0, 3_000, 20), *range(3_000, 7_000, 400), *range(7_000, 10_000, 20)]
    messages: list[Message] = []
    for time, payload in [
        (0, b"\x90OpusOpusHead\x01\x02" + bytes(9)),
        *((t, b"\x91Opus\xfc\1") for t in times),
    ]:
        messages += [
            (TagHeader.unpack(packed.payload), packed.payload)
            for packed in packer.push(MediaKind.AUDIO, time, payload, ARRIVAL_US + time * 1_000)
        ]

    headers = headers_of(run(make_segmenter(), messages))

    assert headers[-1].discontinuity == 0
    assert headers[-1].dts_ms > 9_000
    assert {header.part_target_us for header in headers} == {210_000}


def test_a_codec_change_is_a_new_init_segment_and_a_discontinuity() -> None:
    """H.264 with AAC, then HEVC with Opus, then VP9 of another size: media sequence goes on without a hole."""
    packer = Packer(EPOCH, TimestampRepair())
    stream = ingested(enhanced_tags("libx264", "aac"), packer=packer)
    stream += ingested(enhanced_tags("libx265", "libopus"), shift_ms=3_040, packer=packer)
    stream += ingested(enhanced_tags("libvpx-vp9", "libopus"), shift_ms=6_080, packer=packer)
    stream += ingested(
        enhanced_tags("libvpx-vp9", "libopus", width=480, height=270), shift_ms=9_120, packer=packer
    )

    made = run(make_segmenter(), stream)

    assert [(init.header.codecs, init.header.width) for init in inits_of(made)] == [
        ("avc1.4d400d,mp4a.40.2", 322),
        ("hvc1.1.6.L60.90,Opus", 322),
        ("vp09.00.11.08,Opus", 322),
        ("vp09.00.21.08,Opus", 480),
    ]
    headers = headers_of(made)
    assert sorted({header.msn for header in headers}) == list(range(headers[-1].msn + 1))
    assert [header.discontinuity for header in headers] == sorted(header.discontinuity for header in headers)
    assert headers[-1].discontinuity == 3
    for init in inits_of(made):
        body = b"".join(part.body for part in parts_of(made) if part.header.init == init.header.init)
        assert demuxed(init.body + body, "mp4")["video"]


def test_the_same_headers_in_the_midst_of_a_stream_change_nothing() -> None:
    """Colour information that changes goes out with its headers again, and is no new generation either."""
    tags = enhanced_tags("libx265", "libopus")
    headers = [tag for tag in tags if tag.timestamp_ms == 0 and tag.payload[0] in (0x90, 0xD4, 0x94)]
    middle = next(index for index, tag in enumerate(tags) if tag.timestamp_ms >= 1_000)
    brighter = flv.Tag(flv.TagType.VIDEO, 1_500, b"\xd4hvc1\x02\x00\x09colorInfo\x03\x00\x00\x09")

    same = ingested([*tags[:middle], *headers, *tags[middle:]])
    other = ingested([*tags[:middle], *headers, brighter, *tags[middle:]])

    assert same == ingested(tags)
    flagged = [header for header, _ in other if header.flags & TagFlags.HEADER]
    assert len(flagged) == 2
    assert {header.generation for header in flagged} == {0}
    made = run(make_segmenter(), other)
    assert len(inits_of(made)) == 1
    assert not any(header.flags & PartFlags.DISCONTINUITY for header in headers_of(made))


@pytest.mark.parametrize(("transfer", "expected"), [(16, "PQ"), (18, "HLG"), (1, "SDR")])
def test_the_colour_a_publisher_tells_is_in_the_init_segment(transfer: int, expected: str) -> None:
    """Where the parameter sets say nothing: `colr` for players, a video range for the playlist."""
    tags = [tag for tag in enhanced_tags("libx265", "aac") if tag.payload[:1] != b"\xd4"]
    codes = {"colorPrimaries": 9.0, "transferCharacteristics": float(transfer), "matrixCoefficients": 9.0}
    told = b"\xd4hvc1" + amf0.encode("colorInfo") + amf0.encode({"colorConfig": codes})
    at = next(index for index, tag in enumerate(tags) if tag.payload[:5] == b"\x90hvc1") + 1

    made = run(make_segmenter(), ingested([*tags[:at], flv.Tag(flv.TagType.VIDEO, 0, told), *tags[at:]]))

    header = init_header(made)
    assert (header.colour, header.video_range) == ((9, transfer, 9, 0), expected)
    assert InitHeader.unpack(header.pack())[0] == header
    assert from_init(header).init_segment() == inits_of(made)[0].body
    with av.open(io.BytesIO(joined(made)), format="mp4") as container:
        context: Any = container.streams.video[0].codec_context
        assert (context.color_primaries, context.color_trc, context.colorspace) == (9, transfer, 9)
    assert demuxed(joined(made), "mp4")["video"]


def test_a_colour_that_changes_is_a_new_init_segment() -> None:
    """A decoder's output is shown in another way: a discontinuity, at the key frame where it is told."""
    tags = enhanced_tags("libx265", "aac")
    middle = next(index for index, tag in enumerate(tags) if tag.timestamp_ms >= 1_000)
    codes = {"colorPrimaries": 9.0, "transferCharacteristics": 18.0, "matrixCoefficients": 9.0}
    told = b"\xd4hvc1" + amf0.encode("colorInfo") + amf0.encode({"colorConfig": codes})

    made = run(
        make_segmenter(), ingested([*tags[:middle], flv.Tag(flv.TagType.VIDEO, 0, told), *tags[middle:]])
    )

    assert [init.header.video_range for init in inits_of(made)] == ["SDR", "HLG"]
    assert headers_of(made)[-1].discontinuity == 1


def test_fractions_of_a_second_keep_their_rate() -> None:
    """29.97 frames a second from the HEVC parameter sets."""
    tags = enhanced_tags("libx265", None, fps=30)

    assert init_header(run(make_segmenter(), ingested(tags))).frame_rate == float(Fraction(30))


def test_a_track_that_ends_and_comes_back_plays_on() -> None:
    """Sound alone where the pictures end, both where they return: three init segments, one media sequence."""
    tags = enhanced_tags("libx265", "libopus", seconds=9)
    rest = [tag for tag in tags if tag.type is not flv.TagType.VIDEO or not 2_000 < tag.timestamp_ms < 7_000]

    made = run(make_segmenter(), ingested(rest))

    assert [init.header.codecs for init in inits_of(made)] == [
        "hvc1.1.6.L60.90,Opus", "Opus", "hvc1.1.6.L60.90,Opus",
    ]  # fmt: skip
    headers = headers_of(made)
    assert sorted({header.msn for header in headers}) == list(range(headers[-1].msn + 1))
    # The last picture stays while it is not known that there are no more.
    gaps = [
        after.dts_ms * 1_000 - before.dts_ms * 1_000 - before.duration_us
        for before, after in itertools.pairwise(headers)
    ]
    assert max(gaps) < 50_000
    for init in inits_of(made):
        body = b"".join(part.body for part in parts_of(made) if part.header.init == init.header.init)
        assert demuxed(init.body + body, "mp4")["audio"]


def test_a_publisher_without_codec_headers_plays() -> None:
    """Parameter sets only in band: the init segment is made of them."""
    tags = enhanced_tags("libx264", "aac")
    config = avc.parse_config(tags[1].payload[5:])
    sets = b"".join(len(nal).to_bytes(4, "big") + nal for nal in (*config.sps, *config.pps))
    bare = [
        flv.Tag(tag.type, tag.timestamp_ms, tag.payload[:5] + sets + tag.payload[5:])
        if tag.type is flv.TagType.VIDEO and tag.payload[:2] == b"\x17\x01"
        else tag
        for tag in tags
        if tag.payload[:2] != b"\x17\x00"
    ]

    made = run(make_segmenter(), ingested(bare))

    assert init_header(made).codecs == "avc1.4d400d,mp4a.40.2"
    assert (init_header(made).width, init_header(made).height) == (322, 182)
    assert len(demuxed(joined(made), "mp4")["video"]) > 60


@given(
    st.lists(
        st.tuples(
            st.sampled_from([8, 9]),
            st.sampled_from(
                [b"\x91hvc1", b"\xa3hvc1", b"\x91av01", b"\x91Opus", b"\x90Opus", b"\xd4hvc1", b""]
            ),
            st.binary(max_size=12),
        ),
        max_size=12,
    )
)
def test_any_tags_behind_a_fourcc_are_cut_or_left_out(drawn: list[tuple[int, bytes, bytes]]) -> None:
    """Nothing is raised, and numbers have no holes."""
    first = ingested(enhanced_tags("libx265", "libopus", seconds=1))[:3]
    after, segmenter = first[-1][0], make_segmenter()
    made = run(segmenter, first)
    for number, (kind, head, rest) in enumerate(drawn, 1):
        dts = after.dts_ms + 40 * number
        flags = TagFlags.KEY if head[:1] == b"\x91" else TagFlags.NONE
        header = TagHeader(flags, 0, after.sequence + number, EPOCH, dts, after.arrival_us)
        body = header.pack() + flv.mux(kind, dts, head + rest)
        made += segmenter.push(header, body)

    headers = headers_of(made)
    assert sorted({header.msn for header in headers}) == list(range(headers[-1].msn + 1 if headers else 0))
