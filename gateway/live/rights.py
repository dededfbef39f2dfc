"""Viewers whose right to play ends are cut off: within a moment of the change, wherever they are served.

A change is told on the bus (`live.rights`); besides, all viewers here are looked at every few seconds. Who
lost his right holds tokens that still count: they are revoked too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from pydantic import ValidationError

from bus_schemas.errors import Refused
from bus_schemas.messages.live import PlayRightsChanged
from bus_schemas.permissions import MemberState, Permission, SiteRole
from bus_schemas.subjects import LIVE_RIGHTS
from gateway.db.streams import StreamRow
from gateway.http.problems import AWAY
from gateway.live.admission import Admission
from gateway.live.sessions import Sessions
from gateway.services import Services
from runtime.bus import Bus
from runtime.logs import get_logger

log = get_logger("live.rights")

LOOK_S: Final = 5.0
"""How often everybody is looked at, besides when something is told."""
AT_ONCE: Final = 500


class Watcher(Protocol):
    """Who gets something of a stream as long as he may."""

    @property
    def stream(self) -> str:
        """Its id."""

    @property
    def room(self) -> str | None:
        """The stream's room."""

    @property
    def user(self) -> str | None:
        """Whose play token it was; None where none was wanted."""


@dataclass(slots=True, eq=False)
class Page:
    """An open page of a stream."""

    stream: str
    room: str | None
    user: str | None
    on_cut: Callable[[], None]


class PlayRights:
    """The look-out of one gateway; `run` looks at everybody now and then."""

    def __init__(self, services: Services, admission: Admission, sessions: Sessions) -> None:
        self._services = services
        self._admission = admission
        self._sessions = sessions
        self._pages: set[Page] = set()

    @contextmanager
    def page(self, row: StreamRow, user: str | None, *, on_cut: Callable[[], None]) -> Iterator[None]:
        """Look after a page of the stream meanwhile: call `on_cut` when it may not go on."""
        page = Page(row.id, row.room, user, on_cut)
        self._pages.add(page)
        try:
            yield
        finally:
            self._pages.discard(page)

    async def listen(self, bus: Bus) -> Subscription:
        """Act on what is told, until unsubscribed."""

        async def on_changed(message: Msg) -> None:
            try:
                changed = PlayRightsChanged.model_validate_json(message.data)
            except ValidationError as error:
                log.warning("a change of rights does not parse", error=str(error))
                return
            self._admission.forget(room=changed.room, stream=changed.stream)
            await self._look(lambda one: changed.concerns(room=one.room, stream=one.stream, user=one.user))

        return await bus.nc.subscribe(LIVE_RIGHTS.pattern, cb=on_changed)

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self._look(lambda _: True)

    async def may_play(self, stream: str, user: str | None) -> bool:
        """Whether this user (None: nobody knows who) may play the stream now; raises what the database raises."""
        found = (await self._rows({stream})).get(stream)
        return found is not None and (not found.restricted or user in await self._allowed(found, {user}))

    async def _look(self, concerned: Callable[[Watcher], bool]) -> None:
        watchers: list[Watcher] = [*self._sessions.book, *self._pages]
        watchers = [one for one in watchers if concerned(one)]
        if not watchers:
            return
        try:
            ended = await self._ended(watchers)
        except AWAY as error:
            log.warning("rights of viewers not looked up", error=repr(error))
            return
        for one in ended:
            log.info("may not play any more", stream=one.stream, user=one.user)
            if isinstance(one, Page):
                one.on_cut()
        self._sessions.cut(ended)
        await self._revoke(ended)

    async def _ended(self, watchers: list[Watcher]) -> list[Watcher]:
        """Those of them who may not play any more."""
        rows = await self._rows({one.stream for one in watchers})
        users: dict[str, set[str | None]] = {}
        for one in watchers:
            if one.stream in rows and rows[one.stream].restricted:
                users.setdefault(one.stream, set()).add(one.user)
        allowed = {stream: await self._allowed(rows[stream], asked) for stream, asked in users.items()}
        return [
            one
            for one in watchers
            if one.stream not in rows or (one.stream in allowed and one.user not in allowed[one.stream])
        ]

    async def _rows(self, streams: set[str]) -> dict[str, StreamRow]:
        rows: dict[str, StreamRow] = {}
        listed = sorted(streams)
        for start in range(0, len(listed), AT_ONCE):
            found = await self._services.streams.some(self._services.pool, listed[start : start + AT_ONCE])
            rows.update((row.id, row) for row in found)
        return rows

    async def _allowed(self, row: StreamRow, users: Iterable[str | None]) -> set[str | None]:
        """Which of these users may play this restricted stream."""
        named = sorted(user for user in users if user is not None)
        services = self._services
        allowed: set[str | None] = set()
        for start in range(0, len(named), AT_ONCE):
            some = named[start : start + AT_ONCE]
            if row.room is not None:
                allowed.update(
                    member.user.id
                    for member in await services.members.some(services.pool, row.room, some)
                    if Permission.VIEW_PLAYLIST in member.permissions
                    and member.user.state is MemberState.ACTIVE
                )
                continue
            for user in some:
                account = await services.accounts.by_id(services.pool, user)
                if account is None or account.state is not MemberState.ACTIVE:
                    continue
                if row.owner == user or account.role is not SiteRole.USER:
                    allowed.add(user)
        return allowed

    async def _revoke(self, ended: list[Watcher]) -> None:
        streams: dict[str, set[str]] = {}
        for one in ended:
            if one.user is not None:
                streams.setdefault(one.user, set()).add(one.stream)
        for user, some in streams.items():
            try:
                await self._services.tokens.revocations.revoke_play(user, sorted(some))
            except Refused as refused:
                log.warning("play tokens not revoked everywhere yet", user=user, error=refused.detail)
