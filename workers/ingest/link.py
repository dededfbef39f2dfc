"""What a connection's roles may ask of the socket's side."""

from __future__ import annotations

from typing import Protocol

from workers.ingest.rtmp.capabilities import CapsEx
from workers.ingest.rtmp.connection import Connection


class Link(Protocol):
    """One RTMP connection as publisher and player see it."""

    id: str
    """Unique over all workers."""
    address: str
    """Host of the peer."""
    secure: bool
    encoder: str
    caps: CapsEx
    """What the peer can of enhanced RTMP."""
    connection: Connection

    @property
    def closing(self) -> bool:
        """Whether nothing more may be said."""

    def write(self) -> None:
        """Send what the protocol has to say."""

    def go_on(self) -> None:
        """Act on what the protocol has understood beside the socket: what came before an answer."""

    def send(self, data: bytes) -> None:
        """Write bytes as they are, behind what `write` sent."""

    def unsent(self) -> int:
        """Bytes written that the socket did not take yet."""

    def silent_s(self) -> float:
        """How long nothing came from the peer; 0 while we do not read."""

    def close(self, why: str, reason: str) -> None:
        """Say no more, read no more, and be gone within a second; `why` is logged, `reason` counted."""

    def pause(self, cause: str) -> None:
        """Read nothing until every cause is resumed."""

    def resume(self, cause: str) -> None:
        """This cause is over."""

    def became(self, stream: str | None) -> None:
        """A publish or play of this stream began, or with None ended: deadlines and gauges follow."""
