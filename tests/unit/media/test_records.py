"""Codec records of HEVC, AV1, VP9, Opus, FLAC and AC-3: what encoders write is read, and written alike."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media import ac3, av1, avc, flac, formats, hevc, opus, vp9
from media.av_tags import AvTagError, PacketType, parse_audio, parse_video
from media.codec import AudioCodec, CodecError, VideoCodec
from media.flv import TagType
from media.formats import audio_format, video_format
from tests.enhanced_flv import bodies, enhanced_tags


def video_of(encoder: str, **more: object) -> tuple[bytes, bytes]:
    """The codec record an encoder writes, and the bytes of its first key frame."""
    payloads = bodies(enhanced_tags(encoder, None, seconds=1, **more), TagType.VIDEO)
    frame = next(p for p in payloads if parse_video(p).packet_type is PacketType.FRAME)
    return payloads[0][parse_video(payloads[0]).body :], frame[parse_video(frame).body :]


def audio_of(encoder: str, **more: object) -> tuple[bytes, list[bytes]]:
    """The codec record an encoder writes, and its frames."""
    payloads = bodies(enhanced_tags(None, encoder, seconds=1, **more), TagType.AUDIO)
    frames = [p for p in payloads if parse_audio(p).packet_type is PacketType.FRAME]
    return payloads[0][5:], [frame[5:] for frame in frames if frame[5:]]


@pytest.mark.parametrize(
    ("kind", "encoder", "pixels", "size", "codec", "rate"),
    [
        (VideoCodec.HEVC, "libx265", "yuv420p", (322, 182), "hvc1.1.6.L60.90", 25.0),
        (VideoCodec.HEVC, "libx265", "yuv420p10le", (1280, 720), "hvc1.2.4.L93.90", 25.0),
        (VideoCodec.HEVC, "libx265", "yuv422p", (320, 182), "hvc1.4.10.L60.9D.8", 25.0),
        (VideoCodec.HEVC, "libx265", "yuv444p", (323, 181), "hvc1.4.10.L60.9E.8", 25.0),
        (VideoCodec.AV1, "libsvtav1", "yuv420p", (322, 182), "av01.0.00M.08", 0.0),
        (VideoCodec.AV1, "libsvtav1", "yuv420p10le", (1280, 720), "av01.0.05M.10", 0.0),
        (VideoCodec.VP9, "libvpx-vp9", "yuv420p", (0, 0), "vp09.00.11.08", 0.0),
        (VideoCodec.VP9, "libvpx-vp9", "yuv444p", (0, 0), "vp09.01.11.08.03.02.02.02.00", 0.0),
        (VideoCodec.AVC, "libx264", "yuv420p", (322, 182), "avc1.4d400d", 25.0),
    ],
)
def test_an_encoders_record_is_read(
    kind: VideoCodec, encoder: str, pixels: str, size: tuple[int, int], codec: str, rate: float
) -> None:
    """Codec string, size as shown, frame rate where the record has it."""
    width, height = size if size[0] else (322, 182)
    record, _ = video_of(encoder, pixels=pixels, width=width, height=height)

    found = video_format(kind, record)

    assert (found.codec, (found.width, found.height), found.frame_rate) == (codec, size, rate)


def test_an_hevc_record_is_made_of_parameter_sets() -> None:
    """And says the same as the encoder's own."""
    theirs = hevc.parse_config(video_of("libx265")[0])

    made = hevc.build_config(theirs.vps[0], theirs.sps[0], theirs.pps[0])

    assert hevc.parse_config(made) == theirs
    assert [hevc.nal_kind(nal) for nal in (*theirs.vps, *theirs.sps, *theirs.pps)] == [32, 33, 34]


def test_an_avc_record_is_made_of_parameter_sets() -> None:
    """High profiles say chroma and depth behind them."""
    theirs = avc.parse_config(video_of("libx264")[0])
    high = bytes.fromhex("6764001facd9405005bb011000000300100000030320f1831960")

    assert avc.parse_config(avc.build_config(theirs.sps[0], theirs.pps[0])) == theirs
    assert avc.build_config(high, b"\x68\xeb").endswith(b"\x00\x02\x68\xeb\xfd\xf8\xf8\x00")


