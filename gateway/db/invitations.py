"""Invitations: links into rooms, and codes for an account on the site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from bus_schemas.messages.shapes import UserRef
from gateway.db.queries import Connection, Queryable, load

if TYPE_CHECKING:
    from asyncpg import Record


@dataclass(frozen=True, slots=True)
class RoomInvitation:
    """A link into a room; times are epoch ms."""

    code: str
    created_by: UserRef
    created_at: int
    expires_at: int | None
    """None: never."""
    max_uses: int | None
    """None: any number of people may come by it."""
    uses: int = 0
    """People who came by it, each counted once."""

    def has_expired(self, now_ms: int) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now_ms

    @property
    def is_used_up(self) -> bool:
        """Whether nobody new may come by it."""
        return self.max_uses is not None and self.uses >= self.max_uses


@dataclass(frozen=True, slots=True)
class SiteInvitation:
    """A code for one account on the site; times are epoch ms. The code itself is nowhere."""

    id: str
    """Its hash, hexadecimal."""
    created_by: UserRef
    """An operator's has the name `operator`, one whose maker's account is gone that account's id."""
    created_at: int
    expires_at: int | None
    """None: never."""
    used_by: UserRef | None
    used_at: int | None
    """None: an account can still be made with it, before it expires."""


def _hash_in(id_: str) -> bytes:
    """The hash that an id says; empty, which is nobody's, for what is no such id."""
    try:
        return bytes.fromhex(id_)
    except ValueError:
        return b""


def _site_invitation_of(row: Record) -> SiteInvitation:
    used_by = row["used_by"]
    return SiteInvitation(
        id=row["id"],
        created_by=UserRef(id=row["created_by"], username=row["created_by_username"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        used_by=UserRef(id=used_by, username=row["used_by_username"]) if used_by is not None else None,
        used_at=row["used_at"],
    )


def _invitation_of(row: Record) -> RoomInvitation:
    return RoomInvitation(
        code=row["code"],
        created_by=UserRef(id=row["created_by"], username=row["created_by_username"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        max_uses=row["max_uses"],
        uses=row["uses"],
    )


class Invitations:
    """The tables `room_invitations`, `room_invitation_uses` and `site_invitations`."""

    def __init__(self) -> None:
        self._sql = load("invitations")

    async def add(self, connection: Connection, room: str, invitation: RoomInvitation) -> None:
        """A new link into the room."""
        await connection.execute(
            self._sql["add"],
            invitation.code,
            room,
            invitation.created_by.id,
            invitation.created_by.username,
            invitation.created_at,
            invitation.expires_at,
            invitation.max_uses,
        )

    async def count(self, db: Queryable, room: str) -> int:
        """How many the room has, those used up included."""
        return int(await db.fetchval(self._sql["count"], room))

    async def page(
        self, db: Queryable, room: str, *, after: tuple[int, str] | None, limit: int
    ) -> list[RoomInvitation]:
        """The room's invitations, newest first."""
        at, code = after or (1 << 62, "")
        return [_invitation_of(row) for row in await db.fetch(self._sql["page"], room, at, code, limit)]

    async def find(self, db: Queryable, room: str, code: str) -> RoomInvitation | None:
        """One of the room's invitations."""
        row = await db.fetchrow(self._sql["find"], room, code)
        return _invitation_of(row) if row else None

    async def lock(self, connection: Connection, room: str, code: str) -> RoomInvitation | None:
        """The same, used by nobody else until the transaction ends."""
        row = await connection.fetchrow(self._sql["lock"], room, code)
        return _invitation_of(row) if row else None

    async def was_used_by(self, db: Queryable, code: str, user: str) -> bool:
        """Whether the user came by it before."""
        return bool(await db.fetchval(self._sql["was_used_by"], code, user))

    async def count_use(self, connection: Connection, code: str, user: str) -> bool:
        """One more who came by it, by whom it is locked; False if the account is gone."""
        try:
            async with connection.transaction():
                await connection.execute(self._sql["note_use"], code, user)
        except asyncpg.ForeignKeyViolationError:
            return False
        await connection.execute(self._sql["count_use"], code)
        return True

    async def remove(self, connection: Connection, room: str, code: str) -> bool:
        """Take one back; False if there is none."""
        return bool(await connection.fetchval(self._sql["remove"], room, code))

    async def remove_expired(self, db: Queryable, now_ms: int, room: str | None = None) -> None:
        """Clear away what has expired, of one room or of all, and of the site."""
        if room is not None:
            await db.execute(self._sql["remove_expired"], room, now_ms)
            return
        await db.execute(self._sql["remove_all_expired"], now_ms)
        await db.execute(self._sql["remove_expired_of_site"], now_ms)

    async def add_to_site(
        self, db: Queryable, digest: bytes, *, created_by: str, now_ms: int, expires_at: int | None
    ) -> None:
        """A new code for one account, by its hash."""
        await db.execute(self._sql["add_to_site"], digest, created_by, now_ms, expires_at)

    async def page_of_site(
        self, db: Queryable, *, after: tuple[int, str] | None, limit: int
    ) -> list[SiteInvitation]:
        """The site's invitations, newest first, those that were used included."""
        at, id_ = after or (1 << 62, "")
        return [_site_invitation_of(row) for row in await db.fetch(self._sql["page_of_site"], at, id_, limit)]

    async def remove_of_site(self, connection: Connection, id_: str) -> bool:
        """Take one back that nobody used; False if there is none."""
        return bool(await connection.fetchval(self._sql["remove_of_site"], _hash_in(id_)))

    async def is_of_site(self, db: Queryable, id_: str) -> bool:
        """Whether there is such an invitation, used or not."""
        return bool(await db.fetchval(self._sql["is_of_site"], _hash_in(id_)))

    async def is_good_for_site(self, db: Queryable, digest: bytes, now_ms: int) -> bool:
        """Whether an account may be made with it now."""
        return bool(await db.fetchval(self._sql["is_good_for_site"], digest, now_ms))

    async def use_of_site(self, connection: Connection, digest: bytes, *, user: str, now_ms: int) -> bool:
        """Use it up for this account; False if it is unknown, expired or used."""
        return bool(await connection.fetchval(self._sql["use_of_site"], digest, user, now_ms))
