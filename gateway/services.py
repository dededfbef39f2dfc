"""What the handlers of a gateway share, built once at start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from runtime.lifecycle import Context
from runtime.postgres import Pool

if TYPE_CHECKING:
    # Handlers know the parts, the parts know each other only through their arguments; `principal`
    # needs the key below, so this page cannot import `tokens`, which needs `Principal`.
    from redis.asyncio import Redis

    from gateway.auth.passwords import Passwords
    from gateway.auth.tokens import Tokens
    from gateway.client_address import ClientAddresses
    from gateway.db.accounts import Accounts
    from gateway.db.audit import Audit
    from gateway.db.invitations import Invitations
    from gateway.db.members import Members
    from gateway.db.playlist import Playlist
    from gateway.db.rooms import Rooms
    from gateway.db.streams import Streams
    from gateway.outbox import Outbox
    from gateway.rate_limits import RateLimits


@dataclass(frozen=True, slots=True)
class Services:
    """The parts by name; settings are `ctx.settings`.

    Repositories (`accounts`, `rooms`, `members`, `invitations`, `playlist`, `streams`) take a connection
    first: the pool for one statement, a connection inside `pool.acquire()` + `transaction()` for several.
    """

    ctx: Context
    pool: Pool
    redis: Redis
    tokens: Tokens
    passwords: Passwords
    limits: RateLimits
    addresses: ClientAddresses
    outbox: Outbox
    audit: Audit
    accounts: Accounts
    rooms: Rooms
    members: Members
    invitations: Invitations
    playlist: Playlist
    streams: Streams


SERVICES: Final = web.AppKey("services", Services)
