"""The first bytes of audio and video tags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.av_tags import AvTagError, FrameType, PacketType, parse_audio, parse_video


@pytest.mark.parametrize(
    ("composition", "stamped"), [(0, 0), (80, 80), (0xFFFFFF, -1), (0x800000, -8_388_608), (0x7FFFFF, 8_388_607)]
)  # fmt: skip
def test_composition_time_is_signed(composition: int, stamped: int) -> None:
    """24 bits, two's complement."""
    tag = parse_video(b"\x27\x01" + composition.to_bytes(3, "big") + b"nal")

    assert (tag.composition_ms, tag.frame_type, tag.packet_type) == (
        stamped,
        FrameType.INTER,
        PacketType.FRAME,
    )
    assert tag.is_avc
    assert tag.body == 5


def test_other_codecs_and_enhanced_tags_are_told_apart() -> None:
    """A reader that carries only H.264 and AAC can say what it was given."""
    hevc = parse_video(b"\x91hvc1\0\0\0")
    sorenson = parse_video(b"\x22abc")
    speex = parse_audio(b"\xb6abc")

    assert (hevc.enhanced, hevc.codec.to_bytes(4, "big"), hevc.frame_type) == (True, b"hvc1", FrameType.KEY)
    assert not hevc.is_avc
    assert (sorenson.is_avc, sorenson.codec) == (False, 2)
    assert (speex.is_aac, speex.codec) == (False, 11)


def test_sequence_headers_and_commands_are_known() -> None:
    """AVC and AAC sequence headers; a command frame has no packet type."""
    assert parse_video(b"\x17\x00\0\0\0x").packet_type == PacketType.SEQUENCE_HEADER
    assert parse_audio(b"\xaf\x00\x12\x10").packet_type == PacketType.SEQUENCE_HEADER
    assert parse_audio(b"\xaf\x01x").is_aac
    assert parse_video(b"\x57\x00").frame_type == FrameType.COMMAND


@pytest.mark.parametrize("broken", [b"", b"\x17", b"\x17\x01\0\0", b"\x91hvc"])
def test_a_video_tag_too_short_for_its_header_is_named(broken: bytes) -> None:
    """AvTagError, not an index out of range."""
    with pytest.raises(AvTagError):
        parse_video(broken)


@pytest.mark.parametrize("broken", [b"", b"\xaf"])
def test_an_audio_tag_too_short_for_its_header_is_named(broken: bytes) -> None:
    """AvTagError, not an index out of range."""
    with pytest.raises(AvTagError):
        parse_audio(broken)


@given(st.binary(max_size=12))
def test_any_bytes_are_a_value_or_a_named_error(data: bytes) -> None:
    """The body lies within the payload."""
    for parse in (parse_video, parse_audio):
        try:
            assert parse(data).body <= len(data)
        except AvTagError:
            assert len(data) < 5
