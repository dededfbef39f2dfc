"""Messages of a publisher become tag messages."""

import pytest

from bus_schemas.limits import ACCESS_UNIT_MAX
from bus_schemas.tags import HEADER_SIZE, TagFlags, TagHeader
from media import flv, script
from tests.unit.ingest.rtmp_client import (
    AAC_HEADER,
    AVC_HEADER,
    OTHER_AAC_HEADER,
    OTHER_AVC_HEADER,
    audio_frame,
    inter_frame,
    key_frame,
)
from workers.ingest.headers import CodecHeaders
from workers.ingest.intake import UnsupportedCodecError
from workers.ingest.packing import Packer, TagMessage
from workers.ingest.rtmp.events import MediaKind
from workers.ingest.timestamps import TimestampRepair

A, V = MediaKind.AUDIO, MediaKind.VIDEO
BOTH = {"videocodecid": 7.0, "audiocodecid": 10.0}
KEY, HEADER, NONE = TagFlags.KEY, TagFlags.HEADER, TagFlags.NONE


class Feed:
    """A packer fed in real time: what is stamped at n ms arrives at n ms."""

    def __init__(self, metadata: dict[str, float] | None = None, **options: object) -> None:
        self.packer = Packer(99, TimestampRepair(), **options)  # type: ignore[arg-type]
        if metadata is not None:
            self.packer.set_metadata(metadata)

    def __call__(self, *messages: tuple[MediaKind, int, bytes]) -> list[TagMessage]:
        return [
            packed
            for kind, at, payload in messages
            for packed in self.packer.push(kind, at, payload, at * 1_000)
        ]

    def wait(self, at: int, next_ms: int | None = None) -> list[TagMessage]:
        return self.packer.flush_waiting(at * 1_000, next_ms and next_ms * 1_000)


def tags(message: TagMessage) -> list[tuple[int, int]]:
    """Type and timestamp of each tag."""
    return [(tag.type, tag.timestamp_ms) for tag in flv.demux(message.payload[HEADER_SIZE:])]


def flags(messages: list[TagMessage]) -> list[int]:
    return [message.flags for message in messages]


OPENING = ((V, 0, AVC_HEADER), (A, 0, AAC_HEADER), (V, 0, key_frame()))


def test_the_first_message_holds_headers_clock_and_key_frame() -> None:
    """HEADER and KEY; onMetaData, the sequence headers, onClock, the frame, all on the frame's time."""
    feed = Feed(BOTH)

    (first,) = feed(*OPENING)

    assert first.flags == KEY | HEADER
    assert first.sequence == 0
    assert tags(first) == [(18, 0), (9, 0), (8, 0), (18, 0), (9, 0)]
    assert TagHeader.unpack(first.payload) == TagHeader(KEY | HEADER, 0, 0, 99, 0, 0)
    found = list(flv.demux(first.payload[HEADER_SIZE:]))
    assert found[1].payload == AVC_HEADER
    assert found[2].payload == AAC_HEADER
    assert script.read_numbers(found[3].payload) == ("onClock", {"dts": 0.0, "pdt": 0.0})


def test_the_header_message_repeats_the_headers_alone() -> None:
    """What goes to `live.header.{stream}`: the same tags without the frame, flagged HEADER."""
    (first,) = Feed(BOTH)(*OPENING)

    assert first.headers is not None
    assert TagHeader.unpack(first.headers).flags == HEADER
    assert first.payload[HEADER_SIZE:].startswith(first.headers[HEADER_SIZE:])
    assert [tag.type for tag in flv.demux(first.headers[HEADER_SIZE:])] == [18, 9, 8]


def test_a_frame_takes_the_audio_before_it_along() -> None:
    """One message a video frame; its DTS is that of its first tag."""
    feed = Feed(BOTH)
    feed(*OPENING)

    messages = feed(
        (A, 5, audio_frame()), (A, 28, audio_frame()), (V, 40, inter_frame()), (V, 80, inter_frame())
    )

    assert [tags(message) for message in messages] == [[(8, 5), (8, 28), (9, 40)], [(9, 80)]]
    assert [(message.dts_ms, message.sequence) for message in messages] == [(5, 1), (80, 2)]
    assert TagHeader.unpack(messages[0].payload).arrival_us == 40_000


