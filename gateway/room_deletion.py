"""Deleting a room with all that is in it, by whomever: its members, or the clock."""

from __future__ import annotations

from bus_schemas.messages.room import PlaybackAction, PlaybackRequested, RoomDeleted
from bus_schemas.messages.shapes import UserRef
from bus_schemas.subjects import ROOM_COMMAND
from gateway.db.queries import Connection
from gateway.services import Services
from gateway.stream_keys import close_streams
from runtime.clock import now_ms
from runtime.ids import new_id

SERVER: str = "server"
"""The actor of what nobody asked for."""


async def delete_room(
    services: Services, room: str, name: str, by: UserRef | None, *, address: str = "", why: str = ""
) -> bool:
    """Delete it, and tell its members; False if somebody else just did. `by` is None for the server itself."""
    await close_streams(services, await services.rooms.stream_keys(services.pool, room), "room deleted")
    async with services.pool.acquire() as connection, connection.transaction():
        if not await services.rooms.remove(connection, room):
            return False
        await announce_deletion(services, connection, room, by)
        detail = {"name": name} | ({"why": why} if why else {})
        await services.audit.record(
            connection, "room.deleted", actor=by.id if by is not None else SERVER, target=room, address=address,
            detail=detail,
        )  # fmt: skip
    services.outbox.kick()
    return True


async def announce_deletion(
    services: Services, connection: Connection, room: str, by: UserRef | None
) -> None:
    """Tell the members, and sync, which then forgets what the room plays; it goes with the transaction."""
    await services.outbox.add(connection, room, RoomDeleted(room=room, at=now_ms(), by=by))
    request = PlaybackRequested(id=new_id(), room=room, action=PlaybackAction.RECONCILE, by=by)
    await services.outbox.add_message(connection, ROOM_COMMAND, request, room=room)
