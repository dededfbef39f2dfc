"""Whether somebody is still there, and may be (DESIGN.md §8). Pure: times are arguments.

A socket is pinged every `ping_s`; any frame is a sign of life. Two pings without one, and a moment for the
answer to the second, and the peer is dead: at 20 s, and looked at each second, within 45 s of its last
sign, whether its end of the connection is gone or only reads nothing any more.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import Final

PINGS_MISSED_MAX: Final = 2
ANSWER_SHARE: Final = 0.15
"""Of an interval: how long the answer to the last ping may take."""
RTT_SAMPLES: Final = 4
_PAYLOAD: Final = struct.Struct("!d")


class Due(Enum):
    """What a socket has coming."""

    NOTHING = "nothing"
    PING = "ping"
    DEAD = "dead"
    """Nobody is there: cut it off."""
    EXPIRED = "expired"
    """Its token is over, and so is the time to bring another."""


class Liveness:
    """Pings of one socket (`now` in seconds, monotonic), and how long an expired token is still good for it."""

    __slots__ = ("_dead_at", "_grace_ms", "_missed", "_next_ping", "_ping_s", "_rtts", "rtt_ms")

    def __init__(self, now: float, *, ping_s: float, grace_s: float) -> None:
        self._ping_s = ping_s
        self._grace_ms = grace_s * 1000
        self._next_ping = now
        self._dead_at = now
        self._missed = 0
        self._rtts: list[float] = []
        self.rtt_ms = 0.0
        """The least round trip of the last few: what a pong waited for in a queue is not the way's length."""

    def heard(self) -> None:
        """A sign of life."""
        self._missed = 0

    def due(self, now: float, wall_ms: int, expires_at: int) -> Due:
        """What is to be done now; the last two are epoch ms."""
        if wall_ms > expires_at + self._grace_ms:
            return Due.EXPIRED
        if self._missed >= PINGS_MISSED_MAX:
            return Due.DEAD if now >= self._dead_at else Due.NOTHING
        return Due.PING if now >= self._next_ping else Due.NOTHING

    def ping(self, now: float) -> bytes:
        """The payload of a ping sent now; the pong brings it back."""
        # From when it was due, not from when somebody looked: lateness does not add up.
        following = self._next_ping + self._ping_s
        self._next_ping = following if following > now else now + self._ping_s
        self._missed += 1
        self._dead_at = now + self._ping_s * ANSWER_SHARE
        return _PAYLOAD.pack(now)

    def pong(self, payload: bytes, now: float) -> None:
        """A pong came; one that is no answer to a ping of ours is a sign of life only."""
        self._missed = 0
        if len(payload) != _PAYLOAD.size:
            return
        (sent,) = _PAYLOAD.unpack(payload)
        rtt_ms = (now - sent) * 1000
        if 0 <= rtt_ms <= self._ping_s * 1000 * PINGS_MISSED_MAX:
            self._rtts = [*self._rtts[1 - RTT_SAMPLES :], rtt_ms]
            self.rtt_ms = min(self._rtts)
