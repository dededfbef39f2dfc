"""What somebody is given who comes into a room: all of it, as it stood at one number of its events.

The number is taken first, then everything is read: nothing at or below it can be missing. What is read
may be ahead of it; `marks` say by what, so that the events above it tell nobody a thing twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from pydantic_core import to_json

from bus_schemas.limits import JOINED_ITEMS_MAX, JOINED_MEMBERS_MAX, JOINED_MESSAGES_MAX
from bus_schemas.messages.room import PlaybackAction, PlaybackRequested, PresentMember
from bus_schemas.messages.shapes import ChatMessage, Item, Member, PlaybackState, StreamStatus, SyncReport
from bus_schemas.permissions import MemberState, Permission
from bus_schemas.socket_frames import JoinedHead, JoinedRoom, RoomPlaylist, RoomStream
from bus_schemas.streams import PUBLISHERS
from bus_schemas.subjects import ROOM_COMMAND
from bus_schemas.viewers import Protocol
from gateway.commands import Commands
from gateway.db.messages import Messages
from gateway.db.streams import StreamRow
from gateway.live.sessions import Sessions
from gateway.membership import Membership
from gateway.services import Services
from gateway.ws.channel import Channel
from gateway.ws.events import Marks
from gateway.ws.frames import frame
from gateway.ws.presence import PresenceBoard
from runtime import direct
from runtime.emit import emit
from runtime.ids import new_id

SEEN: Final = Permission.VIEW_PLAYLIST | Permission.VIEW_MEMBER_LIST | Permission.VIEW_CHAT_HISTORY
"""The rights that decide what of a room somebody is shown."""


@dataclass(slots=True)
class Snapshot:
    """A room at one moment, for everybody who came then."""

    seq: int
    marks: Marks
    state: PlaybackState
    version: int
    items: list[Item]
    members: list[Member]
    messages: list[ChatMessage]
    streams: list[StreamRow]
    live: frozenset[str]
    watching: dict[str, dict[Protocol, int]]
    """Viewers of the streams, by stream and protocol."""
    viewers: int
    _rendered: dict[Permission, bytes] = field(default_factory=dict)

    def joined(self, head: JoinedHead, permissions: Permission) -> bytes:
        """The whole frame for one newcomer; `head` is what is his alone, or of this moment."""
        seen = permissions & SEEN
        shared = self._rendered.get(seen)
        if shared is None:
            shared = self._rendered[seen] = to_json(self._shared(seen))[1:-1]
        own = to_json(head)
        return frame(b"%s,%s}" % (own[:-1], shared))

    def _shared(self, seen: Permission) -> JoinedRoom:
        return JoinedRoom(
            state=self.state,
            playlist=RoomPlaylist(
                version=self.version,
                items=self.items if seen & Permission.VIEW_PLAYLIST else [],
            ),
            members=self.members if seen & Permission.VIEW_MEMBER_LIST else [],
            messages=self.messages if seen & Permission.VIEW_CHAT_HISTORY else [],
            streams=[
                RoomStream(
                    stream=row.id,
                    title=row.title,
                    status=StreamStatus.LIVE if row.id in self.live else StreamStatus.OFFLINE,
                    viewers=sum(self.watching.get(row.id, {}).values()),
                )
                for row in self.streams
            ],
            viewers=self.viewers,
        )


class Snapshots:
    """Reads snapshots: those who come while one is being read share the next."""

    def __init__(
        self,
        services: Services,
        commands: Commands,
        presence: PresenceBoard,
        messages: Messages,
        sessions: Sessions,
    ) -> None:
        self._services = services
        self._commands = commands
        self._presence = presence
        self._messages = messages
        self._sessions = sessions
        self._tasks = services.ctx.tasks
        self._waiting: dict[str, list[asyncio.Future[Snapshot]]] = {}
        self._reading: set[str] = set()

    async def read(self, channel: Channel) -> Snapshot:
        """A snapshot begun after this call; raises what the database and the bus raise."""
        future: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(channel.room, []).append(future)
        if channel.room not in self._reading:
            self._reading.add(channel.room)
            self._tasks.spawn(f"snapshot:{channel.room}", self._serve(channel))
        return await future

    async def _serve(self, channel: Channel) -> None:
        try:
            while waiting := self._waiting.pop(channel.room, None):
                try:
                    snapshot = await self._read(channel)
                except Exception as exc:  # noqa: BLE001 - theirs who wait: each answers its client
                    for future in waiting:
                        if not future.done():
                            future.set_exception(exc)
                else:
                    for future in waiting:
                        if not future.done():
                            future.set_result(snapshot)
        finally:
            self._reading.discard(channel.room)

    async def _read(self, channel: Channel) -> Snapshot:
        services, room, seq = self._services, channel.room, channel.position
        roster = await self._presence.roster(room)
        present = roster.present()
        async with (
            services.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            version = await services.playlist.version(connection, room)
            items = await services.playlist.page(connection, room, after=None, limit=JOINED_ITEMS_MAX)
            messages = await self._messages.newest(connection, room, JOINED_MESSAGES_MAX)
            streams = await services.streams.of_room(connection, room)
            found = await services.members.some(connection, room, list(present)[:JOINED_MEMBERS_MAX])
            if len(found) < JOINED_MEMBERS_MAX:
                page = await services.members.page(connection, room, after=None, limit=JOINED_MEMBERS_MAX)
                there = {member.user.id for member in found}
                found += [member for member in page if member.user.id not in there]
        state = await self._commands.state(room)
        if not state.revision:
            await self._find_again(room)
        return Snapshot(
            seq=seq,
            marks=Marks(
                after=seq,
                revision=state.revision,
                playlist=version,
                messages=frozenset(message.id for message in messages),
            ),
            state=state,
            version=version,
            items=items,
            members=[_shown(member, present) for member in found[:JOINED_MEMBERS_MAX] if _counts(member)],
            messages=messages,
            streams=streams,
            live=await self._live(streams),
            watching=await self._sessions.counts_of([row.id for row in streams]),
            viewers=roster.count(),
        )

    async def _find_again(self, room: str) -> None:
        """A room that played once and has no state: the bus has lost it. Sync begins it again, and everybody hears."""
        if await self._services.playlist.has_played(self._services.pool, room):
            request = PlaybackRequested(id=new_id(), room=room, action=PlaybackAction.RECONCILE)
            await emit(self._services.ctx.bus, ROOM_COMMAND, request, msg_id=request.id, room=room)

    async def _live(self, streams: list[StreamRow]) -> frozenset[str]:
        """Which of these somebody publishes now."""
        prefix = f"$KV.{PUBLISHERS.name}."
        subjects = [prefix + row.id for row in streams]
        stored = await direct.last_of_each(self._services.ctx.bus, PUBLISHERS.stream, *subjects)
        return frozenset(message.subject.removeprefix(prefix) for message in stored if message.data)


def _counts(member: Membership) -> bool:
    return member.state is not MemberState.BANNED


def _shown(member: Membership, present: dict[str, PresentMember]) -> Member:
    there = present.get(member.user.id)
    shown = member.as_member(online=there is not None)
    if there is None:
        return shown
    sync = SyncReport(drift_ms=there.drift_ms, buffering=there.buffering)
    return shown.model_copy(update={"sync": sync})
