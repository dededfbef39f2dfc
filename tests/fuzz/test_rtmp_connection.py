"""The fuzz law of RTMP: any bytes give events or RemoteProtocolError, nothing else, cut anywhere."""

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from media import flv
from tests.unit.ingest.rtmp_client import (
    AAC_HEADER,
    AVC_HEADER,
    HANDSHAKE,
    audio_frame,
    chunk,
    command,
    key_frame,
    metadata,
    opening,
)
from workers.ingest.intake import UnsupportedCodecError
from workers.ingest.packing import Packer
from workers.ingest.rtmp import amf0, amf3, handshake
from workers.ingest.rtmp.chunks import ChunkReader
from workers.ingest.rtmp.connection import PLAY_CHUNK_SIZE, Connection
from workers.ingest.rtmp.errors import AmfError, RemoteProtocolError
from workers.ingest.rtmp.events import (
    Event,
    MediaKind,
    MediaReceived,
    PlayRequested,
    PlayStopped,
    PublishRequested,
    PublishStopped,
)
from workers.ingest.rtmp.playing import encode_tags, readdress
from workers.ingest.timestamps import TimestampRepair

GOOD = (
    chunk(18, metadata(width=1.0), stream_id=1)
    + chunk(9, AVC_HEADER, stream_id=1, chunk_stream=6)
    + chunk(8, AAC_HEADER, stream_id=1, chunk_stream=70)
    + chunk(9, key_frame(300), timestamp=0x1000000, stream_id=1, chunk_stream=6)
    + chunk(8, audio_frame(), timestamp=20, stream_id=1, chunk_stream=70)
    + command("FCUnpublish", 6, None, "x")
)
pieces = st.one_of(
    st.binary(max_size=80),
    st.builds(
        chunk,
        st.sampled_from([1, 2, 3, 4, 5, 8, 9, 15, 17, 18, 20, 22, 200]),
        st.binary(max_size=300),
        timestamp=st.integers(0, 0xFFFFFFFF),
        stream_id=st.integers(0, 3),
        chunk_stream=st.integers(2, 400),
    ),
    st.builds(
        command,
        st.sampled_from(["connect", "publish", "createStream", "deleteStream", "FCUnpublish", "play", ""]),
        st.floats(),
        st.one_of(st.none(), st.floats(), st.text(max_size=10)),
        stream_id=st.integers(0, 3),
    ),
    st.just(GOOD),
)


def talk(data: bytes, step: int, *, refusing: bool = True) -> tuple[list[Event], str]:
    """All events, and the error that ended it."""
    connection, events = Connection(nonce=b"n"), list[Event]()
    error = ""
    for at in range(0, len(data), step):
        try:
            connection.receive_data(data[at : at + step])
        except RemoteProtocolError as failed:
            error = str(failed)
        request: PublishRequested | PlayRequested | None = None
        for event in connection.events_received():
            events.append(event)
            if isinstance(event, (PublishRequested, PlayRequested)):
                request = event
            elif isinstance(event, (PublishStopped, PlayStopped)):
                request = None
        if refusing and request is not None and not error:
            if isinstance(request, PlayRequested):
                connection.accept(request)
                connection.end_play(request, "over")
            else:
                connection.refuse(request, "NetStream.Publish.Denied", "no")
        connection.data_to_send()
    return events, error


@given(st.binary(max_size=400))
def test_any_first_bytes(data: bytes) -> None:
    """Before the handshake."""
    talk(data, 64)


@settings(max_examples=200)
@given(st.lists(pieces, max_size=6), st.booleans())
def test_any_bytes_after_the_handshake(parts: list[bytes], opened: bool) -> None:
    """Well-formed chunks with any content, and noise between them."""
    talk(HANDSHAKE + (opening() if opened else b"") + b"".join(parts), 1 << 20)


@settings(max_examples=60)
@given(st.lists(pieces, max_size=4), st.integers(1, 200))
def test_cuts_change_nothing(parts: list[bytes], step: int) -> None:
    """The same events and the same error."""
    data = HANDSHAKE + command("connect", 1, {"app": "live"}) + b"".join(parts)

    assert talk(data, step, refusing=False) == talk(data, 1 << 20, refusing=False)


