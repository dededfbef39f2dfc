"""One RTMP connection from the server's side, sans-I/O.

The owner of socket and clock feeds `receive_data`, writes what `data_to_send` holds and acts on
`events_received`. A `PublishRequested` or `PlayRequested` waits for `accept` or `refuse`. After an error
nothing that arrives is looked at any more.
"""

from __future__ import annotations

from typing import Any, Final

from workers.ingest.rtmp import amf0, capabilities, handshake, messages
from workers.ingest.rtmp.chunks import DEFAULT_CHUNK_SIZE, ChunkReader
from workers.ingest.rtmp.errors import AmfError, LocalProtocolError, RemoteProtocolError
from workers.ingest.rtmp.events import (
    Connected,
    Event,
    MediaKind,
    MediaReceived,
    MetadataReceived,
    PlayRequested,
    PlayStopped,
    PublishRequested,
    PublishStopped,
)
from workers.ingest.rtmp.keys import find_played, find_stream_key, first_part, other_query
from workers.ingest.rtmp.messages import Command, Message, MessageType, UserControl
from workers.ingest.rtmp.state import TRANSITIONS, Act, State

WINDOW_ACK_SIZE: Final = 2_500_000
"""Bytes the peer may send un-acknowledged, and what we take its window for until it says."""
OUR_CHUNK_SIZE: Final = 4096
"""Every answer of ours fits one chunk."""
PLAY_CHUNK_SIZE: Final = 65_536
"""To players: all get the same bytes, so all have the same chunk size."""
MAX_MESSAGE_UNKNOWN: Final = 64 << 10
"""Bytes of one message before a publish is accepted: strangers send commands, and get no memory for more."""
MAX_STREAMS: Final = 16
"""createStream calls on one connection; an encoder needs one for each publish."""

_CONTROL_STREAM: Final = 2
_COMMAND_STREAM: Final = 3
_STATUS_STREAM: Final = 5
_MAX_ENCODER_NAME: Final = 128
_PUBLISHED: Final = frozenset(
    {
        MessageType.AUDIO,
        MessageType.VIDEO,
        MessageType.DATA_AMF0,
        MessageType.DATA_AMF3,
        MessageType.AGGREGATE,
    }
)
_MEDIA: Final[dict[int, MediaKind]] = {int(kind): kind for kind in MediaKind}
_PUBLISHING: Final = State.PUBLISHING
"""Looked up once: at every message a member of an enum is a call (Python 3.11)."""
_BUSY: Final = frozenset({State.ASKING, State.PUBLISHING, State.ASKING_TO_PLAY, State.PLAYING})


