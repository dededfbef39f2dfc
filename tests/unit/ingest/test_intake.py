"""What publishers send in every codec becomes plain frames and the headers they need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.tags import HEADER_SIZE, TagFlags, TagHeader
from media import avc, flv, formats, hevc
from media.av_tags import PacketType, audio_header, parse_audio, parse_video, video_header
from media.codec import AudioCodec, VideoCodec
from tests.enhanced_flv import bodies, enhanced_tags
from tests.unit.ingest.rtmp_client import AAC_HEADER, AVC_HEADER, audio_frame, inter_frame, key_frame
from workers.ingest.headers import CodecHeaders, read_header_message
from workers.ingest.intake import MAX_METADATA, Intake, UnsupportedCodecError
from workers.ingest.packing import Packer, TagMessage
from workers.ingest.rtmp.events import MediaKind
from workers.ingest.timestamps import TimestampRepair

A, V = MediaKind.AUDIO, MediaKind.VIDEO


def video_payloads(encoder: str, **more: object) -> tuple[bytes, list[bytes]]:
    """The sequence header of an encoder, and its frames."""
    payloads = bodies(enhanced_tags(encoder, None, seconds=1, **more), flv.TagType.VIDEO)
    return payloads[0], [p for p in payloads if parse_video(p).packet_type is PacketType.FRAME]


def read_all(*messages: tuple[MediaKind, bytes]) -> tuple[Intake, list[tuple[bytes, bool] | None]]:
    """An intake that has read these."""
    intake = Intake()
    return intake, [intake.read(kind, payload) for kind, payload in messages]


def test_legacy_hevc_becomes_enhanced() -> None:
    """Codec id 12, as encoders packed H.265 before there was a FourCC."""
    header, frames = video_payloads("libx265")
    old = [b"\x1c\x01" + frames[0][5:], b"\x2c\x01" + frames[1][5:]]

    intake, read = read_all((V, b"\x1c\0\0\0\0" + header[5:]), *((V, frame) for frame in old))

    assert intake.wanted.video == header
    assert read == [None, (b"\x91hvc1" + frames[0][5:], True), (b"\xa1hvc1" + frames[1][5:], False)]


def test_enhanced_h264_and_aac_become_classic() -> None:
    """One plain form, so that no reader behind needs to know of two."""
    intake, read = read_all(
        (V, b"\x90avc1" + AVC_HEADER[5:]),
        (A, b"\x90mp4a" + AAC_HEADER[2:]),
        (V, b"\x91avc1\0\0\0" + key_frame()[5:]),
        (V, b"\xa3avc1" + inter_frame()[5:]),
        (A, b"\x91mp4a" + audio_frame()[2:]),
    )

    assert intake.wanted == CodecHeaders(AVC_HEADER, AAC_HEADER)
    assert read[2:] == [(key_frame(), True), (inter_frame(), False), (audio_frame(), False)]


def test_other_tracks_are_counted_and_do_not_disturb() -> None:
    """Track 0 is the stream; a track of a codec that nobody carries is no reason to refuse it."""
    header, frames = video_payloads("libx265")
    own = b"\x00" + len(frames[0][5:]).to_bytes(3, "big") + frames[0][5:]

    intake, read = read_all(
        (V, b"\x96\x00hvc1\x00" + header[5:]),
        (V, b"\x96\x00vvc1\x01record"),
        (V, b"\x96\x11hvc1\x01\0\0\x04\0\0\0x" + own),
        (V, b"\xa6\x01hvc1\x02\0\0\0nal"),
        (A, b"\x95\x01.mp3\x01sound"),
    )

    assert intake.wanted.video == header
    assert read == [None, None, (b"\x91hvc1" + frames[0][5:], True), None, None]
    assert intake.other_tracks == 4


def test_colour_and_channel_layout_go_with_the_headers() -> None:
    """As tags behind the sequence header they belong to, and back again."""
    header, _ = video_payloads("libx265")
    colour, layout = b"\xd4hvc1\x02\x00\x09colorInfo\x03\0\0\x09", b"\x94Opus\x01\x02\0\0\0\x03"
    intake, _ = read_all(
        (V, header),
        (V, colour),
        (A, b"\x90OpusOpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0"),
        (A, layout),
        (V, b"\xd4hvc1" + bytes(MAX_METADATA + 1)),
    )

    message = TagHeader(TagFlags.HEADER, 0, 0, 1, 0, 0).pack() + intake.wanted.tags(0, {})

    tags = list(flv.demux(message[HEADER_SIZE:]))
    assert [tag.payload[:5] for tag in tags[1:]] == [b"\x90hvc1", b"\xd4hvc1", b"\x90Opus", b"\x94Opus"]
    assert read_header_message(message)[1].same_in_full(intake.wanted)
    assert (intake.wanted.colour, intake.wanted.layout) == (colour, layout)
    assert intake.refused == 1


@pytest.mark.parametrize(
    ("encoder", "codec"),
    [
        ("libx264", VideoCodec.AVC), ("libx265", VideoCodec.HEVC), ("libsvtav1", VideoCodec.AV1),
        ("libvpx-vp9", VideoCodec.VP9),
    ],
)  # fmt: skip
@pytest.mark.parametrize("announced", [False, True], ids=["no header", "an empty header"])
def test_without_a_header_the_key_frame_says_it(encoder: str, codec: VideoCodec, announced: bool) -> None:
    """Parameter sets in band, the sequence header OBU, VP9's frame header."""
    header, frames = video_payloads(encoder)
    theirs = formats.read_video_header(header)
    frame = frames[0]
    if codec in (VideoCodec.AVC, VideoCodec.HEVC):
        body = parse_video(frame).body
        frame = frame[:body] + in_band_sets(codec, header) + frame[body:]
    first = [(V, video_header(codec, b""))] if announced else []

    intake, read = read_all(*first, (V, frames[1]), (V, frame))

    assert read[-1] == (frame, True)
    assert read[-2] is None or announced
    assert intake.wanted.video is not None
    made = formats.read_video_header(intake.wanted.video)
    assert made is not None
    assert theirs is not None
    assert (made.codec, made.width, made.height) == (theirs.codec, theirs.width, theirs.height)
    assert intake.wanted.size == ((322, 182) if codec is VideoCodec.VP9 else None)


