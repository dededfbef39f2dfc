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
PATIENCE_S: Final = 0.5
"""How long who plays a stream that was known waits for its row: a database that hangs stops nobody."""
FIRST_S: Final = 5.0
"""How long the first look at a stream may take."""
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

    def __init__(
        self,
        services: Services,
        sessions: Sessions,
        *,
        known_s: float = KNOWN_S,
        patience_s: float = PATIENCE_S,
        first_s: float = FIRST_S,
    ) -> None:
        self._services = services
        self._sessions = sessions
        self._known_s = known_s
        self._patience_s = patience_s
        self._first_s = first_s
        self._known: dict[str, tuple[float, StreamRow]] = {}
        self._asking: dict[str, asyncio.Task[StreamRow | Exception | None]] = {}
        self._changes = 0
        """How often rows were to be forgotten."""
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

    async def known(self, stream: str) -> None:
        """Raises `Refused` not_found where there is no such stream."""
        await self._row(stream)

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
        self._changes += 1
        self._asking.clear()
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
        asking = self._asking.get(stream)
        if asking is None:
            asking = self._services.ctx.tasks.spawn(
                f"stream-row:{stream}", self._look_up(stream, self._changes)
            )
            self._asking[stream] = asking
            asking.add_done_callback(lambda done: self._answered(stream, done))
        row: StreamRow | Exception | None
        try:
            async with asyncio.timeout(self._first_s if known is None else self._patience_s):
                row = await asyncio.shield(asking)
        except TimeoutError as slow:
            row = slow
        if isinstance(row, Exception):
            if known is None:
                raise row
            # Those who watch go on while the database is away, or takes its time.
            row = known[1]
            if stream in self._known:
                self._remember(row)
        if row is None:
            raise no_such_stream()
        return row

    async def _look_up(self, stream: str, changes: int) -> StreamRow | Exception | None:
        """The row, once for all who ask; a database that is away is given back: it is no fault of the task."""
        try:
            row = await self._services.streams.by_id(self._services.pool, stream)
        except AWAY as error:
            return error
        if changes == self._changes:
            self._known.pop(stream, None)
            if row is not None:
                self._remember(row)
        return row

    def _remember(self, row: StreamRow) -> None:
        self._known.pop(row.id, None)
        if len(self._known) >= KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[row.id] = asyncio.get_running_loop().time() + self._known_s, row

    def _answered(self, stream: str, done: asyncio.Task[StreamRow | Exception | None]) -> None:
        if self._asking.get(stream) is done:
            del self._asking[stream]


def _wanted(token: str | None) -> str:
    if not token:
        raise Refused(ErrorCode.UNAUTHENTICATED, "This stream wants a play token: ?token=…")
    return token
