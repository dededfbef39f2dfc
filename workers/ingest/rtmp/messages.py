"""RTMP messages (RTMP 1.0, 5.4, 7.1): their types, and the bytes of those this server sends."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Final, NamedTuple

from workers.ingest.rtmp import amf0
from workers.ingest.rtmp.errors import RemoteProtocolError

MAX_MESSAGE_SIZE: Final = 8 * 1024 * 1024
"""Bytes of one message; a 4K key frame has under 2 MB, and the bus carries 8 MB at most."""


EXTENDED: Final = 0xFFFFFF
"""A timestamp field that says: the timestamp stands behind the header, in 32 bits (5.3.1.3)."""


class MessageType(IntEnum):
    """Message type ids (5.4, 6.2, 7.1)."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_ACK_SIZE = 5
    SET_PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    COMMAND_AMF3 = 17
    DATA_AMF0 = 18
    COMMAND_AMF0 = 20
    AGGREGATE = 22


class UserControl(IntEnum):
    """User control event types this server speaks (6.2, 7.1.7)."""

    STREAM_BEGIN = 0
    STREAM_EOF = 1
    PING_REQUEST = 6
    PING_RESPONSE = 7


class Message(NamedTuple):
    """One whole message, its chunks joined."""

    type: int
    stream_id: int
    timestamp: int
    """Absolute, ms, 32 bits."""
    payload: bytes


class Command(NamedTuple):
    """A decoded command message (7.2)."""

    name: str
    transaction: float
    arguments: list[Any]
    """What follows the transaction id; the first is the command object or None."""

    def argument(self, index: int) -> Any:
        """The argument at `index`, None when the peer sent fewer."""
        return self.arguments[index] if index < len(self.arguments) else None


def u32(payload: bytes, what: str) -> int:
    """The 32-bit number at the start of a control message; raises `RemoteProtocolError` when cut off."""
    if len(payload) < 4:
        raise RemoteProtocolError(f"{what} of {len(payload)} bytes, expected 4")
    return int.from_bytes(payload[:4], "big")


def amf_payload(message: Message) -> bytes:
    """The AMF0 of a command or data message: types 15 and 17 have a 0 in front, which some peers leave out."""
    with_format = message.type in (MessageType.COMMAND_AMF3, MessageType.DATA_AMF3)
    return message.payload[1:] if with_format and message.payload[:1] == b"\0" else message.payload


def decode_command(message: Message) -> Command:
    """A command of type 20, or of type 17; raises `RemoteProtocolError`."""
    values = amf0.decode(amf_payload(message))
    if len(values) < 2 or not isinstance(values[0], str) or not isinstance(values[1], float):
        raise RemoteProtocolError("a command must begin with its name and its transaction id")
    return Command(values[0], values[1], values[2:])


def split_aggregate(message: Message) -> Iterator[Message]:
    """The messages within an aggregate (7.1.6), on absolute time; raises `RemoteProtocolError`."""
    payload = message.payload
    at, first = 0, None
    while at < len(payload):
        body = at + 11
        if body > len(payload):
            raise RemoteProtocolError("aggregate message cut off in a sub-message header")
        size = int.from_bytes(payload[at + 1 : at + 4], "big")
        after = body + size + 4
        if after > len(payload):
            raise RemoteProtocolError("aggregate message cut off in a sub-message")
        timestamp = int.from_bytes(payload[at + 4 : at + 7], "big") | payload[at + 7] << 24
        if first is None:
            first = timestamp
        absolute = (message.timestamp + timestamp - first) & 0xFFFFFFFF
        yield Message(payload[at], message.stream_id, absolute, payload[body : body + size])
        at = after


def encode(
    kind: int,
    payload: bytes,
    *,
    chunk_stream: int,
    stream_id: int = 0,
    chunk_size: int,
    timestamp: int = 0,
) -> bytes:
    """One message as chunks, type 0 then type 3; chunk streams 2 to 63 (5.3.1), `timestamp` modulo 2**32."""
    timestamp &= 0xFFFFFFFF
    size = len(payload)
    extended = timestamp.to_bytes(4, "big") if timestamp >= EXTENDED else b""
    header = b"".join(
        (
            bytes((chunk_stream,)),
            min(timestamp, EXTENDED).to_bytes(3, "big"),
            size.to_bytes(3, "big"),
            bytes((kind,)),
            stream_id.to_bytes(4, "little"),
            extended,
        )
    )
    if size <= chunk_size:
        return header + payload
    # 5.3.1.3: the extended timestamp stands in each chunk of the message.
    again = bytes((0xC0 | chunk_stream,)) + extended
    parts = [header, payload[:chunk_size]]
    for at in range(chunk_size, size, chunk_size):
        parts += (again, payload[at : at + chunk_size])
    return b"".join(parts)
