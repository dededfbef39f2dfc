"""A connection from bytes to events, and from decisions to bytes."""

from typing import Any

import pytest

from tests.unit.ingest.rtmp_client import (
    AAC_HEADER,
    AVC_HEADER,
    C0_C1,
    C2,
    HANDSHAKE,
    audio_frame,
    chunk,
    command,
    inter_frame,
    key_frame,
    metadata,
    opening,
)
from workers.ingest.rtmp import amf0
from workers.ingest.rtmp.chunks import ChunkReader
from workers.ingest.rtmp.connection import Connection
from workers.ingest.rtmp.errors import LocalProtocolError, RemoteProtocolError
from workers.ingest.rtmp.events import (
    Connected,
    Event,
    MediaKind,
    MediaReceived,
    MetadataReceived,
    PublishRequested,
    PublishStopped,
)
from workers.ingest.rtmp.messages import Message

ANSWER_SIZE = 1 + 2 * 1536
MEDIA = (
    chunk(18, metadata(width=160.0), stream_id=1, chunk_stream=4)
    + chunk(9, AVC_HEADER, stream_id=1, chunk_stream=6)
    + chunk(8, AAC_HEADER, stream_id=1, chunk_stream=4)
    + chunk(9, key_frame(500), timestamp=40, stream_id=1, chunk_stream=6)
    + chunk(8, audio_frame(), timestamp=46, stream_id=1, chunk_stream=4)
)
END = command("FCUnpublish", 6, None, "secret") + command("deleteStream", 7, None, 1.0)
EVENTS: list[Event] = [
    Connected("live", "FMLE/3.0"),
    PublishRequested(1, "secret", "live"),
    MetadataReceived({"width": 160.0}),
    MediaReceived(MediaKind.VIDEO, 0, AVC_HEADER),
    MediaReceived(MediaKind.AUDIO, 0, AAC_HEADER),
    MediaReceived(MediaKind.VIDEO, 40, key_frame(500)),
    MediaReceived(MediaKind.AUDIO, 46, audio_frame()),
    PublishStopped(1, "FCUnpublish"),
]


def feed(connection: Connection, data: bytes, step: int = 1 << 20) -> list[Event]:
    """Feed in steps, accepting every publish at once, as a shell does."""
    events: list[Event] = []
    for at in range(0, len(data), step):
        connection.receive_data(data[at : at + step])
        for event in connection.events_received():
            events.append(event)
            if isinstance(event, PublishRequested):
                connection.accept(event)
    return events


def answers(connection: Connection, *, skip: int = ANSWER_SIZE) -> list[Message]:
    """What the connection wrote, as the peer reads it."""
    return ChunkReader().feed(b"".join(connection.data_to_send())[skip:])


def commands(messages: list[Message]) -> list[list[Any]]:
    return [amf0.decode(message.payload) for message in messages if message.type == 20]


def publishing() -> Connection:
    connection = Connection(nonce=b"n")
    feed(connection, HANDSHAKE + opening())
    connection.data_to_send()
    return connection


@pytest.mark.parametrize("step", [1, 7, 1536, 1 << 20])
def test_a_publish_gives_the_same_events_however_it_is_cut(step: int) -> None:
    """From the handshake to deleteStream; a network may cut anywhere (the whole waits for our go-ahead)."""
    connection = Connection(nonce=b"n")

    events = feed(connection, HANDSHAKE + opening(), step) + feed(connection, MEDIA + END, step)

    assert events == EVENTS


@pytest.mark.parametrize("step", [1, 7, 1536, 1 << 20])
def test_the_handshake_is_answered_once(step: int) -> None:
    """S0+S1+S2 after C1, nothing before it, nothing again after C2."""
    connection = Connection(nonce=b"n")

    feed(connection, C0_C1[:-1], step)
    before = connection.data_to_send()
    feed(connection, C0_C1[-1:] + C2, step)

    assert before == []
    assert [len(data) for data in connection.data_to_send()] == [ANSWER_SIZE]


def test_the_dialogue_is_what_encoders_wait_for() -> None:
    """Window, bandwidth, chunk size, results in order, then NetStream.Publish.Start."""
    connection = Connection(nonce=b"n")
    feed(connection, HANDSHAKE + opening())

    messages = answers(connection)

    assert [message.type for message in messages[:3]] == [5, 6, 4]
    said = commands(messages)
    assert [(name, transaction) for name, transaction, *_ in said] == [
        ("_result", 1), ("_result", 2), ("_result", 3), ("onFCPublish", 0), ("_result", 4), ("onStatus", 0),
    ]  # fmt: skip
    assert said[0][3]["code"] == "NetConnection.Connect.Success"
    assert said[4][3] == 1.0
    assert said[5][3]["code"] == "NetStream.Publish.Start"
    assert messages[-1].stream_id == 1