def test_a_key_frame_starts_a_message() -> None:
    """The audio before it goes ahead on its own."""
    feed = Feed(BOTH)
    feed(*OPENING)

    messages = feed((A, 30, audio_frame()), (V, 40, key_frame()))

    assert flags(messages) == [NONE, KEY]
    assert [tags(message) for message in messages] == [[(8, 30)], [(18, 40), (9, 40)]]


def test_audio_waits_at_most_50_ms() -> None:
    """With slow video it goes by itself 50 ms after its arrival, or sooner where nobody looks again in time."""
    feed = Feed(BOTH)
    feed(*OPENING)
    feed((A, 10, audio_frame()), (A, 33, audio_frame()))

    due = feed.packer.due_us
    early = feed.wait(49, next_ms=59)
    late = feed.wait(50, next_ms=60)

    assert early == []
    assert due == 60_000
    assert [tags(message) for message in late] == [[(8, 10), (8, 33)]]
    assert feed.packer.due_us is None


def test_audio_pushed_at_once_is_cut_by_its_own_time() -> None:
    """Faster than real time no message spans more than 50 ms either."""
    feed = Feed(BOTH)
    feed(*OPENING)

    messages = [m for n in range(10) for m in feed.packer.push(A, n * 23, audio_frame(), 1_000)]

    assert [len(tags(message)) for message in messages] == [3, 3, 3]


def test_identical_sequence_headers_change_nothing() -> None:
    """Encoders repeat them: no HEADER, no new generation."""
    feed = Feed(BOTH)
    feed(*OPENING)

    messages = feed((V, 40, AVC_HEADER), (A, 40, AAC_HEADER), (V, 40, key_frame()), (V, 80, inter_frame()))

    assert flags(messages) == [KEY, NONE]
    assert feed.packer.generation == 0


@pytest.mark.parametrize("changed", [(V, 35, OTHER_AVC_HEADER), (A, 35, OTHER_AAC_HEADER)])
def test_a_real_change_begins_a_generation_with_a_key_frame(changed: tuple[MediaKind, int, bytes]) -> None:
    """Frames that only the new headers explain wait for it, and it is marked as a discontinuity."""
    feed = Feed(BOTH)
    feed(*OPENING)

    between = feed(changed, (changed[0], 40, inter_frame() if changed[0] is V else audio_frame()))
    (second,) = feed((V, 80, key_frame()))

    assert between == []
    assert feed.packer.skipped == 1
    assert second.flags == KEY | HEADER | TagFlags.DISCONTINUITY
    assert TagHeader.unpack(second.payload).generation == 1
    assert second.headers is not None
    assert changed[2] in second.headers


def test_late_audio_begins_with_the_next_key_frame() -> None:
    """A stream announced without audio: its sound is let in by a new generation."""
    feed = Feed({"videocodecid": 7.0})
    first = feed((V, 0, AVC_HEADER), (V, 0, key_frame()))

    messages = feed((A, 50, AAC_HEADER), (A, 50, audio_frame()), (V, 80, key_frame()), (A, 90, audio_frame()))

    assert flags(first) == [KEY | HEADER]
    assert [kind for kind, _ in tags(first[0])] == [18, 9, 18, 9]
    assert flags(messages) == [KEY | HEADER | TagFlags.DISCONTINUITY]
    assert [tags(message) for message in feed((V, 120, inter_frame()))] == [[(8, 90), (9, 120)]]


def test_without_metadata_the_first_frames_wait_half_a_second_for_the_other_header() -> None:
    """Then the stream begins with what there is, and nothing that came since the key frame is lost."""
    feed = Feed()
    held = feed((V, 0, AVC_HEADER), (V, 0, key_frame()), (V, 40, inter_frame()))

    due, messages = feed.packer.due_us, feed.wait(500)

    assert held == []
    assert due == 500_000
    assert flags(messages) == [KEY | HEADER, NONE]


