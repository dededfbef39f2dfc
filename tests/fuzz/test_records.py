"""Real codec records, parameter sets, frames and fragments with damage in them: a value or a named error.

Random bytes seldom get past the first field of a record; real ones that are damaged get everywhere.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial

from hypothesis import example, given, settings
from hypothesis import strategies as st

from media import aac, ac3, av1, avc, flac, flv, formats, hevc, mp3, opus, vp9
from media.annexb import ByteStreamError, adts_units, avc_units, hevc_units
from media.av_tags import AvTagError, PacketType, parse_audio, parse_video
from media.codec import AudioCodec, CodecError, VideoCodec
from media.colour import read_colour_info
from media.formats import AudioFormat, VideoFormat, audio_format, video_format
from media.isobmff import BoxError, fragment_of, init_of, read_fragment, read_init, shifted
from media.mpegts import PACKET_SIZE, Muxer, TsError
from media.script import ScriptError, read_numbers
from tests.enhanced_flv import enhanced_tags
from tests.unit.transmux.sources import encoded, inits_of, make_segmenter, messages_of, parts_of, run
from workers.ingest import in_band
from workers.ingest.rtmp import amf0
from workers.transmux.cmaf.init import AudioTrack, VideoTrack, init_segment

ENCODERS = {
    VideoCodec.AVC: "libx264", VideoCodec.HEVC: "libx265", VideoCodec.AV1: "libsvtav1",
    VideoCodec.VP9: "libvpx-vp9", AudioCodec.AAC: "aac", AudioCodec.OPUS: "libopus", AudioCodec.FLAC: "flac",
    AudioCodec.EAC3: "eac3", AudioCodec.AC3: "ac3", AudioCodec.MP3: "libmp3lame",
}  # fmt: skip
Change = tuple[int, int, bytes]
"""Where (modulo the length), how many bytes go, and what comes there."""
CHANGES = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from([0, 0, 1, 2, 4, 1_000]), st.binary(max_size=4)),
    min_size=1,
    max_size=5,
)


def damaged(data: bytes, changes: list[Change]) -> bytes:
    """The bytes with these changes."""
    out = bytearray(data)
    for at, gone, there in changes:
        start = at % (len(out) + 1)
        out[start : start + gone] = there
    return bytes(out)


@cache
def video_seed(kind: VideoCodec) -> tuple[bytes, bytes]:
    """A record, and a key frame."""
    tags = [tag for tag in enhanced_tags(ENCODERS[kind], None, seconds=1) if tag.type is flv.TagType.VIDEO]
    read = [(parse_video(tag.payload), tag.payload) for tag in tags]
    record = next(data[tag.body :] for tag, data in read if tag.packet_type is PacketType.SEQUENCE_HEADER)
    frame = next(data[tag.body :] for tag, data in read if tag.packet_type is PacketType.FRAME)
    return record, frame[:600]


@cache
def audio_seed(kind: AudioCodec, layout: str = "stereo") -> tuple[bytes, bytes]:
    """A record, and a frame."""
    tags = enhanced_tags(None, ENCODERS[kind], seconds=1, layout=layout)
    read = [(parse_audio(tag.payload), tag.payload) for tag in tags if tag.type is flv.TagType.AUDIO]
    frame = next(data[t.body :] for t, data in read if t.packet_type is PacketType.FRAME and t.body < t.end)
    if kind is AudioCodec.MP3:
        return mp3.parse_header(frame).record, frame
    if kind in formats.AC3_SIZES:
        return ac3.parse_frame(frame).record(), frame
    return next(data[t.body :] for t, data in read if t.packet_type is PacketType.SEQUENCE_HEADER), frame


def check_video(found: VideoFormat) -> None:
    """What a packager relies on."""
    assert 0 <= found.width < 1 << 16
    assert 0 <= found.height < 1 << 16
    assert math.isfinite(found.frame_rate)
    assert 0 <= found.frame_rate <= 1_000
    assert found.codec.isascii()
    assert found.codec.startswith((*found.kind, "vp09"))
    assert video_format(found.kind, found.record) == found
    track = VideoTrack(found.kind, found.record, found.width, found.height, found.colour)
    assert [one.entry for one in read_init(init_segment(track, None))] == [found.kind]


def check_audio(found: AudioFormat) -> None:
    """The same of sound."""
    assert 0 < found.sample_rate < 1 << 20
    assert 0 <= found.channels <= 255
    assert 0 < found.shortest <= found.frame_samples
    assert audio_format(found.kind, found.record).codec == found.codec
    track = AudioTrack(
        found.kind, found.record, found.sample_rate, found.channels, found.frame_samples, found.depth
    )
    assert [one.timescale for one in read_init(init_segment(None, track))] == [found.sample_rate]


@settings(max_examples=400, deadline=2_000)
@given(st.sampled_from(VideoCodec), CHANGES)
def test_damaged_video_records(kind: VideoCodec, changes: list[Change]) -> None:
    """Every video codec: refused, or a track that a packager can write."""
    record, frame = video_seed(kind)
    with suppress(CodecError):
        check_video(video_format(kind, damaged(record, changes)))
    known = video_format(kind, record)
    seen = in_band.look(kind, record, known, damaged(frame, changes))
    if seen.header is not None:
        found = formats.read_video_header(seen.header)
        assert found is not None
        check_video(found)


@settings(max_examples=400, deadline=2_000)
@given(st.sampled_from(AudioCodec), st.sampled_from(["stereo", "mono", "quad"]), CHANGES)
def test_damaged_audio_records(kind: AudioCodec, layout: str, changes: list[Change]) -> None:
    """Every audio codec, and how long its frames say that they last."""
    record, frame = audio_seed(kind, layout if kind is AudioCodec.AAC else "stereo")
    with suppress(CodecError):
        found = audio_format(kind, damaged(record, changes))
        check_audio(found)
        if found.samples_of is not None:
            assert found.samples_of(damaged(frame, changes)) > 0
    made = in_band.look_at_audio(kind, None, damaged(frame, changes))
    if made is not None and kind is not AudioCodec.OPUS:
        check_audio(audio_format(kind, made[5:]))


def parameter_sets() -> list[tuple[Callable[[bytes], object], bytes]]:
    """What stands within the records, and who reads it."""
    h264, h265 = (video_seed(kind)[0] for kind in (VideoCodec.AVC, VideoCodec.HEVC))
    sequence = av1.find_sequence_header(video_seed(VideoCodec.AV1)[1])
    assert sequence is not None
    return [
        (avc.parse_sps, avc.parse_config(h264).sps[0]),
        (hevc.parse_sps, hevc.parse_config(h265).sps[0]),
        (av1.parse_sequence_header, sequence),
        (vp9.parse_key_frame, video_seed(VideoCodec.VP9)[1][:30]),
        (aac.parse_config, audio_seed(AudioCodec.AAC, "quad")[0]),
        (opus.packet_samples, audio_seed(AudioCodec.OPUS)[1]),
        (flac.frame_samples, audio_seed(AudioCodec.FLAC)[1][:40]),
        (ac3.parse_frame, audio_seed(AudioCodec.EAC3)[1][:40]),
        (mp3.parse_header, audio_seed(AudioCodec.MP3)[1][:8]),
        (ac3.unit_blocks, audio_seed(AudioCodec.EAC3)[1]),
    ]


@settings(max_examples=400, deadline=2_000)
@given(st.integers(0, 9), CHANGES)
def test_damaged_parameter_sets(which: int, changes: list[Change]) -> None:
    """SPS, sequence header, frame header, program config element: read or refused, and never for long."""
    read, data = parameter_sets()[which]
    with suppress(CodecError):
        read(damaged(data, changes))


COLOUR = amf0.encode("colorInfo") + amf0.encode({
    "colorConfig": {"bitDepth": 10.0, "colorPrimaries": 9.0, "transferCharacteristics": 16.0},
    "hdrMdcv": {"redX": 0.7},
})  # fmt: skip


@settings(max_examples=300, deadline=2_000)
@given(CHANGES)
@example([(237, 1, b"")])  # a code between 0 and 1
def test_damaged_scripts(changes: list[Change]) -> None:
    """colorInfo and onMetaData: codes in a byte, or ScriptError."""
    with suppress(ScriptError):
        _, numbers = read_numbers(damaged(COLOUR, changes))
        assert all(isinstance(value, float) for value in numbers.values())
    with suppress(ScriptError):
        colour = read_colour_info(b"\xd4hvc1" + damaged(COLOUR, changes))
        assert colour is None or all(0 < code < 256 for code in (colour.primaries, colour.transfer))


@cache
def cmaf() -> tuple[bytes, tuple[bytes, ...]]:
    """An init segment and its parts."""
    made = run(make_segmenter(), messages_of(encoded(seconds=3)))
    return inits_of(made)[0].body, tuple(part.body for part in parts_of(made))


@settings(max_examples=250, deadline=4_000)
@given(CHANGES, st.integers(0, 3), st.booleans())
@example([(76, 4, b"\1\0\0\0"), (80, 4, b"\x51\0\0\0")], 3, False)  # many samples, of which nothing is said
def test_damaged_cmaf(changes: list[Change], which: int, head: bool) -> None:
    """An init segment or a fragment: tracks, runs and a transport stream of whole packets, or the named error."""
    init, parts = cmaf()
    tracks = read_init(init)
    if head:
        with suppress(BoxError):
            tracks = read_init(damaged(init, changes))
            init_of(damaged(init, changes), 1)
    part = parts[which] if head else damaged(parts[which], changes)
    for read in (
        partial(read_fragment, part, tracks), partial(fragment_of, part, 1), partial(shifted, part, {1: 900}),
    ):  # fmt: skip
        with suppress(BoxError):
            read()
    with suppress(TsError):
        assert not len(Muxer(tracks).segment([part], 7)) % PACKET_SIZE


@settings(max_examples=200, deadline=2_000)
@given(st.sampled_from([VideoCodec.AVC, VideoCodec.HEVC]), CHANGES, CHANGES)
def test_damaged_byte_streams(kind: VideoCodec, record: list[Change], frame: list[Change]) -> None:
    """Annex B and ADTS out of records and frames that are both damaged."""
    make = avc_units if kind is VideoCodec.AVC else hevc_units
    good, picture = video_seed(kind)
    with suppress(ByteStreamError):
        b"".join(make(damaged(good, record))(damaged(picture, frame), True))
    good, sound = audio_seed(AudioCodec.AAC, "quad")
    with suppress(ByteStreamError):
        pieces = adts_units(damaged(good, record))(damaged(sound, frame), True)
        size = sum(map(len, pieces))
        assert (pieces[0][3] & 3) << 11 | pieces[0][4] << 3 | pieces[0][5] >> 5 == size


@settings(max_examples=300, deadline=2_000)
@given(st.sampled_from([*VideoCodec, *AudioCodec]), CHANGES)
def test_damaged_tags(kind: VideoCodec | AudioCodec, changes: list[Change]) -> None:
    """Headers of tags, classic and enhanced: what is read of them lies within them."""
    video = isinstance(kind, VideoCodec)
    tags = enhanced_tags(ENCODERS[kind] if video else None, None if video else ENCODERS[kind], seconds=1)
    for tag in tags[1:6]:
        payload = damaged(tag.payload[:80], changes)
        with suppress(AvTagError, CodecError):
            read = (parse_video if video else parse_audio)(payload)
            assert 0 < read.body <= read.end <= len(payload)
            (formats.read_video_header if video else formats.read_audio_header)(payload)
