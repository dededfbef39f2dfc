"""Real streams of every codec with bytes changed in them: frames, headers or a named refusal, nothing else."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from bus_schemas.tags import TagHeader
from media import flv, formats
from media.av_tags import AvTagError
from media.codec import CodecError
from tests.enhanced_flv import enhanced_tags
from tests.unit.transmux.sources import EPOCH, headers_of, inits_of, make_segmenter
from workers.ingest.headers import read_header_message
from workers.ingest.intake import UnsupportedCodecError
from workers.ingest.packing import Packer
from workers.ingest.rtmp.events import MediaKind
from workers.ingest.timestamps import TimestampRepair
from workers.transmux.output import Output
from workers.transmux.tracks import from_init

PAIRS = [
    ("libx264", "aac"),
    ("libx265", "libopus"),
    ("libsvtav1", "flac"),
    ("libvpx-vp9", "eac3"),
    (None, "ac3"),
    (None, "libopus"),
]
KINDS = {flv.TagType.VIDEO: MediaKind.VIDEO, flv.TagType.AUDIO: MediaKind.AUDIO}
# Which tag, where in it (headers and the first bytes of frames matter most), what it becomes.
CHANGES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 60), st.integers(0, 255)), max_size=12)


def changed(tags: list[flv.Tag], changes: list[tuple[int, int, int]]) -> list[tuple[MediaKind, int, bytes]]:
    """The media of these tags with bytes changed; a change beyond a payload cuts it there."""
    payloads = [
        (KINDS[tag.type], tag.timestamp_ms, bytearray(tag.payload)) for tag in tags if tag.type in KINDS
    ]
    for which, at, value in changes:
        payload = payloads[which % len(payloads)][2]
        if at < len(payload):
            payload[at] = value
        else:
            del payload[value:]
    return [(kind, time, bytes(payload)) for kind, time, payload in payloads]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PAIRS), CHANGES)
def test_a_damaged_stream_is_carried_as_far_as_it_goes(
    pair: tuple[str | None, str], changes: list[tuple[int, int, int]]
) -> None:
    """Ingest packs, transmux cuts, and what they write can be read again."""
    packer, segmenter = Packer(EPOCH, TimestampRepair()), make_segmenter()
    made: list[Output] = []
    for kind, time, payload in changed(enhanced_tags(*pair, seconds=1), changes):
        try:
            messages = packer.push(kind, time, payload, time * 1_000)
        except UnsupportedCodecError:
            break
        for message in messages:
            made += segmenter.push(TagHeader.unpack(message.payload), message.payload)
            if message.headers is not None:
                read_header_message(message.headers)
    packer.headers.describe()

    headers = headers_of(made)
    assert sorted({header.msn for header in headers}) == list(range(headers[-1].msn + 1 if headers else 0))
    for init in inits_of(made):
        from_init(init.header)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PAIRS), CHANGES)
def test_a_damaged_header_is_read_or_refused(
    pair: tuple[str | None, str], changes: list[tuple[int, int, int]]
) -> None:
    """Each record, with bytes of it changed or missing."""
    for kind, _, payload in changed(enhanced_tags(*pair, seconds=1)[:4], changes):
        read = formats.read_video_header if kind is MediaKind.VIDEO else formats.read_audio_header
        with suppress(CodecError, AvTagError):
            read(payload)
