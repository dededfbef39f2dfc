"""A publisher whose key is good, before it is decided whether he may begin."""

from __future__ import annotations

from dataclasses import dataclass, field

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
