"""What a live stream is made of."""

from pathlib import Path

import bus_schemas
from bus_schemas.messages.live import LiveEvent, StreamMeasured, StreamStarted
from bus_schemas.tags import TagFlags, TagHeader
from gateway.live.description import LiveFacts, describe
from media import flv
from tests.unit.gateway.live_sources import AAC_HEADER, EPOCH, HEADERS

HEADER = TagHeader(TagFlags.HEADER, 0, 0, EPOCH, 0, 0).pack()
# Baseline, level 3.0, 320 × 240, without VUI.
SPS = bytes.fromhex("6742001e 95a0a07da1000003 0001000003003c08".replace(" ", ""))
RECORD = b"\x01\x42\x00\x1e\xff\xe1" + len(SPS).to_bytes(2, "big") + SPS + b"\x01\x00\x04\x68\xce\x3c\x80"


def test_codecs_come_from_the_headers_and_the_bit_rate_from_the_statistics() -> None:
    """Names are those of RFC 6381, the rate is in kilobits per second."""
    video = flv.mux(flv.TagType.VIDEO, 0, b"\x17\x00\x00\x00\x00" + RECORD)
    measured = StreamMeasured(
        stream="s1", epoch=EPOCH, at=1, interval_ms=5_000, bytes=1_250_000, video_frames=150,
        audio_frames=230, key_frames=3, repairs=0, refused=0,
    )  # fmt: skip

    facts = describe(HEADER + video + AAC_HEADER, LiveEvent(measured).model_dump_json().encode())

    assert facts.video_codec == "avc1.42001e"
    assert (facts.audio_codec, facts.sample_rate, facts.channels) == ("mp4a.40.2", 44_100, 2)
    assert facts.bitrate_kbps == 2_000


def test_what_cannot_be_read_says_nothing() -> None:
    """A codec record of rubbish, another event than statistics, and cut tags are no error."""
    started = StreamStarted(stream="s1", epoch=EPOCH, at=1, node="n1")

    facts = describe(HEADER + HEADERS, LiveEvent(started).model_dump_json().encode())

    assert (facts.video_codec, facts.bitrate_kbps) == (None, None)
    assert facts.audio_codec == "mp4a.40.2"
    assert describe(HEADER + b"rubbish", b"{") == LiveFacts()


def test_what_no_codec_header_holds_is_in_the_metadata() -> None:
    """VP9's size, and what AC-3 is: ingest puts both there."""
    example = Path(bus_schemas.__file__).parent / "examples/live.header.stream/v1-vp9_eac3.bin"

    facts = describe(example.read_bytes(), None)

    assert (facts.video_codec, facts.width, facts.height) == ("vp09.00.11.08", 322, 182)
    assert (facts.audio_codec, facts.sample_rate, facts.channels) == ("ec-3", 48_000, 2)
