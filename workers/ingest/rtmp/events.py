"""What a connection tells its owner, in the order it happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from workers.ingest.rtmp.capabilities import CapsEx


class MediaKind(IntEnum):
    """The RTMP message types that carry media (RTMP 1.0, 7.1); the numbers are also FLV's tag types."""

    AUDIO = 8
    VIDEO = 9


@dataclass(frozen=True, slots=True)
class Connected:
    """The peer sent `connect` and was answered."""

    app: str = field(repr=False)
    """As sent; it may carry the stream key, so it is never shown."""
    encoder: str
    """What the peer calls itself (`flashVer`), at most 128 characters, printable."""
    caps: CapsEx = CapsEx.NONE
    """What it can of enhanced RTMP."""


@dataclass(frozen=True, slots=True)
class PublishRequested:
    """The peer wants to publish; answer with `Connection.accept` or `Connection.refuse`."""

    stream_id: int
    key: str = field(repr=False)
    """The stream key as found in name, app or query; empty when there is none."""
    app: str = ""
    """First part of the application's path."""
    query: str = field(default="", repr=False)
    """What stood behind `?` of name or application, the key taken out."""


class MediaReceived(NamedTuple):
    """One audio or video message of the accepted publish."""

    kind: MediaKind
    timestamp: int
    """As the peer sent it: ms, 32 bits, unsigned, unrepaired."""
    payload: bytes
    """AUDIODATA or VIDEODATA of FLV E.4; never empty."""


@dataclass(frozen=True, slots=True)
class MetadataReceived:
    """`onMetaData` of the accepted publish."""

    values: dict[str, Any]
    """Decoded AMF0 properties; hostile in names, types and sizes."""


@dataclass(frozen=True, slots=True)
class PlayRequested:
    """The peer wants to play; answer with `Connection.accept` or `Connection.refuse`."""

    stream_id: int
    stream: str
    """The stream's public id as sent; hostile, empty when there is none."""
    token: str = field(repr=False)
    """`?token=`, empty when there is none."""
    app: str = ""
    query: str = field(default="", repr=False)
    """What stood behind `?`, the token taken out."""


@dataclass(frozen=True, slots=True)
class PlayStopped:
    """The peer ended its play on purpose."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class PublishStopped:
    """The peer ended its publish on purpose (FCUnpublish, deleteStream or closeStream)."""

    stream_id: int
    command: str


Event = (
    Connected
    | PublishRequested
    | MediaReceived
    | MetadataReceived
    | PublishStopped
    | PlayRequested
    | PlayStopped
)
