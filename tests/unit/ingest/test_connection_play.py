"""Playing, reconnecting and announcing: the parts of a connection that are not about publishing."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.ingest.rtmp_client import HANDSHAKE, chunk, command, key_frame, opening
from workers.ingest.rtmp import amf0
from workers.ingest.rtmp.capabilities import CapsEx
from workers.ingest.rtmp.chunks import ChunkReader
from workers.ingest.rtmp.connection import PLAY_CHUNK_SIZE, Connection
from workers.ingest.rtmp.errors import LocalProtocolError, RemoteProtocolError
from workers.ingest.rtmp.events import Connected, Event, PlayRequested, PlayStopped, PublishRequested
from workers.ingest.rtmp.messages import Message, MessageType
from workers.ingest.rtmp.state import State

ANSWER_SIZE = 1 + 2 * 1536
CONNECT = command("connect", 1, {"app": "live"}) + command("createStream", 2, None)


def feed(connection: Connection, data: bytes) -> list[Event]:
    connection.receive_data(data)
    return connection.events_received()


class Peer:
    """A connection as its player sees it."""

    def __init__(self, connect: bytes = CONNECT) -> None:
        self.connection = Connection(nonce=b"n")
        self.connected = feed(self.connection, HANDSHAKE + connect)
        self._chunks = ChunkReader()
        self._chunks.feed(b"".join(self.connection.data_to_send())[ANSWER_SIZE:])

    def ask(self, *name: Any) -> PlayRequested:
        (event,) = feed(self.connection, command("play", 3, None, *name, stream_id=1))
        assert isinstance(event, PlayRequested)
        return event

    def heard(self) -> list[Message]:
        return self._chunks.feed(b"".join(self.connection.data_to_send()))

    def statuses(self) -> list[str]:
        said = [amf0.decode(m.payload) for m in self.heard() if m.type == MessageType.COMMAND_AMF0]
        return [arguments[3]["code"] for arguments in said if arguments[0] == "onStatus"]


@pytest.mark.parametrize(
    ("app", "name", "stream", "token", "query"),
    [
        ("live", "abc", "abc", "", ""),
        ("live", "abc?token=T", "abc", "T", ""),
        ("live", "abc?token=T&lang=en", "abc", "T", "lang=en"),
        ("live/abc", "", "abc", "", ""),
        ("live/abc?token=T", "", "abc", "T", ""),
        ("live", '"abc"', "abc", "", ""),
        ("live", "", "", "", ""),
        ("live", "x" * 300, "", "", ""),
    ],
)
def test_what_is_to_be_played(app: str, name: str, stream: str, token: str, query: str) -> None:
    """The stream in name or application, the token behind `?` of either."""
    peer = Peer(command("connect", 1, {"app": app}) + command("createStream", 2, None))

    assert peer.ask(name) == PlayRequested(1, stream, token, "live", query)


def test_a_play_without_a_name_asks_for_nothing() -> None:
    """The owner refuses it in words."""
    assert Peer().ask().stream == ""


def test_an_accepted_play_hears_what_players_wait_for() -> None:
    """The chunk size of the shared bytes, StreamBegin, Reset, Start, sample access, Data.Start."""
    peer = Peer()
    peer.connection.accept(peer.ask("abc"))

    messages = peer.heard()

    assert peer._chunks._chunk_size == PLAY_CHUNK_SIZE
    assert messages[0] == Message(MessageType.USER_CONTROL, 0, 0, b"\0\0\0\0\0\x01")
    said = [(m.stream_id, amf0.decode(m.payload)) for m in messages[1:]]
    assert all(stream == 1 for stream, _ in said)
    assert [values[3]["code"] for _, values in said[:2]] == ["NetStream.Play.Reset", "NetStream.Play.Start"]
    assert said[2][1] == ["|RtmpSampleAccess", True, True]
    assert said[3][1] == ["onStatus", {"code": "NetStream.Data.Start"}]


def test_a_refused_play_is_told_why_and_may_ask_again() -> None:
    """As text of level error."""
    peer = Peer()
    peer.connection.refuse(peer.ask("abc"), "NetStream.Play.StreamNotFound", "nobody publishes this")

    (message,) = peer.heard()
    assert amf0.decode(message.payload)[3] == {
        "level": "error", "code": "NetStream.Play.StreamNotFound", "description": "nobody publishes this",
    }  # fmt: skip
    assert peer.ask("other").stream == "other"


def test_the_end_of_a_stream_is_told_in_every_way_players_know() -> None:
    """UnpublishNotify, StreamEOF, Stop; then another play may follow."""
    peer = Peer()
    request = peer.ask("abc")
    peer.connection.accept(request)
    peer.heard()

    peer.connection.end_play(request, "the stream is over")

    messages = peer.heard()
    assert [m.type for m in messages] == [20, 4, 20]
    assert messages[1].payload == b"\0\x01\0\0\0\x01"
    assert peer.ask("abc").stream == "abc"


@pytest.mark.parametrize(
    "stop", [command("closeStream", 0, None, stream_id=1), command("deleteStream", 0, None, 1.0)]
)
@pytest.mark.parametrize("accepted", [True, False])
def test_a_player_stops(stop: bytes, accepted: bool) -> None:
    """Before or after our answer."""
    peer = Peer()
    request = peer.ask("abc")
    if accepted:
        peer.connection.accept(request)

    assert feed(peer.connection, stop) == [PlayStopped(1)]
    assert peer.connection.state is State.READY


def test_a_connection_plays_or_publishes() -> None:
    """Neither beside the other; media of a player is nothing."""
    peer = Peer()
    peer.connection.accept(peer.ask("abc"))
    peer.heard()

    events = feed(
        peer.connection,
        command("publish", 5, None, "k", "live", stream_id=1)
        + command("play", 6, None, "abc", stream_id=1)
        + chunk(9, key_frame(), stream_id=1, chunk_stream=6),
    )

    assert events == []
    assert peer.statuses() == ["NetStream.Publish.BadName", "NetStream.Play.Failed"]


def test_a_play_before_connect_is_a_fault() -> None:
    """As with every command."""
    with pytest.raises(RemoteProtocolError, match="before connect"):
        feed(Connection(nonce=b"n"), HANDSHAKE + command("play", 1, None, "x"))


def test_the_length_of_a_live_stream_is_none() -> None:
    """ffmpeg asks."""
    peer = Peer()
    feed(peer.connection, command("getStreamLength", 8, None, "abc"))

    assert amf0.decode(peer.heard()[0].payload) == ["_result", 8, None, 0.0]


def test_our_own_mistakes_are_ours() -> None:
    """Accepting, refusing or ending what nobody asked for."""
    peer = Peer()
    nobody = PlayRequested(7, "x", "")
    acts: list[Callable[[], object]] = [
        lambda: peer.connection.accept(nobody),
        lambda: peer.connection.refuse(nobody, "c", "d"),
        lambda: peer.connection.end_play(nobody, "d"),
        lambda: Connection(nonce=b"n").ask_to_reconnect("d"),
    ]
    for act in acts:
        with pytest.raises(LocalProtocolError):
            act()


@pytest.mark.parametrize(
    ("value", "caps"),
    [
        (1.0, CapsEx.RECONNECT),
        (15.0, CapsEx.RECONNECT | CapsEx.MULTITRACK | CapsEx.MOD_EX | CapsEx.TIMESTAMP_NANO_OFFSET),
        (255.0, CapsEx(15)),
        (-1.0, CapsEx.NONE),
        (float("nan"), CapsEx.NONE),
        (1e300, CapsEx.NONE),
        ("1", CapsEx.NONE),
    ],
)
def test_what_a_peer_can_of_enhanced_rtmp(value: object, caps: CapsEx) -> None:
    """`capsEx` of connect; nonsense is nothing."""
    peer = Peer(command("connect", 1, {"app": "live", "capsEx": value}))

    assert peer.connected == [Connected("live", "", caps)]


def test_the_request_to_reconnect() -> None:
    """onStatus of level status on the connection itself, and the publish goes on."""
    connection = Connection(nonce=b"n")
    request = next(e for e in feed(connection, HANDSHAKE + opening()) if isinstance(e, PublishRequested))
    connection.accept(request)
    reader = ChunkReader()
    reader.feed(b"".join(connection.data_to_send())[ANSWER_SIZE:])

    connection.ask_to_reconnect("this server stops")

    (message,) = reader.feed(b"".join(connection.data_to_send()))
    assert message.stream_id == 0
    assert amf0.decode(message.payload)[3] == {
        "level": "status",
        "code": "NetConnection.Connect.ReconnectRequest",
        "description": "this server stops",
    }
    assert connection.state is State.PUBLISHING


def test_a_bandwidth_is_answered_by_the_window() -> None:
    """Set Peer Bandwidth (5.4.5) wants a Window Acknowledgement Size back."""
    peer = Peer()
    feed(peer.connection, chunk(6, (5_000_000).to_bytes(4, "big") + b"\x02", chunk_stream=2))

    (message,) = peer.heard()
    assert (message.type, message.payload) == (5, (5_000_000).to_bytes(4, "big"))