def test_an_av1_record_is_made_of_a_frames_sequence_header() -> None:
    """The same fixed part, and the header itself behind it."""
    record, frame = video_of("libsvtav1")
    sequence = av1.find_sequence_header(frame)
    assert sequence is not None

    made = av1.build_config(sequence)

    assert made[:4] == record[:4]
    assert av1.parse_config(made).codec == av1.parse_config(record).codec
    assert av1.find_sequence_header(b"\x12\x00" + frame) == sequence
    assert av1.find_sequence_header(b"\x12\x00") is None


def test_a_vp9_key_frame_tells_its_size_and_its_record() -> None:
    """The record fits the one that the encoder wrote."""
    record, frame = video_of("libvpx-vp9")

    key = vp9.parse_key_frame(frame)

    assert (key.width, key.height) == (322, 182)
    assert key.config().codec == vp9.parse_config(record).codec
    assert vp9.parse_config(key.config().record()) == key.config()
    # RGB without all its chroma is what a muxer writes that does not know.
    assert vp9.parse_config(bytes((0, 11, 0x82, 2, 2, 0, 0, 0))).codec == "vp09.00.11.08"
    # With the version and flags of its box, or without.
    assert vp9.parse_config(record) == vp9.parse_config(record[4:])


def test_an_opus_header_reads_both_ways() -> None:
    """As Ogg has it and as MP4 has it, with a mapping of channels and without."""
    record, frames = audio_of("libopus")
    head = opus.parse_head(record)
    surround = opus.OpusConfig(6, 312, 48_000, -256, 1, b"\x04\x02\x00\x04\x01\x02\x03\x05")

    assert (head.channels, head.pre_skip, head.input_rate) == (2, 312, 48_000)
    for config in (head, surround):
        assert opus.parse_box(config.box()) == config
        assert opus.parse_head(config.head()) == config
    assert {opus.packet_samples(frame) for frame in frames} == {960}


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        (b"\xe0", 120), (b"\xf8\1", 960), (b"\xf9\1", 1_920), (b"\xfb\x03", 2_880), (b"\x1b\x02", 5_760),
        (b"\x00", 480), (b"\x18", 2_880), (b"\x63\x01", 480), (b"\x6b\x01", 960), (b"", 960), (b"\xfb", 960),
        (b"\x1b\x3f", 960),
    ],
)  # fmt: skip
def test_an_opus_packet_says_how_long_it_lasts(packet: bytes, samples: int) -> None:
    """RFC 6716, 3.1; where it contradicts itself, 20 ms."""
    assert opus.packet_samples(packet) == samples


def test_flac_is_read_in_any_wrapping() -> None:
    """Bare, as a metadata block, behind the marker."""
    record, frames = audio_of("flac")
    config = flac.parse_config(record)

    assert (config.sample_rate, config.channels, config.depth, config.block_samples) == (48_000, 2, 16, 4_608)
    assert flac.parse_config(config.box()) == config
    assert flac.parse_config(b"fLaC" + config.box()) == config
    assert {flac.frame_samples(frame) for frame in frames[:-1]} == {4_608}


@pytest.mark.parametrize(
    ("head", "samples"),
    [
        (b"\xff\xf8\x19\x18\x00\xaa", 192), (b"\xff\xf8\x59\x18\x00\xaa", 4_608), (b"\xff\xf9\xc9\x18\x00\xaa", 4_096),
        (b"\xff\xf8\x69\x18\x05\x0f", 16), (b"\xff\xf8\x79\x18\xc4\x80\x03\xe7", 1_000),
        (b"\xff\xf8\x09\x18\x00\xaa", 0), (b"\xff\xf8\x79\x18\x80\x80\x03\xe7", 0), (b"abcdefgh", 0), (b"", 0),
    ],
)  # fmt: skip
def test_a_flac_frame_says_how_many_samples_it_holds(head: bytes, samples: int) -> None:
    """RFC 9639, 9.1.1, the sizes behind a coded number too."""
    assert flac.frame_samples(head) == samples


