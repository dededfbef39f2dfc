"""H.264 codec records."""

from contextlib import suppress
from fractions import Fraction

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media import avc

# 1920 by 1080 at 30 fps, by x264.
SPS = bytes.fromhex("6742c028da01e0089f9610000003001000000303c0f1832a")
PPS = bytes.fromhex("68ce0fc8")


def record(sps: bytes = SPS, pps: bytes = PPS, length_size: int = 4) -> bytes:
    """An AVCDecoderConfigurationRecord."""
    head = bytes((1, sps[1], sps[2], sps[3], 0xFC | length_size - 1, 0xE1))
    return head + len(sps).to_bytes(2, "big") + sps + b"\x01" + len(pps).to_bytes(2, "big") + pps


def encoded_sps(width: int, height: int, fps: Fraction, profile: str, pixels: str, more: str) -> bytes:
    """What x264 writes for this picture."""
    context = av.VideoCodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = width, height, pixels
    context.time_base, context.framerate = 1 / fps, fps
    context.options = {"profile": profile, "preset": "ultrafast", "x264-params": more}
    context.flags |= 1 << 22  # parameter sets in the extradata
    context.open()
    assert context.extradata is not None
    return bytes(context.extradata).split(b"\x00\x00\x00\x01")[1]


@pytest.mark.parametrize(
    ("width", "height", "fps", "profile", "pixels", "more"),
    [
        (1920, 1080, Fraction(30), "high", "yuv420p", "bframes=2"),
        (1920, 1080, Fraction(25), "high", "yuv420p", "interlaced=1"),
        (318, 178, Fraction(25), "baseline", "yuv420p", "bframes=0"),
        (640, 360, Fraction(60_000, 1001), "main", "yuv420p", "bframes=0"),
        (322, 182, Fraction(30), "high422", "yuv422p", "bframes=0"),
        (323, 181, Fraction(30), "high444", "yuv444p", "bframes=0"),
        (176, 144, Fraction(12), "high10", "yuv420p10le", "cqm=jvt:bframes=0"),
        (176, 144, Fraction(50), "high", "yuv420p", "cqm=jvt:sar=64/45:overscan=show:colorprim=bt709"),
    ],
)
def test_an_encoders_picture_is_read(
    width: int, height: int, fps: Fraction, profile: str, pixels: str, more: str
) -> None:
    """Size after cropping and frame rate are those that were encoded."""
    picture = avc.parse_sps(encoded_sps(width, height, fps, profile, pixels, more))

    assert (picture.width, picture.height) == (width, height)
    assert picture.frame_rate == pytest.approx(float(fps), rel=1e-6)


def test_a_record_gives_its_parameter_sets_and_codec_string() -> None:
    """RFC 6381 takes three bytes of the SPS."""
    config = avc.parse_config(record())

    assert (config.sps, config.pps, config.length_size) == ((SPS,), (PPS,), 4)
    assert config.codec == "avc1.42c028"


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\x02" + record()[1:],
        record(length_size=3),
        record()[:10],
        record()[:-1],
        record()[:5] + b"\xe0\x00",
        record()[: 8 + len(SPS)],
        record()[: 8 + len(SPS)] + b"\x00",
    ],
)
def test_a_broken_record_is_named(broken: bytes) -> None:
    """Every fault is an AvcError with a sentence."""
    with pytest.raises(avc.AvcError):
        avc.parse_config(broken)


def test_a_parameter_set_cut_anywhere_is_refused_or_lacks_its_timing() -> None:
    """A picture is only given if all of it was there."""
    for size in range(len(SPS)):
        try:
            picture = avc.parse_sps(SPS[:size])
        except avc.AvcError:
            continue
        assert (picture.width, picture.height) == (1920, 1080)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_named_error(data: bytes) -> None:
    """Nothing but AvcError comes out of either parser."""
    for parse in (avc.parse_config, lambda sps: avc.parse_sps(b"\x67" + sps)):
        with suppress(avc.AvcError):
            parse(data)