def in_band_sets(codec: VideoCodec, header: bytes) -> bytes:
    """The parameter sets of a header, as they stand within a frame."""
    if codec is VideoCodec.AVC:
        config = avc.parse_config(header[5:])
        sets = (*config.sps, *config.pps)
    else:
        record = hevc.parse_config(header[5:])
        sets = (*record.vps, *record.sps, *record.pps)
    return b"".join(len(each).to_bytes(4, "big") + each for each in sets)


@pytest.mark.parametrize(
    ("encoder", "codec"), [("libx264", VideoCodec.AVC), ("libx265", VideoCodec.HEVC), ("libvpx-vp9", VideoCodec.VP9)]
)  # fmt: skip
def test_another_size_in_band_is_a_new_header(encoder: str, codec: VideoCodec) -> None:
    """An encoder that changes its size and says so only in its frames."""
    header, frames = video_payloads(encoder)
    bigger, other = video_payloads(encoder, width=480, height=270)
    frame = other[0]
    body = parse_video(frame).body
    same = frames[0]
    if codec is not VideoCodec.VP9:
        frame = frame[:body] + in_band_sets(codec, bigger) + frame[body:]
        same = same[:body] + in_band_sets(codec, header) + same[body:]

    intake, _ = read_all((V, header), (V, same))
    before, intake.needs_key = intake.wanted, False
    assert intake.read(V, frame) == (frame, True)

    assert before.video == header
    assert intake.wanted != before
    found = formats.read_video_header(intake.wanted.video or b"")
    assert found is not None
    assert (intake.wanted.size or (found.width, found.height)) == (480, 270)


@pytest.mark.parametrize(("encoder", "codec"), [("ac3", AudioCodec.AC3), ("eac3", AudioCodec.EAC3)])
def test_ac3_says_what_it_is_in_its_frames(encoder: str, codec: AudioCodec) -> None:
    """Its sequence start is empty, and may be missing; a bit rate that moves changes nothing."""
    payloads = bodies(enhanced_tags(None, encoder, seconds=1), flv.TagType.AUDIO)
    surround = bodies(enhanced_tags(None, encoder, seconds=1, layout="5.1"), flv.TagType.AUDIO)

    intake, read = read_all(*((A, payload) for payload in payloads))
    stereo = intake.wanted
    intake.read(A, surround[-1])

    assert read[0] is None
    assert read[-1] == (payloads[-1], False)
    assert parse_audio(stereo.audio or b"").codec is codec
    assert stereo.describe() == {"audio_codec": str(codec), "sample_rate": 48_000, "channels": 2}
    assert intake.wanted.describe()["channels"] == 6
    own = TagHeader(TagFlags.HEADER, 0, 0, 1, 0, 0)
    assert read_header_message(own.pack() + stereo.tags(0, {})) == (own, stereo)


def test_opus_without_its_header_is_told_by_its_frames() -> None:
    """One channel or two; the comment header says nothing."""
    intake, read = read_all((A, b"\x90OpusOpusTags1234"), (A, b"\x91Opus\xfc\xff\xfe"))

    assert read == [None, (b"\x91Opus\xfc\xff\xfe", False)]
    assert intake.wanted.describe() == {"audio_codec": "Opus", "sample_rate": 48_000, "channels": 2}