@pytest.mark.parametrize(
    ("encoder", "layout", "channels", "record"),
    [
        ("ac3", "stereo", 2, "101140"),
        ("ac3", "5.1", 6, "103de0"),
        ("eac3", "stereo", 2, "0600200400"),
        ("eac3", "5.1", 6, "0e00200f00"),
    ],
)
def test_an_ac3_record_is_made_of_a_syncframe(encoder: str, layout: str, channels: int, record: str) -> None:
    """The very bytes that libavformat's MP4 muxer writes for the same sound."""
    _, frames = audio_of(encoder, layout=layout)
    enhanced = encoder == "eac3"

    config = ac3.parse_frame(frames[0])

    assert config.record().hex() == record
    assert ac3.parse_record(config.record(), enhanced=enhanced) == config
    assert (config.sample_rate, config.channels) == (48_000, channels)
    kind = AudioCodec.EAC3 if enhanced else AudioCodec.AC3
    samples_of = audio_format(kind, config.record()).samples_of
    assert (samples_of is None) is not enhanced
    assert samples_of is None or samples_of(frames[0]) == 1_536


def test_the_codec_strings_of_unusual_pictures_are_long() -> None:
    """Colour and sampling other than the usual ones are spelled out."""
    bt2020 = vp9.Vp9Config(2, 31, 10, 1, False, (9, 16, 9))
    sequence = av1.SequenceHeader(0, 8, True, 10, False, (True, True), 1, (9, 16, 9, False), 3840, 2160, 50.0)

    assert bt2020.codec == "vp09.02.31.10.01.09.16.09.00"
    assert sequence.codec == "av01.0.08H.10.0.111.09.16.09.0"


PARSERS: list[Callable[[bytes], object]] = [
    *(partial(video_format, kind) for kind in VideoCodec),
    *(partial(audio_format, kind) for kind in AudioCodec),
    formats.read_video_header, formats.read_audio_header,
    hevc.parse_config, hevc.parse_sps, av1.parse_sequence_header, av1.find_sequence_header,
    vp9.parse_key_frame, opus.parse_head, opus.parse_box, opus.packet_samples,
    flac.parse_config, flac.frame_samples, ac3.parse_frame, ac3.unit_samples, ac3.unit_blocks,
]  # fmt: skip
STARTS = st.sampled_from(
    [b"", b"\x01" * 21 + b"\x03\x01", b"\x42\x01\x01", b"\x81\x00\x0c\x00\x0a\x0b", b"\x0a\x0b\x00\x00",
     b"\x82\x49\x83\x42", b"OpusHead\x01", b"fLaC\0\0\0\x22", b"\x0b\x77", b"\x0b\x77\0\0\0\x80",
     b"\xff\xf8\x79\x18", b"\x90hvc1", b"\x90av01", b"\x90vp09", b"\x90Opus"]
)  # fmt: skip


@given(STARTS, st.binary(max_size=120))
def test_any_bytes_are_a_value_or_a_named_error(start: bytes, rest: bytes) -> None:
    """The law of every parser of records and of frames."""
    for parse in PARSERS:
        with suppress(CodecError, AvTagError):
            parse(start + rest)


@pytest.mark.parametrize("encoder", ["libx265", "libsvtav1", "libvpx-vp9"])
def test_a_record_cut_anywhere_is_refused_or_says_the_same(encoder: str) -> None:
    """A picture is only given if all of it was there."""
    kind = {"libx265": VideoCodec.HEVC, "libsvtav1": VideoCodec.AV1, "libvpx-vp9": VideoCodec.VP9}[encoder]
    record, _ = video_of(encoder)
    whole = video_format(kind, record)
    for size in range(min(len(record), 200)):
        try:
            found = video_format(kind, record[:size])
        except CodecError:
            continue
        assert found.codec == whole.codec
