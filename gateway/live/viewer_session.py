"""One viewer of one stream, whatever the protocol; and the book of those at this gateway. Pure: time is an argument.

A session of a protocol that holds a connection (FLV, fMP4) ends with it. One of HLS or DASH is inferred:
its id is in the addresses of the playlists, it is seen at each request, and over after a silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from bus_schemas.viewers import Protocol

SILENT_TARGETS: Final = 3
"""Target durations without a request after which an inferred session is over."""
SILENT_MIN_S: Final = 6.0


@dataclass(slots=True, eq=False)
class Session:
    """One viewer; times in seconds of the loop's clock."""

    id: str
    stream: str
    protocol: Protocol
    address: str
    began: float
    seen: float
    inferred: bool
    silence_s: float = SILENT_MIN_S
    """Of an inferred session: unseen for longer, it is over."""
    told: float = -1.0
    """When Redis was told last."""
    facts: dict[str, str | int | None] = field(default_factory=dict)
    """What hooks are told of it."""
    began_ms: int = 0
    """When it began, epoch ms; for hooks."""
    room: str | None = None
    """The stream's room."""
    user: str | None = None
    """Whose play token it began with; None where the stream wanted none."""
    carried: bool = False
    """Whether its player brings its id in a cookie."""
    waiting: int = 0
    """Requests of an inferred session that are held back."""
    is_cut: bool = False
    """Whether its viewer may not go on."""
    on_cut: Callable[[], None] | None = None
    """Closes the connection of one that has one."""

    @property
    def key(self) -> Key:
        """What tells it from all others."""
        return self.stream, self.protocol, self.id

    def expect(self, target_duration_s: float) -> None:
        """Requests come at least once in a target duration (or a manifest's update period)."""
        self.silence_s = max(SILENT_MIN_S, SILENT_TARGETS * target_duration_s)

    def is_silent(self, now: float) -> bool:
        """Whether an inferred session is over."""
        return self.inferred and not self.waiting and now - self.seen > self.silence_s


Key = tuple[str, Protocol, str]


class SessionBook:
    """The sessions of one gateway, by key and counted by stream."""

    def __init__(self) -> None:
        self._sessions: dict[Key, Session] = {}
        self._streams: dict[str, Counter[Protocol]] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def find(self, key: Key) -> Session | None:
        """The session of that key."""
        return self._sessions.get(key)

    def add(self, session: Session) -> None:
        """A new one."""
        assert session.key not in self._sessions
        self._sessions[session.key] = session
        self._streams.setdefault(session.stream, Counter())[session.protocol] += 1

    def remove(self, session: Session) -> bool:
        """It is over; False if it was before."""
        if self._sessions.get(session.key) is not session:
            return False
        del self._sessions[session.key]
        counts = self._streams[session.stream]
        counts[session.protocol] -= 1
        if not counts[session.protocol]:
            del counts[session.protocol]
        if not counts:
            del self._streams[session.stream]
        return True

    def counts(self, stream: str) -> dict[Protocol, int]:
        """Viewers here by protocol; protocols without any are left out."""
        return dict(self._streams.get(stream, {}))

    def totals(self) -> dict[str, int]:
        """Viewers here by stream."""
        return {stream: counts.total() for stream, counts in self._streams.items()}

    def silent(self, now: float) -> list[Session]:
        """Inferred sessions that are over."""
        return [session for session in self._sessions.values() if session.is_silent(now)]
