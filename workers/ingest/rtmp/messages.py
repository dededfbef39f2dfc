"""RTMP messages (RTMP 1.0, 5.4, 7.1): their types, and the bytes of those this server sends."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Final, NamedTuple

from workers.ingest.rtmp import amf0
from workers.ingest.rtmp.errors import RemoteProtocolError

MAX_MESSAGE_SIZE: Final = 8 * 1024 * 1024
"""Bytes of one message; a 4K key frame has under 2 MB, and the bus carries 8 MB at most."""


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


def decode_command(message: Message) -> Command:
    """A command of type 20, or of type 17 whose first byte is skipped; raises `RemoteProtocolError`."""
    payload = message.payload[1:] if message.type == MessageType.COMMAND_AMF3 else message.payload
    values = amf0.decode(payload)
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


def encode(kind: int, payload: bytes, *, chunk_stream: int, stream_id: int = 0, chunk_size: int) -> bytes:
    """One message at timestamp 0 as chunks, type 0 then type 3; chunk streams 2 to 63 (5.3.1)."""
    header = struct.pack("!B3s3sBI", chunk_stream, b"\0\0\0", len(payload).to_bytes(3, "big"), kind, 0)
    header = header[:-4] + stream_id.to_bytes(4, "little")
    parts = [header, payload[:chunk_size]]
    for at in range(chunk_size, len(payload), chunk_size):
        parts += (bytes((0xC0 | chunk_stream,)), payload[at : at + chunk_size])
    return b"".join(parts)