def test_a_refused_publisher_reads_why() -> None:
    """onStatus of level error with the code and the sentence; the publish is over."""
    connection = Connection(nonce=b"n")
    connection.receive_data(HANDSHAKE + opening())
    request = connection.events_received()[-1]
    assert isinstance(request, PublishRequested)

    connection.refuse(request, "NetStream.Publish.BadName", "taken")

    (*_, status) = commands(answers(connection))
    assert status[3] == {"level": "error", "code": "NetStream.Publish.BadName", "description": "taken"}
    with pytest.raises(LocalProtocolError):
        connection.accept(request)


def test_a_running_publish_can_be_ended_by_us() -> None:
    """A kick: refuse answers a publish that was accepted before."""
    connection = publishing()

    connection.refuse(PublishRequested(1, "secret", "live"), "NetStream.Publish.Denied", "kicked")

    assert commands(answers(connection, skip=0))[0][3]["code"] == "NetStream.Publish.Denied"
    assert feed(connection, MEDIA) == []


def test_a_publisher_may_publish_again_on_its_connection() -> None:
    """After FCUnpublish, createStream and publish begin anew."""
    connection = publishing()
    again = command("createStream", 8, None) + command("publish", 9, None, "other", "live", stream_id=2)

    events = feed(connection, END + again) + feed(connection, chunk(8, audio_frame(), stream_id=2))

    assert events == [
        PublishStopped(1, "FCUnpublish"),
        PublishRequested(2, "other", "live"),
        MediaReceived(MediaKind.AUDIO, 0, audio_frame()),
    ]


def test_a_second_publish_beside_the_first_is_refused() -> None:
    """One publish a connection: BadName, and the first goes on."""
    connection = publishing()

    events = feed(connection, command("publish", 9, None, "other", "live", stream_id=2) + MEDIA)

    assert commands(answers(connection, skip=0))[0][3]["code"] == "NetStream.Publish.BadName"
    assert events == EVENTS[2:7]


@pytest.mark.parametrize("stop", ["closeStream", "deleteStream", "FCUnpublish"])
def test_each_way_to_stop_is_understood(stop: str) -> None:
    """Encoders differ in which they send."""
    arguments = {"closeStream": (None,), "deleteStream": (None, 1.0), "FCUnpublish": (None, "secret")}[stop]

    events = feed(publishing(), command(stop, 6, *arguments, stream_id=1 if stop == "closeStream" else 0))

    assert events == [PublishStopped(1, stop)]


def test_the_key_stands_in_no_representation() -> None:
    """Events may be logged: neither the key nor the app, which may hold it, is shown."""
    assert "secret" not in repr([PublishRequested(1, "secret", "live"), Connected("live/secret", "x")])


def test_pings_are_answered() -> None:
    """A ping request's time comes back (7.1.7)."""
    connection = publishing()
    feed(connection, chunk(4, b"\x00\x06\x01\x02\x03\x04", chunk_stream=2))

    assert answers(connection, skip=0) == [Message(4, 0, 0, b"\x00\x07\x01\x02\x03\x04")]


def test_bytes_are_acknowledged_twice_a_window() -> None:
    """After half of the window the peer announced, with the count of all bytes."""
    connection = publishing()
    feed(connection, chunk(5, (10_000).to_bytes(4, "big"), chunk_stream=2))
    connection.data_to_send()

    feed(connection, chunk(9, inter_frame(4_900), stream_id=1))

    (acknowledgement,) = answers(connection, skip=0)
    assert acknowledgement.type == 3
    assert int.from_bytes(acknowledgement.payload, "big") > 4_900


def test_aggregates_and_amf3_data_are_understood() -> None:
    """Type 22 is split, type 15 has one byte more."""
    body = audio_frame()
    sub = b"\x08" + len(body).to_bytes(3, "big") + bytes(7) + body + (len(body) + 11).to_bytes(4, "big")

    events = feed(
        publishing(),
        chunk(22, sub * 2, timestamp=500, stream_id=1) + chunk(15, b"\0" + metadata(width=1.0), stream_id=1),
    )

    assert events == [MediaReceived(MediaKind.AUDIO, 500, body)] * 2 + [MetadataReceived({"width": 1.0})]


