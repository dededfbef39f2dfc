"""Members of rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

from bus_schemas.messages.shapes import User
from bus_schemas.permissions import EVERYTHING, MemberState, RoomRole, SiteRole
from gateway.db.queries import Connection, Queryable, load
from gateway.db.rooms import room_of
from gateway.membership import Membership

if TYPE_CHECKING:
    from asyncpg import Record


def _membership_of(row: Record) -> Membership:
    user = User(
        id=row["user_id"],
        username=row["username"],
        role=SiteRole(row["site_role"]),
        state=MemberState(row["site_state"]),
        guest=row["guest"],
    )
    return Membership(
        room=room_of(row),
        user=user,
        role=RoomRole(row["role"]),
        state=MemberState(row["state"]),
        added=row["added"],
        removed=row["removed"],
        joined_at=row["joined_at"],
    )


class Members:
    """The table `members`."""

    def __init__(self) -> None:
        self._sql = load("members")

    async def find(self, db: Queryable, room: str, user: str) -> Membership | None:
        """One membership, with its room and user."""
        row = await db.fetchrow(self._sql["find"], room, user)
        return _membership_of(row) if row else None

    async def lock(self, connection: Connection, room: str, user: str) -> Membership | None:
        """The same, changed by nobody else until the transaction ends."""
        row = await connection.fetchrow(self._sql["lock"], room, user)
        return _membership_of(row) if row else None

    async def page(
        self, db: Queryable, room: str, *, after: tuple[int, str] | None, limit: int
    ) -> list[Membership]:
        """Members in the order they joined."""
        at, user = after or (-1, "")
        return [_membership_of(row) for row in await db.fetch(self._sql["page"], room, at, user, limit)]

    async def some(self, db: Queryable, room: str, users: list[str]) -> list[Membership]:
        """Those of these users who are members, in the order they joined."""
        return [_membership_of(row) for row in await db.fetch(self._sql["some"], room, users)]

    async def count(self, db: Queryable, room: str) -> int:
        """How many there are, the banned left out."""
        return int(await db.fetchval(self._sql["count"], room))

    async def add(self, connection: Connection, room: str, user: str, role: RoomRole, now_ms: int) -> bool:
        """Make the user an active member; False if he was one already, or room or user are gone."""
        try:
            async with connection.transaction():
                return bool(await connection.fetchval(self._sql["add"], room, user, role.value, now_ms))
        except asyncpg.ForeignKeyViolationError:
            return False

    async def change(
        self,
        connection: Connection,
        room: str,
        user: str,
        *,
        role: RoomRole,
        state: MemberState,
        added: int,
        removed: int,
    ) -> None:
        """Write role, state and masks; bits nobody knows are dropped."""
        everything = int(EVERYTHING)
        await connection.execute(
            self._sql["change"], room, user, role.value, state.value, added & everything, removed & everything
        )

    async def remove(self, connection: Connection, room: str, user: str) -> bool:
        """End the membership; False if there was none."""
        return bool(await connection.fetchval(self._sql["remove"], room, user))

    async def guests(self, connection: Connection, room: str) -> list[Membership]:
        """All members with the role guest."""
        return [_membership_of(row) for row in await connection.fetch(self._sql["guests"], room)]

    async def of_user(self, connection: Connection, user: str) -> list[Membership]:
        """All memberships of a user."""
        return [_membership_of(row) for row in await connection.fetch(self._sql["of_user"], user)]
