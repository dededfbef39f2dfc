"""The first bytes of audio and video tags, classic and enhanced."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from media.av_tags import (
    AvTagError,
    FrameType,
    PacketType,
    audio_header,
    is_codec_header,
    parse_audio,
    parse_video,
    plain_audio,
    plain_video,
    video_header,
)
from media.codec import AudioCodec, VideoCodec


def plain_v(payload: bytes) -> bytes:
    """A video payload in its plain form."""
    return plain_video(payload, parse_video(payload))


def plain_a(payload: bytes) -> bytes:
    """An audio payload in its plain form."""
    return plain_audio(payload, parse_audio(payload))


@pytest.mark.parametrize(
    ("composition", "stamped"), [(0, 0), (80, 80), (0xFFFFFF, -1), (0x800000, -8_388_608), (0x7FFFFF, 8_388_607)]
)  # fmt: skip
@pytest.mark.parametrize("head", [b"\x27\x01", b"\xa1hvc1", b"\xa1avc1"])
def test_composition_time_is_signed(head: bytes, composition: int, stamped: int) -> None:
    """24 bits, two's complement."""
    tag = parse_video(head + composition.to_bytes(3, "big") + b"nal")

    assert (tag.composition_ms, tag.frame_type, tag.packet_type) == (
        stamped,
        FrameType.INTER,
        PacketType.FRAME,
    )
    assert tag.end - tag.body == 3


@pytest.mark.parametrize(
    ("payload", "plain"),
    [
        (b"\x17\x01\0\0\x28nal", b"\x17\x01\0\0\x28nal"),
        (b"\x91avc1\0\0\x28nal", b"\x17\x01\0\0\x28nal"),
        (b"\x93avc1nal", b"\x17\x01\0\0\0nal"),
        (b"\x90avc1record", b"\x17\x00\0\0\0record"),
        (b"\x1c\x01\0\0\x28nal", b"\x91hvc1\0\0\x28nal"),
        (b"\x2c\x01\xff\xff\xffnal", b"\xa1hvc1\xff\xff\xffnal"),
        (b"\x1c\x00\0\0\0record", b"\x90hvc1record"),
        (b"\x91hvc1\0\0\x28nal", b"\x91hvc1\0\0\x28nal"),
        (b"\x93hvc1nal", b"\x93hvc1nal"),
        (b"\xa1av01obu", b"\xa1av01obu"),
        (b"\xa3av01obu", b"\xa1av01obu"),
        (b"\xd4vp09info", b"\xd4vp09info"),
    ],
    ids=lambda value: value[:6].hex(),
)
def test_every_way_to_say_it_has_one_plain_form(payload: bytes, plain: bytes) -> None:
    """H.264 in classic tags, the rest behind its FourCC; what is plain already is not copied."""
    made = plain_v(payload)

    assert made == plain
    assert (made is payload) == (payload == plain) == parse_video(payload).plain
    assert parse_video(made).plain


@pytest.mark.parametrize(
    ("payload", "plain"),
    [
        (b"\xaf\x01raw", b"\xaf\x01raw"),
        (b"\x91mp4araw", b"\xaf\x01raw"),
        (b"\x90mp4a\x11\x90", b"\xaf\x00\x11\x90"),
        (b"\x91Opusraw", b"\x91Opusraw"),
        (b"\x90Opushead", b"\x90Opushead"),
        (b"\x94Opus\x01\x02\0\0\0\x03", b"\x94Opus\x01\x02\0\0\0\x03"),
    ],
)
def test_sound_has_one_plain_form_too(payload: bytes, plain: bytes) -> None:
    """AAC in classic tags, the rest behind its FourCC."""
    assert plain_a(payload) == plain
    assert parse_audio(plain).plain


MOD_EX = b"\x97\x02\x00\x30\x39"  # three bytes: 12,345 ns, type 0


