"""Viewer sessions as they stand in Redis: the gateways write them, whoever wants to know counts them.

A sorted set for each stream and protocol: ids of sessions, scored by when each expires (epoch ms). A member
whose time has passed is none.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Protocol(StrEnum):
    """How somebody watches: a label of metrics, a key of the API, part of a key in Redis."""

    FLV = "flv"
    WS_FLV = "ws-flv"
    HLS = "hls"
    """With fragmented MP4 or MPEG-TS segments, low latency or not."""
    DASH = "dash"
    MP4 = "mp4"
    RTMP = "rtmp"


PROTOCOLS: Final = tuple(Protocol)


def sessions_key(stream: str, protocol: Protocol) -> str:
    """The key of a stream's sorted set."""
    return f"matinee:sessions:{stream}:{protocol.value}"
