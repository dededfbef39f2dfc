"""Codec headers to tracks."""

import pytest

from media import flv
from media.codec import CodecError
from tests.unit.transmux.sources import AAC_HEADER, AVC_HEADER
from workers.transmux.tracks import Tracks, from_init, read_headers

METADATA = (
    b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x02\x00\x09framerate\x00\x40\x3e\x00\x00\x00\x00\x00\x00"
    b"\x00\x0dvideodatarate\x00\x40\x9f\x40\x00\x00\x00\x00\x00\x00\x00\x09"
)


def read(*tags: tuple[int, bytes], before: Tracks | None = None) -> Tracks:
    """The tracks that these tags make of none."""
    return read_headers(((kind, memoryview(data)) for kind, data in tags), before or Tracks())


def test_headers_and_metadata_become_an_init_header() -> None:
    """What a multivariant playlist says comes from the records, the bandwidth from the metadata."""
    tracks = read((18, METADATA), (9, AVC_HEADER), (8, AAC_HEADER))

    header = tracks.header(init=3, epoch=5, generation=1, name="00" * 8)

    assert header.codecs == "avc1.4d400d,mp4a.40.2"
    assert (header.width, header.height, header.frame_rate, header.bandwidth) == (318, 178, 30.0, 2_000_000)
    assert from_init(header).same_as(tracks)
    assert from_init(header).timescale == 1000


def test_audio_alone_counts_in_samples() -> None:
    """The leading track's clock is the sample rate."""
    tracks = read((8, AAC_HEADER))

    assert tracks.timescale == 48_000
    assert b"mp4a" in tracks.init_segment()
    assert b"avc1" not in tracks.init_segment()


def test_a_header_that_cannot_be_read_leaves_its_track_out() -> None:
    """The other track is still packaged."""
    tracks = read((9, AVC_HEADER[:9]), (8, AAC_HEADER), (18, b"\x02\xff"), (9, b""))

    assert tracks.video is None
    assert tracks.audio is not None


def test_parameter_sets_beyond_our_parser_are_carried() -> None:
    """A decoder may know more of an SPS than we do: the picture has then no size in the playlist."""
    config = bytearray(AVC_HEADER)
    config[17:25] = bytes(8)

    tracks = read((flv.TagType.VIDEO, bytes(config)))

    assert tracks.video is not None
    assert tracks.size == (0, 0)
    assert b"avc1" in tracks.init_segment()


def test_a_stored_record_that_is_broken_is_named() -> None:
    """A successor must not go on with what it cannot read."""
    header = read((9, AVC_HEADER)).header(init=1, epoch=1, generation=0, name="00" * 8)
    broken = type(header)(
        **{name: getattr(header, name) for name in header.__slots__} | {"video_record": b"x"}
    )

    with pytest.raises(CodecError):
        from_init(broken)
