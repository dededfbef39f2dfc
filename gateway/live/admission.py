"""Who may play a stream: known or not, restricted or not, with which token."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.permissions import Permission, SiteRole
from bus_schemas.viewers import Protocol
from gateway.auth.principal import Principal
from gateway.auth.revocation import PLAY_LIFE_MS
from gateway.db.streams import StreamRow
from gateway.http.problems import AWAY
from gateway.live.referrers import may_embed
from gateway.live.sessions import Sessions
from gateway.membership import check_id, membership, require
from gateway.services import Services

KNOWN_S: Final = 2.0
"""How long a stream's row is remembered: what a room's new password takes to bind newcomers."""
KNOWN_MAX: Final = 10_000
SESSION_S: Final = PLAY_LIFE_MS // 1_000
"""How long a session begun with a valid play token lives without another."""


def no_such_stream() -> Refused:
    """For a stream that does not exist, or whose existence is a secret."""
    return Refused(ErrorCode.NOT_FOUND, "There is no such stream.")


@dataclass(frozen=True, slots=True)
class PlayToken:
    """What a player sends as `?token=` for a restricted stream."""

    token: str
    expires_at: int
    """Epoch ms."""


async def issue_play_token(services: Services, stream: str, principal: Principal) -> PlayToken | None:
    """A token for this stream; None where playing takes none.

    Raises `Refused`: not_found for an unknown stream or one the caller may not know of, forbidden.
    """
    row = await services.streams.by_id(services.pool, check_id(stream, "stream"))
    if row is None:
        raise no_such_stream()
    if not row.restricted:
        return None
    await require_viewer(services, row, principal)
    return PlayToken(*services.tokens.issue_play(stream, principal.user.id))


async def require_viewer(services: Services, row: StreamRow, principal: Principal) -> None:
    """Raises `Refused` unless the caller may play this restricted stream."""
    if row.room is not None:
        require(await membership(services, row.room, principal), Permission.VIEW_PLAYLIST)
    elif row.owner != principal.user.id and principal.user.role is SiteRole.USER:
        raise no_such_stream()


class Admission:
    """Checks the requests of players; rows are remembered for moments, names that are none never."""

    def __init__(self, services: Services, sessions: Sessions) -> None:
        self._services = services
        self._sessions = sessions
        self._known: dict[str, tuple[float, StreamRow]] = {}
        self._referrers = services.ctx.settings.live.referrers

    async def stream(self, request: web.Request, *, of: Protocol | None = None) -> StreamRow:
        """The stream of a request that may play it; `of`: for one within a session of that protocol.

        A session begun with a valid token lives on: who asks within one is let in by a token that has expired.
        Raises `Refused`: not_found; unauthenticated for a restricted stream without a valid token; forbidden for
        players on pages that may not show our streams.
        """
        self.check_page(request)
        row, token = await self._row(request.match_info["stream"]), request.query.get("token")
        if row.restricted:
            grant = self._services.tokens.read_play(_wanted(token), row.id)
            if grant.is_over and (of is None or not await self._sessions.goes_on(row, of, request)):
                self._verify(row, token)
        return row

    async def admit(self, stream: str, token: str | None) -> tuple[StreamRow, str | None]:
        """The same for whoever has an id and perhaps a play token; and whose token it is, where one is wanted."""
        row = await self._row(stream)
        if not row.restricted:
            return row, None
        return row, self._verify(row, token)

    def check_page(self, request: web.Request) -> None:
        """Raises `Refused` forbidden for a browser on a page that may not show our streams."""
        if not self._referrers:
            return
        headers = request.headers
        page = headers.get(hdrs.ORIGIN) or headers.get(hdrs.REFERER) or ""
        own = self._services.addresses.origin(request, self._services.ctx.settings.gateway.public_url)
        if not may_embed(page, urlsplit(own).hostname or "", self._referrers):
            raise Refused(ErrorCode.FORBIDDEN, "This site's streams may not be shown on that page.")

    def recheck(self, request: web.Request, row: StreamRow) -> None:
        """After a wait within a session: raises `Refused` where the right to play was taken away meanwhile."""
        if row.restricted:
            self._services.tokens.read_play(request.query["token"], row.id)

    def forget(self, *, room: str | None = None, stream: str | None = None) -> None:
        """Look the streams up again, of a room or this one, or all."""
        if stream is not None:
            self._known.pop(stream, None)
        else:
            self._known = {
                one: known for one, known in self._known.items() if room is not None and known[1].room != room
            }

    def session_token(self, request: web.Request, row: StreamRow) -> str | None:
        """The token for the addresses inside a playlist that begins a session."""
        if not row.restricted:
            return None
        return self.renewed_token(row, self._verify(row, request.query.get("token")))

    def renewed_token(self, row: StreamRow, user: str) -> str:
        """A token of a session's life for who was admitted to this restricted stream."""
        return self._services.tokens.issue_play(row.id, user, SESSION_S)[0]

    def _verify(self, row: StreamRow, token: str | None) -> str:
        return self._services.tokens.verify_play(_wanted(token), row.id).user

    async def _row(self, stream: str) -> StreamRow:
        now = asyncio.get_running_loop().time()
        known = self._known.get(stream)
        if known is not None and known[0] > now:
            return known[1]
        try:
            row = await self._services.streams.by_id(self._services.pool, stream)
        except AWAY:
            if known is None:
                raise
            # Those who watch go on while the database is away.
            row = known[1]
        self._known.pop(stream, None)
        if row is None:
            raise no_such_stream()
        if len(self._known) >= KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[stream] = now + KNOWN_S, row
        return row


def _wanted(token: str | None) -> str:
    if not token:
        raise Refused(ErrorCode.UNAUTHENTICATED, "This stream wants a play token: ?token=…")
    return token