class Connection:
    """Bytes in; events and bytes out."""

    def __init__(self, *, nonce: bytes) -> None:
        if not nonce:
            raise LocalProtocolError("the handshake needs at least one byte of nonce")
        self._nonce = nonce
        self._state = State.HANDSHAKE
        self._shake = bytearray()
        self._answered = False
        self._chunks = ChunkReader(stops_at_commands=True)
        self._chunks.max_message = MAX_MESSAGE_UNKNOWN
        self._events: list[Event] = []
        self._writes: list[bytes] = []
        self._early: list[Message] = []
        """What a publisher sent before he was let in."""
        self._app = ""
        self._next_stream_id = 1
        self._stream = 0
        """The message stream of the publish or play."""
        self._received = 0
        self._acknowledged = 0
        self._ack_every = WINDOW_ACK_SIZE // 2
        self._sent_chunk_size = DEFAULT_CHUNK_SIZE
        self.ignored = 0
        """Messages that meant nothing here: empty, unknown, or media nobody waits for."""

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._state

    def receive_data(self, data: bytes) -> None:
        """Take what the socket gave; raises `RemoteProtocolError`, after which all is discarded."""
        if self._state is State.FAILED:
            return
        try:
            self._received += len(data)
            if self._state is State.HANDSHAKE:
                self._shake += data
                data = self._shake_hands()
            if data:
                received = self._chunks.feed(data)
                while received:
                    self._on_messages(received)
                    received = self._chunks.feed(b"") if self._chunks.stopped else []
                if self._chunks.fault is not None:
                    raise self._chunks.fault
            if self._received - self._acknowledged >= self._ack_every:
                self._acknowledged = self._received
                total = (self._received & 0xFFFFFFFF).to_bytes(4, "big")
                self._send(MessageType.ACKNOWLEDGEMENT, total, _CONTROL_STREAM)
        except RemoteProtocolError as error:
            if self._state is not State.HANDSHAKE:
                self._send_status(self._stream, "error", "NetStream.Failed", str(error))
            self._move(Act.FAIL)
            raise

    def events_received(self) -> list[Event]:
        """What happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    @property
    def has_data_to_send(self) -> bool:
        """Whether `data_to_send` gives anything."""
        return bool(self._writes)

    def data_to_send(self) -> list[bytes]:
        """What to write since the last call, in order."""
        writes, self._writes = self._writes, []
        return writes

    def accept(self, request: PublishRequested | PlayRequested) -> None:
        """Let the publish or play begin; raises `LocalProtocolError` when none waits.

        After a play was accepted, its media goes out as `playing.encode` made it.
        """
        stream = self._check_asked(request)
        self._move(Act.ACCEPT, remote=False)
        if isinstance(request, PublishRequested):
            self._send_control(UserControl.STREAM_BEGIN, stream)
            self._send_status(stream, "status", "NetStream.Publish.Start", "publishing")
            early, self._early = self._early, []
            self._on_messages(early)
            return
        self._set_chunk_size(PLAY_CHUNK_SIZE)
        self._send_control(UserControl.STREAM_BEGIN, stream)
        self._send_status(stream, "status", "NetStream.Play.Reset", "playing another stream")
        self._send_status(stream, "status", "NetStream.Play.Start", "playing")
        # Flash forbids a player to look at the pictures unless it is told that it may.
        access = amf0.encode("|RtmpSampleAccess", True, True)
        self._send(MessageType.DATA_AMF0, access, _STATUS_STREAM, stream)
        started = amf0.encode("onStatus", {"code": "NetStream.Data.Start"})
        self._send(MessageType.DATA_AMF0, started, _STATUS_STREAM, stream)

    def refuse(self, request: PublishRequested | PlayRequested, code: str, description: str) -> None:
        """Answer a publish or play with `onStatus` error `code`, or end one that runs; then the owner closes.

        `code` is one that encoders and players know: NetStream.Publish.BadName, NetStream.Play.StreamNotFound …
        Raises `LocalProtocolError` when none waits or runs on that stream.
        """
        stream = self._check_asked(request)
        self._move(Act.REFUSE, remote=False)
        self._send_status(stream, "error", code, description)
        self._stream = 0

    def end_play(self, request: PlayRequested, description: str) -> None:
        """Tell the player that the stream is over; raises `LocalProtocolError` unless he plays it."""
        stream = self._check_asked(request)
        self._move(Act.REFUSE, remote=False)
        self._send_status(stream, "status", "NetStream.Play.UnpublishNotify", description)
        self._send_control(UserControl.STREAM_EOF, stream)
        self._send_status(stream, "status", "NetStream.Play.Stop", description)
        self._stream = 0

    def ask_to_reconnect(self, description: str) -> None:
        """Ask a peer that said it can (`CapsEx.RECONNECT`) to come again, to the same address (E-RTMP v2).

        It goes on as before until it does. Raises `LocalProtocolError` before it is connected.
        """
        if self._state in (State.HANDSHAKE, State.OPENING, State.FAILED):
            raise LocalProtocolError("nobody is connected who could reconnect")
        self._send_status(0, "status", "NetConnection.Connect.ReconnectRequest", description)

    def _check_asked(self, request: PublishRequested | PlayRequested) -> int:
        if request.stream_id != self._stream:
            raise LocalProtocolError(f"nothing waits or runs on stream {request.stream_id}")
        return self._stream

    def _move(self, act: Act, *, remote: bool = True) -> None:
        after = TRANSITIONS.get((self._state, act))
        if after is None:
            error = RemoteProtocolError if remote else LocalProtocolError
            raise error(f"{act.name.lower()} is not possible while {self._state.name.lower()}")
        self._state = after

    def _shake_hands(self) -> bytes:
        """Go on with the handshake; what follows it belongs to the chunk stream."""
        shake = self._shake
        if shake:
            handshake.check_version(shake[0])
        if not self._answered and len(shake) >= handshake.C0_C1_SIZE:
            self._writes.append(handshake.answer(bytes(shake[1 : handshake.C0_C1_SIZE]), self._nonce))
            self._answered = True
        whole = handshake.C0_C1_SIZE + handshake.PACKET_SIZE
        if len(shake) < whole:
            return b""
        rest = bytes(shake[whole:])
        self._shake = bytearray()
        self._move(Act.SHOOK_HANDS)
        return rest

    def _on_messages(self, received: list[Message]) -> None:
        for message in received:
            kind, _, timestamp, payload = message
            media = _MEDIA.get(kind)
            if media is not None and payload and self._state is _PUBLISHING:
                self._events.append(MediaReceived(media, timestamp, payload))
            else:
                self._on_message(message)

    def _on_message(self, message: Message) -> None:
        kind = message.type
        if self._state is State.ASKING and kind in _PUBLISHED:
            self._keep_early(message)
        elif kind in _MEDIA:
            self._ignore_media()
        elif kind in (MessageType.COMMAND_AMF0, MessageType.COMMAND_AMF3):
            self._on_command(message.stream_id, messages.decode_command(message))
        elif kind in (MessageType.DATA_AMF0, MessageType.DATA_AMF3):
            self._on_data(message)
        elif kind == MessageType.AGGREGATE:
            for part in messages.split_aggregate(message):
                if part.type == MessageType.AGGREGATE:
                    raise RemoteProtocolError("an aggregate message within an aggregate message")
                self._on_messages([part])
        elif kind == MessageType.WINDOW_ACK_SIZE:
            # Half of it, so that an acknowledgement is on its way before the peer must stop.
            self._ack_every = max(1, messages.u32(message.payload, "Window Acknowledgement Size") // 2)
        elif kind == MessageType.SET_PEER_BANDWIDTH:
            self._send(MessageType.WINDOW_ACK_SIZE, message.payload[:4].rjust(4, b"\0"), _CONTROL_STREAM)
        elif kind == MessageType.USER_CONTROL:
            self._on_user_control(message.payload)
        else:
            self.ignored += 1

    def _keep_early(self, message: Message) -> None:
        """Not every encoder waits for our answer, and codec headers come only once."""
        if sum(len(one.payload) for one in self._early) + len(message.payload) > messages.MAX_MESSAGE_SIZE:
            self.ignored += 1
        else:
            self._early.append(message)

    def _ignore_media(self) -> None:
        if self._state is State.OPENING:
            raise RemoteProtocolError("media before connect")
        self.ignored += 1

    def _on_user_control(self, payload: bytes) -> None:
        if payload[:2] == UserControl.PING_REQUEST.to_bytes(2, "big"):
            self._send_control(UserControl.PING_RESPONSE, messages.u32(payload[2:], "Ping Request"))
        else:
            self.ignored += 1

    def _on_data(self, message: Message) -> None:
        """`@setDataFrame` in front is taken off; what cannot be read costs the peer only its metadata."""
        if self._state is not State.PUBLISHING:
            self._ignore_media()
            return
        try:
            values = amf0.decode(messages.amf_payload(message))
        except AmfError:
            values = []
        if values and values[0] == "@setDataFrame":
            values = values[1:]
        if len(values) >= 2 and values[0] == "onMetaData" and isinstance(values[1], dict):
            self._events.append(MetadataReceived(values[1]))
        else:
            self.ignored += 1

    def _on_command(self, stream_id: int, command: Command) -> None:
        if self._state is State.OPENING and command.name != "connect":
            raise RemoteProtocolError("a command before connect")
        match command.name:
            case "connect":
                self._on_connect(command)
            case "createStream":
                if self._next_stream_id > MAX_STREAMS:
                    raise RemoteProtocolError(f"more than {MAX_STREAMS} streams on one connection")
                self._send_command("_result", command.transaction, None, self._next_stream_id)
                self._next_stream_id += 1
            case "publish":
                self._on_publish(stream_id, command)
            case "FCPublish":
                status = {"level": "status", "code": "NetStream.Publish.Start", "description": "go ahead"}
                self._send_command("_result", command.transaction, None, None)
                self._send_command("onFCPublish", 0, None, status)
            case "releaseStream" | "_checkbw" | "FCSubscribe":
                self._send_command("_result", command.transaction, None, None)
            case "play":
                self._on_play(stream_id, command)
            case "getStreamLength":
                self._send_command("_result", command.transaction, None, 0.0)
            case "FCUnpublish" | "deleteStream" | "closeStream":
                self._on_stop(stream_id, command)
            case _:
                self._on_unknown(command)

    def _on_unknown(self, command: Command) -> None:
        self.ignored += 1
        if command.transaction:
            status = {"level": "error", "code": "NetConnection.Call.Failed", "description": "no such command"}
            self._send_command("_error", command.transaction, None, status)

    def _on_connect(self, command: Command) -> None:
        self._move(Act.CONNECT)
        raw = command.argument(0)
        properties: dict[str, Any] = raw if isinstance(raw, dict) else {}
        app, encoder = properties.get("app"), properties.get("flashVer")
        self._app = app if isinstance(app, str) else ""
        shown = encoder if isinstance(encoder, str) else ""
        shown = "".join(c for c in shown[:_MAX_ENCODER_NAME] if c.isprintable())
        self._events.append(Connected(self._app, shown, capabilities.read_caps(properties)))
        window = WINDOW_ACK_SIZE.to_bytes(4, "big")
        self._send(MessageType.WINDOW_ACK_SIZE, window, _CONTROL_STREAM)
        self._send(MessageType.SET_PEER_BANDWIDTH, window + b"\x02", _CONTROL_STREAM)
        self._set_chunk_size(OUR_CHUNK_SIZE)
        self._send_control(UserControl.STREAM_BEGIN, 0)
        announced = capabilities.announced()
        self._send_command(
            "_result",
            command.transaction,
            {"fmsVer": "FMS/3,5,7,7009", "capabilities": 31, "mode": 1, **announced},
            {
                "level": "status",
                "code": "NetConnection.Connect.Success",
                "description": "connected",
                "objectEncoding": 0,
                # Peers look for these here or in the properties before it; the document leaves it open.
                **announced,
            },
        )

    def _on_publish(self, stream_id: int, command: Command) -> None:
        if self._state in _BUSY:
            description = "this connection is not free"
            self._send_status(stream_id, "error", "NetStream.Publish.BadName", description)
            return
        self._move(Act.PUBLISH)
        # What follows at once is a publisher's; its owner reads no more until he has decided.
        self._chunks.max_message = messages.MAX_MESSAGE_SIZE
        self._early.clear()
        name = command.argument(1)
        text = name if isinstance(name, str) else ""
        # 0 is the connection itself; some encoders publish on it, and answers must go back there.
        self._stream = stream_id
        self._events.append(
            PublishRequested(
                stream_id,
                find_stream_key(self._app, text),
                first_part(self._app),
                other_query(self._app, text, "key"),
            )
        )

    def _on_play(self, stream_id: int, command: Command) -> None:
        if self._state in _BUSY:
            description = "this connection is not free"
            self._send_status(stream_id, "error", "NetStream.Play.Failed", description)
            return
        self._move(Act.PLAY)
        name = command.argument(1)
        text = name if isinstance(name, str) else ""
        self._stream = stream_id
        stream, token = find_played(self._app, text)
        query = other_query(self._app, text, "token")
        self._events.append(PlayRequested(stream_id, stream, token, first_part(self._app), query))

    def _on_stop(self, stream_id: int, command: Command) -> None:
        if command.name == "FCUnpublish":
            self._send_command("_result", command.transaction, None, None)
        if command.name == "deleteStream":
            argument = command.argument(1)
            named = int(argument) if isinstance(argument, float) and 0 <= argument < 2**32 else 0
        else:
            named = stream_id or self._stream
        plays = self._state in (State.ASKING_TO_PLAY, State.PLAYING)
        if self._state not in _BUSY or named != self._stream or (plays and command.name == "FCUnpublish"):
            self.ignored += 1
            return
        self._move(Act.STOP)
        self._stream = 0
        if plays:
            self._events.append(PlayStopped(named))
            return
        self._send_status(named, "status", "NetStream.Unpublish.Success", "stopped")
        self._events.append(PublishStopped(named, command.name))

    def _set_chunk_size(self, size: int) -> None:
        self._send(MessageType.SET_CHUNK_SIZE, size.to_bytes(4, "big"), _CONTROL_STREAM)
        self._sent_chunk_size = size

    def _send(self, kind: int, payload: bytes, chunk_stream: int, stream_id: int = 0) -> None:
        self._writes.append(
            messages.encode(
                kind,
                payload,
                chunk_stream=chunk_stream,
                stream_id=stream_id,
                chunk_size=self._sent_chunk_size,
            )
        )

    def _send_control(self, event: UserControl, value: int) -> None:
        payload = event.to_bytes(2, "big") + value.to_bytes(4, "big")
        self._send(MessageType.USER_CONTROL, payload, _CONTROL_STREAM)

    def _send_command(self, name: str, transaction: float, *arguments: Any) -> None:
        self._send(MessageType.COMMAND_AMF0, amf0.encode(name, transaction, *arguments), _COMMAND_STREAM)

    def _send_status(self, stream_id: int, level: str, code: str, description: str) -> None:
        payload = amf0.encode("onStatus", 0, None, {"level": level, "code": code, "description": description})
        self._send(MessageType.COMMAND_AMF0, payload, _STATUS_STREAM, stream_id)
