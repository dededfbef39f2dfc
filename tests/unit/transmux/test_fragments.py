"""What is packaged here is what libavformat demuxes and decodes."""

import io
from collections import defaultdict
from typing import Any

import av
import pytest
from av.logging import Capture

from media import flv
from tests.unit.transmux.sources import encoded, inits_of, make_segmenter, messages_of, parts_of, run
from workers.transmux.cmaf.fragments import AudioRun, VideoRun, fragment

Samples = dict[str, list[tuple[int, int, bool, bytes]]]


def packaged(tags: tuple[flv.Tag, ...]) -> bytes:
    """Init segment and all parts joined."""
    made = run(make_segmenter(), messages_of(tags))
    return inits_of(made)[0].body + b"".join(part.body for part in parts_of(made))


def demuxed(data: bytes) -> Samples:
    """DTS and PTS in µs, key flag and bytes of every packet, by kind of track."""
    samples: Samples = defaultdict(list)
    with av.open(io.BytesIO(data), "r", format="mp4") as container:
        for packet in container.demux():
            if packet.size and packet.dts is not None and packet.pts is not None:
                base: Any = packet.time_base
                samples[packet.stream.type].append(
                    (round(packet.dts * base * 1_000_000), round(packet.pts * base * 1_000_000),
                     packet.is_keyframe, bytes(packet))
                )  # fmt: skip
    return samples


def cut(tags: tuple[flv.Tag, ...]) -> list[flv.Tag]:
    """The media tags that the parts hold: from the first key frame up to the last frame."""
    frames = [tag for tag in tags if tag.type is not flv.TagType.SCRIPT and tag.payload[1] == 1]
    if any(tag.type is flv.TagType.VIDEO for tag in frames):
        while frames[0].type is flv.TagType.AUDIO:
            frames.pop(0)
    return frames


@pytest.mark.parametrize(
    ("video", "audio", "b_frames"), [(True, True, 2), (True, True, 0), (True, False, 2), (False, True, 0)]
)
def test_timestamps_and_bytes_come_out_as_they_went_in(video: bool, audio: bool, b_frames: int) -> None:
    """Every frame has its DTS, its composition offset and its key flag; audio is off by under 1 ms of rounding."""
    tags = encoded(video=video, audio=audio, b_frames=b_frames)

    samples = demuxed(packaged(tags))

    # The last frame waits for one behind it, for ever: it and the audio after it are not cut yet.
    pictures = [tag for tag in cut(tags) if tag.type is flv.TagType.VIDEO]
    assert len(samples["video"]) >= len(pictures) - 7
    for tag, (dts, pts, key, data) in zip(pictures, samples["video"], strict=False):
        assert dts == tag.timestamp_ms * 1000
        assert pts - dts == int.from_bytes(tag.payload[2:5], "big", signed=True) * 1000
        assert (key, data) == (tag.payload[0] >> 4 == 1, tag.payload[5:])
    sounds = [tag for tag in cut(tags) if tag.type is flv.TagType.AUDIO]
    assert len(samples["audio"]) >= len(sounds) - 12
    for tag, (dts, pts, _, data) in zip(sounds, samples["audio"], strict=False):
        assert abs(dts - tag.timestamp_ms * 1000) <= 1_500
        assert pts == dts
        assert data == tag.payload[2:]


@pytest.mark.parametrize(("video", "audio"), [(True, True), (True, False), (False, True)])
def test_it_decodes_without_a_warning(video: bool, audio: bool) -> None:
    """A decoder has nothing to say about the parts joined behind their init segment."""
    data = packaged(encoded(video=video, audio=audio))
    av.logging.set_level(av.logging.WARNING)
    try:
        with Capture() as logged, av.open(io.BytesIO(data), "r", format="mp4") as container:
            decoded = [frame for packet in container.demux() for frame in packet.decode()]
    finally:
        av.logging.set_level(None)

    assert logged == []
    pictures = [frame for frame in decoded if isinstance(frame, av.VideoFrame)]
    assert len(pictures) > 130 if video else not pictures
    assert all((frame.width, frame.height) == (318, 178) for frame in pictures)
    assert [frame.pts for frame in pictures] == sorted(frame.pts or 0 for frame in pictures)


def test_a_single_part_plays_behind_its_init_segment() -> None:
    """Any independent part can be the first that a player loads."""
    made = run(make_segmenter(), messages_of(encoded()))
    init = inits_of(made)[0]
    second = next(part for part in parts_of(made) if part.header.msn == 1)

    with av.open(io.BytesIO(init.body + second.body), "r", format="mp4") as container:
        frames = list(container.decode(video=0))

    assert len(frames) == 6
    assert round(float(frames[0].time or 0) * 1000) >= 2000


def test_the_init_segment_says_what_the_encoder_said() -> None:
    """Codec strings, size after cropping and rates are read from the sequence headers."""
    header = inits_of(run(make_segmenter(), messages_of(encoded())))[0].header

    assert (header.width, header.height, header.frame_rate) == (318, 178, 30.0)
    assert (header.sample_rate, header.channels) == (48_000, 2)
    assert header.codecs.startswith("avc1.")
    assert header.codecs.endswith(",mp4a.40.2")


def test_a_fragment_may_be_empty_of_video_or_of_audio() -> None:
    """Each track is there only with samples; negative composition offsets survive."""
    video = VideoRun(5_000, [40, 40], [-40, 80], [True, False], [b"one", b"four"])
    audio = AudioRun(240_000, [1024, 2000], [b"aac", b"more"])

    only_video, only_audio = fragment(1, video, None), fragment(1, None, audio)
    both = fragment(1, video, audio)

    assert only_video.endswith(b"onefour")
    assert b"\xff\xff\xff\xd8" in only_video
    assert only_audio.endswith(b"aacmore")
    assert (2000).to_bytes(4, "big") in only_audio
    assert both.count(b"traf") == 2
    assert both.endswith(b"onefouraacmore")