def test_modifiers_are_taken_off_and_their_nanoseconds_are_told() -> None:
    """ModEx in front of a frame, once, twice, or with a size of 16 bits."""
    once = MOD_EX + b"\x01hvc1\0\0\x05nal"
    twice = b"\x97\x00\xff\x17" + MOD_EX[1:] + b"\x01hvc1\0\0\x05nal"
    long = b"\x97\xff\x01\x2b" + bytes(300) + b"\x13hvc1nal"
    sound = MOD_EX + b"\x01Opusraw"

    assert [parse_video(payload).nano_offset for payload in (once, twice, long)] == [12_345, 12_345, 0]
    assert [plain_v(payload) for payload in (once, twice, long)] == [
        b"\x91hvc1\0\0\x05nal", b"\x91hvc1\0\0\x05nal", b"\x91hvc1\0\0\0nal",
    ]  # fmt: skip
    assert (parse_audio(sound).nano_offset, plain_a(sound)) == (12_345, b"\x91Opusraw")


def sized(body: bytes) -> bytes:
    """A track's body behind its 24-bit size."""
    return len(body).to_bytes(3, "big") + body


@pytest.mark.parametrize(
    ("payload", "plain", "others"),
    [
        (b"\x96\x01hvc1\x00\0\0\x05nal", b"\x91hvc1\0\0\x05nal", 0),
        (b"\x96\x11av01\x00" + sized(b"first") + b"\x01" + sized(b"second"), b"\x91av01first", 1),
        (b"\x96\x11av01\x02" + sized(b"second") + b"\x00" + sized(b"first"), b"\x91av01first", 1),
        (b"\x96\x21hvc1\x01" + sized(b"\0\0\0x") + b"avc1\x00" + sized(b"\0\0\x07nal"),
         b"\x17\x01\0\0\x07nal", 1),
        (b"\x97\x02\0\0\1\x06\x01hvc1\x00\0\0\x05nal", b"\x91hvc1\0\0\x05nal", 0),
    ],
)  # fmt: skip
def test_the_default_track_is_taken_out_of_a_multitrack_packet(
    payload: bytes, plain: bytes, others: int
) -> None:
    """One track, many tracks of one codec, many of many, and behind a modifier."""
    tag = parse_video(payload)

    assert (tag.track, tag.other_tracks) == (0, others)
    assert plain_v(payload) == plain


def test_a_packet_of_another_track_says_so() -> None:
    """Whose it is, is the reader's to decide."""
    assert parse_video(b"\x96\x01hvc1\x03\0\0\x05nal").track == 3
    assert parse_audio(b"\x95\x01Opus\x01raw").track == 1
    assert parse_audio(b"\x95\x11Opus\x01" + sized(b"a") + b"\x00" + sized(b"b")).other_tracks == 1


def test_codecs_that_are_not_carried_are_named() -> None:
    """So that a publisher can be told what he sent."""
    assert [parse_video(payload).name for payload in (b"\x22abc", b"\x91vvc1abc", b"\x91\0\xffc1")] == [
        "codec 2", "vvc1", "??c1",
    ]  # fmt: skip
    assert [parse_audio(payload).name for payload in (b"\xb6abc", b"\x91.mp3x")] == ["codec 11", ".mp3"]
    assert parse_video(b"\x91vvc1abc").codec is None


def test_headers_and_commands_are_known() -> None:
    """A command frame has no packet type, but colour information travels in one."""
    assert parse_video(b"\x17\x00\0\0\0x").packet_type is PacketType.SEQUENCE_HEADER
    assert parse_audio(b"\xaf\x00\x12\x10").packet_type is PacketType.SEQUENCE_HEADER
    assert parse_video(b"\xa2hvc1").packet_type is PacketType.END_OF_SEQUENCE
    assert parse_video(b"\x57\x00").codec is None
    assert parse_video(b"\xd1\x00").codec is None
    assert parse_video(b"\xd4hvc1amf").packet_type is PacketType.METADATA
    assert parse_audio(b"\x94fLaC\x01\x02\0\0\0\x03").packet_type is PacketType.METADATA


