"""Codec headers: written, read back, described."""

import pytest

from bus_schemas.tags import TagFlags, TagFormatError, TagHeader
from tests.unit.ingest.rtmp_client import AAC_HEADER, AVC_HEADER
from workers.ingest.headers import CodecHeaders, read_header_message

OWN = TagHeader(TagFlags.HEADER, 2, 0, 7, 40, 1)


def test_a_header_message_reads_back() -> None:
    """Generation, epoch and the very bytes of the sequence headers."""
    headers = CodecHeaders(AVC_HEADER, AAC_HEADER)

    assert read_header_message(OWN.pack() + headers.tags(40, {"width": 160.0})) == (OWN, headers)


def test_a_message_without_headers_is_none() -> None:
    """Metadata alone is no codec header."""
    with pytest.raises(TagFormatError):
        read_header_message(OWN.pack() + CodecHeaders().tags(0, {}))


def test_headers_are_described() -> None:
    """By the field names of the metadata event."""
    assert CodecHeaders(AVC_HEADER, AAC_HEADER).describe() == {
        "video_codec": "avc1.42c00b", "width": 160, "height": 120, "fps": 25.0,
        "audio_codec": "mp4a.40.2", "sample_rate": 44_100, "channels": 2,
    }  # fmt: skip


def test_unreadable_headers_say_only_their_family() -> None:
    """They are passed on; a decoder may know better."""
    assert CodecHeaders(AVC_HEADER[:8], AAC_HEADER[:2]).describe() == {
        "video_codec": "avc1",
        "audio_codec": "mp4a",
    }
