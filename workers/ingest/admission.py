"""Whether a publisher whose key is good may begin: the one place to say no, or to change what he gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from bus_schemas.messages.live import StreamKey


@dataclass(frozen=True, slots=True)
class PublishAttempt:
    """A publisher who knocks."""

    connection: str
    """Id of the connection, unique over all workers."""
    address: str
    """Host of the peer."""
    secure: bool
    """Over TLS."""
    encoder: str
    """What the peer calls itself; printable, at most 128 characters."""
    app: str
    """First part of the application's path; never a key."""
    query: str = field(repr=False)
    """What came behind `?` with the name or the application, the key taken out; as sent, hostile."""
    key: StreamKey
    """What his key opens."""


class Admission(Protocol):
    """Asked after the key was found, before the stream is claimed."""

    async def __call__(self, attempt: PublishAttempt) -> StreamKey:
        """What the publisher gets: `attempt.key`, or a changed copy; raises `PublishRefusedError`."""


async def admit_all(attempt: PublishAttempt) -> StreamKey:
    """Whoever has the key may publish."""
    return attempt.key