@pytest.mark.parametrize("codec", list(VideoCodec))
def test_a_video_header_reads_back(codec: VideoCodec) -> None:
    """In the plain form of its codec."""
    payload = video_header(codec, b"record")
    tag = parse_video(payload)

    assert (tag.codec, tag.packet_type, tag.plain) == (codec, PacketType.SEQUENCE_HEADER, True)
    assert payload[tag.body :] == b"record"
    assert is_codec_header(payload, video=True)


@pytest.mark.parametrize("codec", list(AudioCodec))
def test_an_audio_header_reads_back(codec: AudioCodec) -> None:
    """In the plain form of its codec."""
    payload = audio_header(codec, b"record")
    tag = parse_audio(payload)

    assert (tag.codec, tag.packet_type, tag.plain) == (codec, PacketType.SEQUENCE_HEADER, True)
    assert payload[tag.body :] == b"record"
    assert is_codec_header(payload, video=False)


@pytest.mark.parametrize(
    ("payload", "video"),
    [
        (b"\x17\x01\0\0\0x", True),
        (b"\xaf\x01", False),
        (b"\x91hvc1", True),
        (b"\x91Opus", False),
        (b"", True),
    ],
)
def test_frames_are_no_headers(payload: bytes, video: bool) -> None:
    """What is no header ends the headers in front of a stream."""
    assert not is_codec_header(payload, video=video)


@pytest.mark.parametrize(
    "broken",
    [
        b"", b"\x17", b"\x17\x01\0\0", b"\x91hvc", b"\x91hvc1\0\0", b"\x97", b"\x97\x02\0\0", b"\x97\xff\xff\xff",
        b"\x96", b"\x96\x01hvc", b"\x96\x01hvc1", b"\x96\x11av01\x00\0\0\x09abc", b"\x96\x06hvc1\0",
        b"\x96\x31hvc1\0", b"\x97\x00\x00\x07" * 20,
    ],
)  # fmt: skip
def test_a_video_tag_that_is_cut_off_or_absurd_is_named(broken: bytes) -> None:
    """AvTagError, not an index out of range."""
    with pytest.raises(AvTagError):
        parse_video(broken)


@pytest.mark.parametrize(
    "broken", [b"", b"\xaf", b"\x91Opu", b"\x95\x01Opus", b"\x97\x02\0\0", b"\x95\x51Opus"]
)
def test_an_audio_tag_that_is_cut_off_or_absurd_is_named(broken: bytes) -> None:
    """AvTagError, not an index out of range."""
    with pytest.raises(AvTagError):
        parse_audio(broken)


HEADS = st.sampled_from(
    [b"", b"\x91", b"\x96\x01", b"\x96\x11av01", b"\x96\x21", b"\x97\x02", b"\x95\x21", b"\x1c"]
)


@given(HEADS, st.binary(max_size=40))
@example(b"\x1c\x00", b"\x00\x00\x01")
def test_any_bytes_are_a_value_or_a_named_error(head: bytes, rest: bytes) -> None:
    """The body lies within the payload, and the plain form says the same."""
    payload = head + rest
    with suppress(AvTagError):
        video = parse_video(payload)
        assert 0 < video.body <= video.end <= len(payload)
        again = parse_video(plain_video(payload, video))
        assert (again.codec, again.packet_type, again.composition_ms, again.end - again.body) == (
            video.codec, video.packet_type, video.composition_ms, video.end - video.body,
        ) or video.codec is None or video.packet_type is PacketType.OTHER  # fmt: skip
    with suppress(AvTagError):
        audio = parse_audio(payload)
        assert 0 < audio.body <= audio.end <= len(payload)
        assert parse_audio(plain_audio(payload, audio)).codec is audio.codec