def recovery_point() -> bytes:
    """An inter frame behind a recovery point SEI."""
    units = (b"\x06\x06\x01\xc4\x80", b"\x41\x9a" + bytes(20))
    return b"\x27\x01\0\0\0" + b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def test_with_intra_refresh_one_can_begin_at_a_recovery_point_each_two_seconds() -> None:
    """There is one key frame and never another; the frames are carried as they are."""
    feed = Feed(BOTH)
    feed(*OPENING)

    made = feed(*((V, 40 * n, recovery_point() if n % 10 == 0 else inter_frame()) for n in range(1, 126)))

    keys = [message for message in made if message.flags & KEY]
    assert [message.dts_ms for message in keys] == [2_000, 4_000]
    assert [tags(message)[-1] for message in keys] == [(9, 2_000), (9, 4_000)]
    assert all(recovery_point() in message.payload for message in keys)


def test_after_a_loss_a_recovery_point_is_a_beginning_too() -> None:
    """A stream that has no other is not lost for ever."""
    feed = Feed(BOTH)
    feed(*OPENING)
    feed.packer.require_key_frame()

    made = feed((V, 40, inter_frame()), (V, 80, recovery_point()), (V, 120, inter_frame()))

    assert flags(made) == [KEY | TagFlags.DISCONTINUITY, NONE]


def test_audio_before_the_first_key_frame_is_left_out() -> None:
    """The first message is a key frame, whatever came before it."""
    feed = Feed(BOTH)

    messages = feed((V, 0, AVC_HEADER), (A, 0, AAC_HEADER), (A, 0, audio_frame()), (V, 5, key_frame()))

    assert flags(messages) == [KEY | HEADER]
    assert feed.packer.skipped == 1


def test_audio_alone_can_be_joined_each_two_seconds() -> None:
    """KEY on the first message and then at least each 2 s; no video header is claimed."""
    feed = Feed({"audiocodecid": 10.0})
    feed((A, 0, AAC_HEADER))

    messages = feed(*((A, n * 23, audio_frame()) for n in range(200)))

    keys = [message for message in messages if message.flags & KEY]
    assert flags(messages)[0] == KEY | HEADER
    assert [kind for kind, _ in tags(messages[0])] == [18, 8, 18, 8]
    assert [message.dts_ms for message in keys] == [0, 2_001, 4_002]


def test_announced_video_that_never_comes_does_not_hold_the_sound_for_ever() -> None:
    """After 2 s the stream begins with audio alone; video joins by a new generation."""
    feed = Feed(BOTH)
    feed((V, 0, AVC_HEADER), (A, 0, AAC_HEADER))

    messages = feed(*((A, n * 23, audio_frame()) for n in range(90)))
    (*_, joined) = feed((V, 2_100, key_frame()))

    assert flags(messages)[0] == KEY | HEADER
    assert messages[0].dts_ms == 0
    assert joined.flags == KEY | HEADER | TagFlags.DISCONTINUITY


def test_a_session_that_goes_on_keeps_its_generation() -> None:
    """Equal headers: the same generation, no discontinuity, but HEADER, for it is a new epoch."""
    feed = Feed(BOTH, before=CodecHeaders(AVC_HEADER, AAC_HEADER), generation=3)

    (first,) = feed(*OPENING)

    assert first.flags == KEY | HEADER
    assert TagHeader.unpack(first.payload).generation == 3


def test_a_session_with_other_headers_begins_a_generation() -> None:
    """The encoder came back with another picture size."""
    feed = Feed(BOTH, before=CodecHeaders(OTHER_AVC_HEADER, AAC_HEADER), generation=3)

    (first,) = feed(*OPENING)

    assert first.flags == KEY | HEADER | TagFlags.DISCONTINUITY
    assert TagHeader.unpack(first.payload).generation == 4


def test_an_oversized_access_unit_is_refused_and_counted() -> None:
    """Over 8 MB: left out, and what depends on it too, up to the next key frame."""
    feed = Feed(BOTH)
    feed(*OPENING)

    messages = feed((V, 40, inter_frame(ACCESS_UNIT_MAX)), (V, 80, inter_frame()), (V, 120, key_frame()))

    assert flags(messages) == [KEY]
    assert feed.packer.refused == 1
    assert feed.packer.skipped == 1