def test_frames_of_a_codec_without_a_header_are_skipped() -> None:
    """FLAC's blocks are not in its frames; inter frames of a codec never announced."""
    intake, read = read_all((A, b"\x91fLaC\xff\xf8\0\0\0"), (V, AVC_HEADER), (V, b"\xa1hvc1\0\0\0nal"))

    assert read == [None, None, None]
    assert (intake.skipped, intake.needs_key) == (2, True)


def test_described_by_codec_names() -> None:
    """What the stream's events say."""
    header, _ = video_payloads("libx265")

    found = CodecHeaders(header, audio_header(AudioCodec.OPUS, b"")).describe()

    assert found == {
        "video_codec": "hvc1.1.6.L60.90", "width": 322, "height": 182, "fps": 25.0, "audio_codec": "Opus",
    }  # fmt: skip


class Feed:
    """A packer fed in real time."""

    def __init__(self) -> None:
        self.packer = Packer(1, TimestampRepair())
        self.messages: list[TagMessage] = []

    def __call__(self, kind: MediaKind, at: int, payload: bytes) -> None:
        self.messages += self.packer.push(kind, at, payload, at * 1_000)

    @property
    def generations(self) -> list[tuple[int, str]]:
        """Where generations begin, and what they hold."""
        return [(m.dts_ms, tracks_of(m.headers)) for m in self.messages if m.headers is not None]


def tracks_of(headers: bytes) -> str:
    """`v` and `a` for the sequence headers of a header message."""
    tags = list(flv.demux(headers[HEADER_SIZE:]))
    return "".join("v" if tag.type is flv.TagType.VIDEO else "a" for tag in tags[1:])


def opened() -> Feed:
    """A stream of both tracks."""
    feed = Feed()
    feed(V, 0, AVC_HEADER)
    feed(A, 0, AAC_HEADER)
    return feed


def test_a_video_track_that_ends_leaves_sound_that_plays() -> None:
    """After 2.5 s without a picture a generation of sound alone begins; the next key frame brings both back."""
    feed = opened()
    for at in range(0, 10_000, 20):
        if at % 40 == 0 and not 2_000 < at < 8_000:
            feed(V, at, key_frame() if at % 1_000 == 0 else inter_frame())
        feed(A, at + 5, audio_frame())

    assert feed.generations == [(0, "va"), (4_505, "a"), (8_000, "va")]
    assert [bool(m.flags & TagFlags.DISCONTINUITY) for m in feed.messages if m.headers] == [False, True, True]


def test_a_sound_track_that_ends_leaves_pictures_that_play() -> None:
    """At the first key frame after 2.5 s of silence; and back again with the next one after it returns."""
    feed = opened()
    for at in range(0, 12_000, 40):
        feed(V, at, key_frame() if at % 1_000 == 0 else inter_frame())
        if not 2_000 < at < 8_100:
            feed(A, at + 5, audio_frame())

    assert feed.generations == [(0, "va"), (5_000, "v"), (9_000, "va")]


def test_announced_sound_that_never_comes_is_left_out() -> None:
    """Metadata and header lie: a player would wait for the sound for ever."""
    feed = opened()
    for at in range(0, 6_000, 40):
        feed(V, at, key_frame() if at % 1_000 == 0 else inter_frame())

    assert feed.generations == [(0, "va"), (3_000, "v")]


def test_a_link_that_stalls_ends_no_track() -> None:
    """Both tracks pause together, and what then comes at once is no track gone."""
    feed = opened()
    feed(V, 0, key_frame())
    feed(A, 5, audio_frame())
    for at in range(40, 8_000, 40):
        frame = key_frame() if at % 1_000 == 0 else inter_frame()
        feed.messages += feed.packer.push(V, at, frame, 8_000_000)
        feed.messages += feed.packer.push(A, at + 5, audio_frame(), 8_000_000)

    assert [tracks for _, tracks in feed.generations] == ["va"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([A, V]),
            st.sampled_from(
                [b"", b"\x90hvc1", b"\x91av01", b"\x91vp09", b"\x96\x11", b"\x97\x02\0\0\0", b"\x17"]
            ),
            st.binary(max_size=40),
        ),
        max_size=8,
    )
)
def test_any_bytes_are_frames_or_an_unsupported_codec(messages: list[tuple[MediaKind, bytes, bytes]]) -> None:
    """Nothing else comes out, and what comes out packs and describes."""
    packer, at = Packer(1, TimestampRepair()), 0
    for kind, head, rest in messages:
        at += 40
        try:
            packer.push(kind, at, head + rest, at * 1_000)
        except UnsupportedCodecError:
            continue
    packer.flush_waiting(10_000_000)
    packer.end(11_000_000)
    packer.headers.describe()
