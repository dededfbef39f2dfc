"""Members of rooms."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import asyncpg

from bus_schemas.messages.shapes import Room, User
from bus_schemas.permissions import EVERYTHING, MemberState, RoomRole, SiteRole
from gateway.db.queries import Connection, Queryable, load
from gateway.db.rooms import room_of
from gateway.membership import Membership

if TYPE_CHECKING:
    from asyncpg import Record


def _membership_of(row: Record, room: Room | None = None) -> Membership:
    user = User(
        id=row["user_id"],
        username=row["username"],
        role=SiteRole(row["site_role"]),
        state=MemberState(row["site_state"]),
        guest=row["guest"],
    )
    return Membership(
        room=room or room_of(row),
        user=user,
        role=RoomRole(row["role"]),
        state=MemberState(row["state"]),
        added=row["added"],
        removed=row["removed"],
        joined_at=row["joined_at"],
    )


def _of_one_room(rows: list[Record]) -> list[Membership]:
    """Members of one room share it: making it anew for each would be most of the work."""
    room = room_of(rows[0]) if rows else None
    return [_membership_of(row, room) for row in rows]


class Members:
    """The tables `members` and `room_kicks`."""

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
        self,
        db: Queryable,
        room: str,
        *,
        after: tuple[int, str] | None,
        limit: int,
        states: Collection[MemberState] = (MemberState.ACTIVE,),
    ) -> list[Membership]:
        """Members in one of these states, in the order they joined or asked to."""
        at, user = after or (-1, "")
        wanted = [state.value for state in states]
        return _of_one_room(await db.fetch(self._sql["page"], room, at, user, limit, wanted))

    async def some(self, db: Queryable, room: str, users: list[str]) -> list[Membership]:
        """Those of these users who are members, in the order they joined."""
        return _of_one_room(await db.fetch(self._sql["some"], room, users))

    async def count(self, db: Queryable, room: str, state: MemberState = MemberState.ACTIVE) -> int:
        """How many are in this state."""
        return int(await db.fetchval(self._sql["count"], room, state.value))

    async def add(
        self,
        connection: Connection,
        room: str,
        user: str,
        role: RoomRole,
        now_ms: int,
        *,
        state: MemberState = MemberState.ACTIVE,
    ) -> bool:
        """Make the user a member; False if he was one already, in whatever state, or room or user are gone."""
        try:
            async with connection.transaction():
                return bool(
                    await connection.fetchval(self._sql["add"], room, user, role.value, now_ms, state.value)
                )
        except asyncpg.ForeignKeyViolationError:
            return False

    async def let_in(self, connection: Connection, room: str, most: int) -> list[Membership]:
        """Make those who wait active members, the first to ask first, at most so many; gives them."""
        rows = await connection.fetch(self._sql["let_in"], room, most)
        return await self.some(connection, room, [row["user_id"] for row in rows])

    async def shut_out(self, connection: Connection, room: str, user: str, until: int) -> None:
        """Keep the user from coming back before this time (epoch ms)."""
        await connection.execute(self._sql["shut_out"], room, user, until)

    async def shut_out_until(self, db: Queryable, room: str, user: str) -> int:
        """When the user may come back (epoch ms); 0 for one who was not put out."""
        return int(await db.fetchval(self._sql["shut_out_until"], room, user) or 0)

    async def forget_shut_out(self, db: Queryable, now_ms: int) -> None:
        """Clear away whose time is over."""
        await db.execute(self._sql["forget_shut_out"], now_ms)

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
        """All members with the role guest, and those who wait to be."""
        return _of_one_room(await connection.fetch(self._sql["guests"], room))

    async def of_user(self, connection: Connection, user: str) -> list[Membership]:
        """All memberships of a user."""
        return [_membership_of(row) for row in await connection.fetch(self._sql["of_user"], user)]