@settings(max_examples=150)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.integers(1, 500))
def test_a_flipped_byte(at: int, value: int, step: int) -> None:
    """A good session with one byte changed."""
    damaged = bytearray(GOOD)
    damaged[at] = value
    connection = Connection(nonce=b"n")
    connection.receive_data(HANDSHAKE + opening())
    request = next(event for event in connection.events_received() if isinstance(event, PublishRequested))
    connection.accept(request)
    packer = Packer(1, TimestampRepair())
    with contextlib.suppress(RemoteProtocolError, UnsupportedCodecError):
        for start in range(0, len(damaged), step):
            connection.receive_data(bytes(damaged[start : start + step]))
            for event in connection.events_received():
                if isinstance(event, MediaReceived):
                    packer.push(event.kind, event.timestamp, event.payload, 0)


@given(st.binary(max_size=300))
def test_any_amf0(data: bytes) -> None:
    """Values or AmfError."""
    with contextlib.suppress(AmfError):
        amf0.decode(data)


@given(st.binary(max_size=300), st.booleans())
def test_any_amf3(data: bytes, within_amf0: bool) -> None:
    """Values or AmfError, alone and behind the switch from AMF0."""
    with contextlib.suppress(AmfError):
        if within_amf0:
            amf0.decode(b"\x11" + data)
        else:
            _, end = amf3.decode_at(data, 0)
            assert 0 < end <= len(data)


@settings(max_examples=100)
@given(
    st.binary(min_size=1536, max_size=1536),
    st.booleans(),
    st.integers(0, 1),
    st.binary(min_size=1, max_size=40),
)
def test_any_handshake_is_answered(c1: bytes, signed: bool, schema: int, nonce: bytes) -> None:
    """3,073 bytes, whatever C1 says of digests; S1 carries one at C1's schema exactly when C1 does."""
    if signed:
        c1 = handshake.sign(c1, schema, b"Genuine Adobe Flash Player 001")

    answer = handshake.answer(c1, nonce)

    assert len(answer) == 3073
    found = handshake.find_digest(answer[1:1537], b"Genuine Adobe Flash Media Server 001")
    assert (found is not None) == (handshake.find_digest(c1, b"Genuine Adobe Flash Player 001") is not None)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(flv.TagType), st.integers(0, 0xFFFFFFFF), st.integers(0, 200_000)),
        max_size=4,
    ),
    st.integers(1, 16),
    st.integers(1, 100_000),
)
def test_a_player_reads_any_tags(tags: list[tuple[flv.TagType, int, int]], stream_id: int, step: int) -> None:
    """What was published comes out of the chunks, however they are cut, on whatever message stream."""
    body = b"".join(flv.mux(kind, stamp, bytes(size)) for kind, stamp, size in tags)
    chunks = readdress(encode_tags(body), stream_id)
    reader = ChunkReader()
    reader.feed(chunk(1, PLAY_CHUNK_SIZE.to_bytes(4, "big"), chunk_stream=2))

    read = [message for at in range(0, len(chunks), step) for message in reader.feed(chunks[at : at + step])]

    assert reader.fault is None
    assert [(m.type, m.stream_id, m.timestamp, len(m.payload)) for m in read] == [
        (kind, stream_id, stamp, size) for kind, stamp, size in tags
    ]


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False), st.text(max_size=20)),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.lists(values, max_size=5))
def test_amf0_reads_what_it_writes(given_values: list[object]) -> None:
    """Any plain values within the limits."""
    assert amf0.decode(amf0.encode(*given_values)) == given_values


@given(
    st.lists(
        st.tuples(
            st.sampled_from(MediaKind),
            st.integers(0, 0xFFFFFFFF),
            st.sampled_from([AVC_HEADER, AAC_HEADER, key_frame(), audio_frame()]) | st.binary(max_size=30),
            st.integers(0, 10**7),
        ),
        max_size=30,
    )
)
def test_any_media_packs_in_order(messages: list[tuple[MediaKind, int, bytes, int]]) -> None:
    """Whatever is pushed: sequence without holes, DTS never back, the first message a HEADER and KEY."""
    packer, packed = Packer(1, TimestampRepair()), []
    with contextlib.suppress(UnsupportedCodecError):
        for kind, timestamp, payload, arrival in messages:
            packed += packer.push(kind, timestamp, payload, arrival)
            packed += packer.flush_waiting(arrival)
    assert [message.sequence for message in packed] == list(range(len(packed)))
    assert [message.dts_ms for message in packed] == sorted(message.dts_ms for message in packed)
    if packed:
        assert int(packed[0].flags) & 3 == 3
