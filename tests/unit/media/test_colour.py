"""Colour descriptions, wherever a stream has them."""

from fractions import Fraction
from typing import Any

import av
import pytest

from media import av1, avc, hevc, vp9
from media.codec import VideoCodec
from media.colour import NOTHING_KNOWN, Colour, read_colour_info
from media.formats import video_format
from media.script import ScriptError
from tests.ordinary_priority import ordinary_priority
from workers.ingest.rtmp import amf0

HLG = Colour(9, 18, 9)
PQ = Colour(9, 16, 9)
BT709 = Colour(1, 1, 1)
OPTIONS = {
    "libx264": {"preset": "ultrafast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=1"},
    "libsvtav1": {"preset": "12", "svtav1-params": "lp=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}
HEAD = b"\xd4hvc1"


@ordinary_priority()
def key_frame(encoder: str, colour: Colour, *, full: bool = False) -> bytes:
    """One picture by this encoder, its parameter sets in it, told to be of that colour."""
    context: Any = av.CodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt = 320, 180, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = {
        **OPTIONS[encoder], "color_primaries": str(colour.primaries), "color_trc": str(colour.transfer),
        "colorspace": str(colour.matrix), "color_range": "pc" if full else "tv",
    }  # fmt: skip
    frame = av.VideoFrame(320, 180, "yuv420p")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))


def unit(frame: bytes, kind: int, of: Any) -> bytes:
    """The NAL unit of a kind in an Annex B frame."""
    return next(nal.rstrip(b"\0") for nal in frame.split(b"\0\0\1")[1:] if of(nal) == kind)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("colour", [BT709, HLG, PQ])
def test_parameter_sets_tell_the_colour(colour: Colour, full: bool) -> None:
    """H.264's and H.265's VUI, AV1's sequence header."""
    expected = Colour(colour.primaries, colour.transfer, colour.matrix, full)

    h264 = unit(key_frame("libx264", colour, full=full), avc.NAL_SPS, lambda nal: nal[0] & 0x1F)
    h265 = unit(key_frame("libx265", colour, full=full), hevc.NAL_SPS, hevc.nal_kind)
    sequence = av1.find_sequence_header(key_frame("libsvtav1", colour, full=full))

    assert avc.parse_sps(h264).colour == expected
    assert avc.parse_sps(h264).frame_rate == 25.0
    assert hevc.parse_sps(h265).colour == expected
    assert hevc.parse_sps(h265).frame_rate == 25.0
    assert sequence is not None
    assert video_format(VideoCodec.AV1, av1.build_config(sequence)).colour == expected


def test_a_vp9_frame_tells_the_matrix_alone() -> None:
    """Its header has no more; a record says what its muxer knew."""
    config = vp9.parse_key_frame(key_frame("libvpx-vp9", BT709)).config()

    assert video_format(VideoCodec.VP9, config.record()).colour == Colour(2, 2, 1)
    assert video_format(VideoCodec.VP9, bytes((2, 31, 0xA2, 9, 16, 9, 0, 0))).colour == PQ


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_a_stream_that_says_nothing(encoder: str) -> None:
    """Nothing is made up."""
    frame = key_frame(encoder, NOTHING_KNOWN)
    sps = unit(frame, avc.NAL_SPS, lambda nal: nal[0] & 0x1F) if encoder == "libx264" else b""
    found = avc.parse_sps(sps) if sps else hevc.parse_sps(unit(frame, hevc.NAL_SPS, hevc.nal_kind))

    assert not found.colour.is_known


def test_colour_information_of_enhanced_rtmp() -> None:
    """As OBS sends it: an object within an object, mastering display beside it."""
    codes = {
        "bitDepth": 10.0,
        "colorPrimaries": 9.0,
        "transferCharacteristics": 16.0,
        "matrixCoefficients": 9.0,
    }
    display = {"redX": 0.7, "redY": 0.29, "maxLuminance": 1000.0}
    body = {"hdrMdcv": display, "colorConfig": codes, "hdrCll": {"maxFall": 100.0, "maxCLL": 900.0}}

    assert read_colour_info(HEAD + amf0.encode("colorInfo") + amf0.encode(body)) == PQ
    assert read_colour_info(memoryview(HEAD + amf0.encode("colorInfo") + amf0.encode_ecma_array(body))) == PQ


@pytest.mark.parametrize(
    "body",
    [
        amf0.encode("colorInfo"),
        amf0.encode("colorInfo") + amf0.encode({"colorConfig": {"bitDepth": 10.0}}),
        amf0.encode("colorInfo")
        + amf0.encode({"colorConfig": {"colorPrimaries": 2.0, "transferCharacteristics": 999.0}}),
        amf0.encode("colorInfo") + amf0.encode({"colorConfig": {"colorPrimaries": float("nan")}}),
        amf0.encode("other") + amf0.encode({"colorConfig": {"colorPrimaries": 9.0}}),
    ],
)
def test_information_that_tells_nothing(body: bytes) -> None:
    """Without codes, with codes out of range, by another name."""
    assert read_colour_info(HEAD + body) is None


def test_information_that_cannot_be_read() -> None:
    """It is cut off within its name."""
    with pytest.raises(ScriptError):
        read_colour_info(HEAD + amf0.encode("colorInfo")[:6])


def test_what_stands_beside_the_stream_goes_before_what_stands_in_it() -> None:
    """But not where it says nothing."""
    assert BT709.overridden(PQ) == PQ
    assert BT709.overridden(Colour(2, 16, 2)) == Colour(1, 16, 1)
    assert BT709.overridden(None) == BT709
    assert Colour(1, 1, 1, True).overridden(PQ).full_range