@pytest.mark.parametrize(
    "data",
    [
        chunk(18, amf0.encode("onMetaData"), stream_id=1),
        chunk(18, amf0.encode("onTextData", {"a": 1}), stream_id=1),
        chunk(18, b"\xff\xff", stream_id=1),
        chunk(9, b"", stream_id=1),
        chunk(3, bytes(4)),
        chunk(4, b"\x00\x03" + bytes(8)),
        chunk(99, b"x"),
    ],
)
def test_what_means_nothing_costs_nothing(data: bytes) -> None:
    """Unknown data, empty frames, unreadable metadata: ignored and counted, the publish goes on."""
    connection = publishing()

    events = feed(connection, data + MEDIA)

    assert events == EVENTS[2:7]
    assert connection.ignored == 1


def test_an_unknown_command_is_answered_with_an_error() -> None:
    """The peer waits for an answer to its transaction."""
    connection = publishing()
    feed(connection, command("seek", 12, None, 5.0, stream_id=1))

    (said,) = commands(answers(connection, skip=0))
    assert said[:2] == ["_error", 12]
    assert said[3]["code"] == "NetConnection.Call.Failed"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GET / HTTP/1.1", "first byte 71"),
        (HANDSHAKE + MEDIA, "before connect"),
        (HANDSHAKE + command("publish", 1, None, "x", "live"), "before connect"),
        (HANDSHAKE + opening() + opening(), "connect is not possible while asking"),
        (
            HANDSHAKE + opening() + b"".join(command("createStream", 9, None) for _ in range(20)),
            "more than 16",
        ),
        (HANDSHAKE + chunk(1, (1).to_bytes(4, "big")), "chunk size 1"),
    ],
)
def test_a_breach_fails_the_connection_for_good(data: bytes, words: str) -> None:
    """The error says what was wrong; afterwards nothing is looked at any more."""
    connection = Connection(nonce=b"n")
    with pytest.raises(RemoteProtocolError, match=words):
        connection.receive_data(data)
    connection.events_received()

    connection.receive_data(HANDSHAKE + opening())

    assert connection.events_received() == []


def test_a_breach_is_named_to_a_peer_that_shook_hands() -> None:
    """A last onStatus with the sentence."""
    connection = Connection(nonce=b"n")
    with pytest.raises(RemoteProtocolError):
        connection.receive_data(HANDSHAKE + chunk(1, (1).to_bytes(4, "big")))

    (status,) = commands(answers(connection))
    assert status[3] == {
        "level": "error", "code": "NetStream.Failed", "description": "chunk size 1, at least 128",
    }  # fmt: skip


def test_media_before_our_answer_is_taken_once_it_is_given() -> None:
    """Not every encoder waits for Publish.Start, and codec headers come only once; a great key frame fits too."""
    connection = Connection(nonce=b"n")
    frame = chunk(8, audio_frame(), stream_id=1)
    great = chunk(9, b"\x17\x01" + bytes(100_000), stream_id=1, size=128)
    connection.receive_data(HANDSHAKE + opening() + frame + great)
    (*_, request) = connection.events_received()
    assert isinstance(request, PublishRequested)

    connection.accept(request)
    early = connection.events_received()

    assert [(event.kind, len(event.payload)) for event in early if isinstance(event, MediaReceived)] == [
        (MediaKind.AUDIO, len(audio_frame())), (MediaKind.VIDEO, 100_002),
    ]  # fmt: skip
    assert feed(connection, MEDIA) == EVENTS[2:7]
    assert connection.ignored == 0


def test_media_before_a_refusal_is_forgotten() -> None:
    """The next publish on the connection begins with its own."""
    connection = Connection(nonce=b"n")
    connection.receive_data(HANDSHAKE + opening() + chunk(8, audio_frame(), stream_id=1))
    (*_, request) = connection.events_received()
    assert isinstance(request, PublishRequested)
    connection.refuse(request, "NetStream.Publish.BadName", "taken")

    connection.receive_data(command("publish", 9, None, "other", stream_id=1))
    (again,) = connection.events_received()
    assert isinstance(again, PublishRequested)
    connection.accept(again)

    assert connection.events_received() == []


def test_a_stranger_gets_little_memory() -> None:
    """Before a publish is accepted a message has at most 64 KB; afterwards 8 MB."""
    big = b"\x04" + bytes(3) + (1 << 20).to_bytes(3, "big") + b"\x09\x01\0\0\0"
    stranger = Connection(nonce=b"n")
    feed(stranger, HANDSHAKE)

    with pytest.raises(RemoteProtocolError, match="1048576 bytes, at most 65536"):
        stranger.receive_data(big)

    assert feed(publishing(), big) == []


def test_a_nonce_is_needed() -> None:
    """An empty one is our fault."""
    with pytest.raises(LocalProtocolError):
        Connection(nonce=b"")