def test_the_greatest_access_unit_fits_the_bus() -> None:
    """Exactly 8 MB passes; audio that waits goes ahead, so that the message stays within the bus's limit."""
    feed = Feed(BOTH)
    feed(*OPENING)

    messages = feed((A, 10, audio_frame(60_000)), (V, 40, inter_frame(ACCESS_UNIT_MAX - 5)))

    assert [len(tags(message)) for message in messages] == [1, 1]
    assert all(len(message.payload) <= ACCESS_UNIT_MAX + (64 << 10) for message in messages)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (V, b"\x57\x00"),  # a command frame
        (V, b"\x00\x00"),
        (V, b"\x17"),
        (V, b"\x17\x01\x00\x00\x00"),  # a frame without bytes
        (V, b"\x17\x02\x00\x00\x00"),  # end of sequence
        (A, b"\xaf"),
        (A, b"\xaf\x01"),
    ],
)
def test_what_holds_no_frame_is_left_out(kind: MediaKind, payload: bytes) -> None:
    """And has no say in the timeline."""
    feed = Feed(BOTH)
    feed(*OPENING)

    messages = feed((kind, 999_999, payload), (V, 40, inter_frame()))

    assert [message.dts_ms for message in messages] == [40]


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        (V, b"\x90vvc1" + bytes(9), "not vvc1"),
        (V, b"\x22abc", "not Sorenson"),
        (V, b"\x90\x00\n\xff1" + bytes(9), r"H.264.* not \?\?\?1"),
        (A, b"\xb2abc", "AAC.* not Speex"),
        (A, b"\x91.spxabc", "not .spx"),
    ],
)
def test_other_codecs_are_refused_with_a_sentence(kind: MediaKind, payload: bytes, words: str) -> None:
    """The publisher learns what to set."""
    with pytest.raises(UnsupportedCodecError, match=words):
        Feed(BOTH)((kind, 0, payload))


def test_after_a_loss_the_stream_goes_on_at_a_key_frame() -> None:
    """Marked as a discontinuity; the audio until then is left out with the video."""
    feed = Feed(BOTH)
    feed(*OPENING)
    feed.packer.require_key_frame()

    messages = feed(
        (A, 10, audio_frame()), (V, 40, inter_frame()), (V, 80, key_frame()), (V, 120, inter_frame())
    )

    assert flags(messages) == [KEY | TagFlags.DISCONTINUITY, NONE]
    assert [message.sequence for message in messages] == [1, 2]


def test_the_end_is_said_after_what_waits() -> None:
    """The last audio, then an empty message flagged END."""
    feed = Feed(BOTH)
    feed(*OPENING)
    feed((A, 10, audio_frame()))

    last, end = feed.packer.end(30_000)

    assert tags(last) == [(8, 10)]
    assert end.flags == TagFlags.END
    assert len(end.payload) == HEADER_SIZE
    assert end.sequence == 2


def test_message_dts_never_goes_back() -> None:
    """Audio may run ahead of video; the header's DTS holds, the tags keep their own."""
    feed = Feed(BOTH)
    feed(*OPENING)
    feed((A, 90, audio_frame()))

    messages = feed.wait(145) + feed((V, 40, inter_frame()), (V, 120, inter_frame()))

    assert [message.dts_ms for message in messages] == [90, 90, 120]
    assert tags(messages[1]) == [(9, 40)]


def test_composition_offsets_are_carried_as_they_are() -> None:
    """Signed, negative ones too."""
    feed = Feed(BOTH)
    feed(*OPENING)

    (message,) = feed((V, 40, inter_frame(composition=-80)))

    assert inter_frame(composition=-80) in message.payload


def test_metadata_passes_only_what_is_known_and_plain() -> None:
    """No duration, no nested values, no endless text."""
    feed = Feed()
    feed.packer.set_metadata(
        {
            "width": 160.0,
            "duration": 5.0,
            "encoder": "x" * 999,
            "stereo": True,
            "audiocodecid": {},
            "evil": "y",
        }
    )

    messages = feed(*OPENING)

    first = next(iter(flv.demux(messages[0].payload[HEADER_SIZE:])))
    name, numbers = script.read_numbers(first.payload)
    assert name == "onMetaData"
    # What the sequence headers say is added; the rest of them is not numbers.
    assert numbers == {
        "width": 160.0, "height": 120.0, "framerate": 25.0, "videocodecid": 7.0, "audiocodecid": 10.0,
    }  # fmt: skip
    assert b"evil" not in first.payload
    assert b"x" * 256 in first.payload
    assert b"x" * 257 not in first.payload
