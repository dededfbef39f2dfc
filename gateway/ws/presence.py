"""Who is online, over all gateways: this gateway's entries in `PRESENCE`, and those of the others.

The rules of who announces what are in `roster`. An entry is written within `TICK_S` of a change and every
`RENEW_S`; it expires with the gateway that wrote it. The others' are read once when a room is opened, then
heard as they are written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from pydantic import ValidationError

from bus_schemas.messages.room import (
    MemberChanged,
    PlaybackAction,
    PlaybackRequested,
    Presence,
    PresentMember,
    RoomEvent,
)
from bus_schemas.messages.shapes import User
from bus_schemas.permissions import MemberState
from bus_schemas.socket_frames import Viewers
from bus_schemas.streams import PRESENCE
from bus_schemas.subjects import ROOM_COMMAND, ROOM_EVENT
from gateway.http.problems import AWAY
from gateway.membership import Membership
from gateway.ws.channel import Channel
from gateway.ws.events import RoomEventFrame
from gateway.ws.frames import text_frame
from gateway.ws.roster import ANNOUNCED_MAX, ENTRY_LIFE_S, LISTED_MAX, Announcement, Roster
from gateway.ws.sync_news import SyncNews, shown
from runtime import direct
from runtime.bus import Bus
from runtime.clock import now_ms
from runtime.emit import emit
from runtime.ids import new_id
from runtime.kv import Bucket
from runtime.logs import get_logger
from runtime.tasks import Tasks

log = get_logger("ws.presence")

TICK_S: Final = 0.1
ANNOUNCE_S: Final = 0.5
RENEW_S: Final = 10.0
TELL_S: Final = 1.0
DRIFT_MAX_MS: Final = 3_600_000.0
"""Players say what they like: nobody is shown further off than an hour."""
WATCH_S: Final = 6.0
"""How long after a change a room's differences are looked at."""

FindMember = Callable[[str, str], Awaitable[Membership | None]]


class Attendee(Protocol):
    """A socket in a room: whose it is, and how it does."""

    @property
    def user(self) -> User:
        """Whose socket it is."""
        ...

    @property
    def rtt_ms(self) -> float:
        """Its round trip, as this gateway measured it."""
        ...

    @property
    def waits(self) -> bool:
        """Whether its room waits for those who buffer."""
        ...


@dataclass(slots=True)
class LocalUser:
    """A user with sockets in the room here."""

    user: User
    attendees: set[Attendee] = field(default_factory=set)
    drift_ms: float | None = None
    buffering: bool = False
    item: str | None = None
    loaded: str | None = None
    reported_at: int = 0


@dataclass(slots=True)
class Attendance:
    """One room at this gateway."""

    channel: Channel
    roster: Roster
    users: dict[str, LocalUser] = field(default_factory=dict)
    subscription: Subscription | None = None
    loaded: asyncio.Event = field(default_factory=asyncio.Event)
    """The others' entries were read."""
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    dirty: bool = True
    news: SyncNews = field(default_factory=SyncNews)
    lagging: frozenset[tuple[str, str | None]] = frozenset()
    """Who buffered what when sync was last told."""
    written: float = 0.0
    watch_until: float = 0.0

    def presence(self, now: int) -> Presence:
        """This gateway's entry."""
        listed = list(self.users.values())[:LISTED_MAX]
        return Presence(
            room=self.channel.room,
            gateway=self.roster.node,
            members=tuple(
                PresentMember(
                    user=local.user,
                    connections=len(local.attendees),
                    drift_ms=local.drift_ms,
                    buffering=local.buffering,
                    item=local.item,
                    loaded=local.loaded,
                    reported_at=local.reported_at,
                )
                for local in listed
            ),
            guests_beyond=len(self.users) - len(listed),
            rtt_ms=self.rtt_ms(),
            at=now,
        )

    def waits(self) -> bool:
        """Whether the room waits for those who buffer, as far as its sockets here know."""
        return any(a.waits for local in self.users.values() for a in local.attendees)

    def rtt_ms(self) -> float:
        """The slowest round trip here."""
        return max((a.rtt_ms for local in self.users.values() for a in local.attendees), default=0.0)


class PresenceBoard:
    """Keeps this gateway's entries and everybody's rosters."""

    def __init__(self, bus: Bus, node: str, tasks: Tasks, find_member: FindMember) -> None:
        self._bus = bus
        self._node = node
        self._tasks = tasks
        self._find_member = find_member
        self._bucket = Bucket(bus.js, PRESENCE)
        self._rooms: dict[str, Attendance] = {}
        self._loop_time = asyncio.get_running_loop().time
        bus.on_reconnect.append(self._after_reconnect)

    def open(self, channel: Channel) -> None:
        """A room is followed from now on."""
        attendance = Attendance(channel, Roster(self._node))
        self._rooms[channel.room] = attendance
        self._tasks.spawn(f"presence:{channel.room}", self._load(attendance))

    def close(self, channel: Channel) -> None:
        """A room is followed no more."""
        attendance = self._rooms.pop(channel.room, None)
        if attendance is not None:
            self._tasks.spawn(f"presence-close:{channel.room}", self._withdraw(attendance))

    def enter(self, room: str, attendee: Attendee) -> None:
        """A socket came into the room."""
        attendance = self._rooms.get(room)
        if attendance is None:
            return
        local = attendance.users.setdefault(attendee.user.id, LocalUser(attendee.user))
        local.attendees.add(attendee)
        self._changed(attendance)

    async def tell(self, room: str) -> None:
        """Return once the other gateways can know who is here; those who wait together are told of together."""
        attendance = self._rooms.get(room)
        if attendance is None:
            return
        try:
            async with asyncio.timeout(TELL_S):
                await attendance.loaded.wait()
                async with attendance.writing:
                    if attendance.dirty:
                        await self._write(attendance, self._loop_time())
        except AWAY as exc:
            log.warning("presence is told later", room=room, error=repr(exc))

    def exit(self, room: str, attendee: Attendee) -> None:
        """A socket left the room."""
        attendance = self._rooms.get(room)
        local = attendance.users.get(attendee.user.id) if attendance is not None else None
        if attendance is None or local is None:
            return
        local.attendees.discard(attendee)
        if not local.attendees:
            del attendance.users[attendee.user.id]
        self._changed(attendance)

    def report(
        self,
        room: str,
        attendee: Attendee,
        *,
        drift_ms: float | None,
        buffering: bool,
        item: str | None = None,
    ) -> None:
        """How a player does; who buffers is told at once, drift when it moved."""
        attendance = self._rooms.get(room)
        local = attendance.users.get(attendee.user.id) if attendance is not None else None
        if attendance is None or local is None:
            return
        local.drift_ms = None if drift_ms is None else max(-DRIFT_MAX_MS, min(DRIFT_MAX_MS, drift_ms))
        local.reported_at = now_ms()
        attendance.news.reported(attendee.user.id, local.drift_ms, buffering=buffering)
        if (buffering, item) != (local.buffering, local.item):
            attendance.dirty = attendance.dirty or buffering or local.buffering
        local.buffering, local.item = buffering, item
        if not buffering:
            local.loaded = item

    def heard(self, channel: Channel, event: RoomEventFrame) -> None:
        """A room event went by: what it says of members is said."""
        attendance = self._rooms.get(channel.room)
        if attendance is None or event.kind != "member":
            return
        try:
            member = MemberChanged.model_validate(event.body)
        except ValidationError as exc:
            log.error("member event that cannot be read", room=channel.room, error=str(exc)[:300])
            return
        if member.change == "left" or member.member.online:
            attendance.roster.heard_said(member.member.user, member.change)
        if member.member.online:
            attendance.news.heard(member.member.user.id, member.member.sync, self._loop_time())
        attendance.watch_until = self._loop_time() + WATCH_S

    def here(self, room: str) -> Roster | None:
        """The roster of a room that is followed here, this gateway's own entry as it is now."""
        attendance = self._rooms.get(room)
        if attendance is None:
            return None
        attendance.roster.hear(attendance.presence(now_ms()), self._loop_time())
        return attendance.roster

    async def roster(self, room: str) -> Roster:
        """The roster of any room, read from the bucket if it is not followed here; raises nats' errors."""
        attendance = self._rooms.get(room)
        found = self.here(room)
        if found is not None and attendance is not None and attendance.loaded.is_set():
            return found
        now = self._loop_time()
        found = Roster(self._node)
        found.begin(await self._read(room), now)
        found.hear(self._own(room), now)
        return found

    def _own(self, room: str) -> Presence:
        """This gateway's entry as it would be now."""
        attendance = self._rooms.get(room)
        if attendance is not None:
            return attendance.presence(now_ms())
        return Presence(room=room, gateway=self._node, at=now_ms())

    def attendees(self, room: str, user: str) -> list[Attendee]:
        """The user's sockets in the room here."""
        attendance = self._rooms.get(room)
        local = attendance.users.get(user) if attendance is not None else None
        return list(local.attendees) if local is not None else []

    async def slowest_rtt(self, room: str) -> float:
        """The slowest round trip of all members, wherever they are; 0 where nobody is."""
        try:
            return (await self.roster(room)).rtt_ms()
        except AWAY:
            return 0.0

    async def run(self) -> None:
        """Write, renew, announce, for ever."""
        announce_at = 0.0
        while True:
            await asyncio.sleep(TICK_S)
            now = self._loop_time()
            announcing = now >= announce_at
            if announcing:
                announce_at = now + ANNOUNCE_S
            for attendance in list(self._rooms.values()):
                try:
                    await self._write_if_due(attendance, now)
                    if announcing and attendance.loaded.is_set():
                        await self._announce(attendance, now)
                except AWAY as exc:
                    log.warning("presence waits for the bus", room=attendance.channel.room, error=repr(exc))
                    break

    async def stop(self) -> None:
        """Take all entries away: this gateway's members go elsewhere."""
        rooms = list(self._rooms.values())
        self._rooms.clear()
        for attendance in rooms:
            await self._withdraw(attendance)

    def _changed(self, attendance: Attendance) -> None:
        attendance.dirty = True
        attendance.watch_until = self._loop_time() + WATCH_S

    async def _load(self, attendance: Attendance) -> None:
        room = attendance.channel.room

        async def on_entry(message: Msg) -> None:
            self._heard_entry(attendance, message)

        while self._rooms.get(room) is attendance and not attendance.loaded.is_set():
            try:
                if attendance.subscription is None:
                    subject = f"$KV.{PRESENCE.name}.{room}.*"
                    attendance.subscription = await self._bus.nc.subscribe(subject, cb=on_entry)
                attendance.roster.begin(await self._read(room), self._loop_time())
                attendance.loaded.set()
                self._changed(attendance)
            except AWAY as exc:
                log.warning("presence is not read yet", room=room, error=repr(exc))
                await asyncio.sleep(ANNOUNCE_S)

    async def _read(self, room: str) -> list[Presence]:
        """All entries, as the bucket has them. One of our own is what a process of our name left when it died."""
        stored = await direct.last_of_each(self._bus, PRESENCE.stream, f"$KV.{PRESENCE.name}.{room}.*")
        found = []
        for message in stored:
            if message.data:
                try:
                    found.append(Presence.model_validate_json(message.data))
                except ValidationError as exc:
                    log.error("presence that cannot be read", subject=message.subject, error=str(exc)[:300])
        return found

    def _heard_entry(self, attendance: Attendance, message: Msg) -> None:
        gateway = message.subject.rpartition(".")[2]
        if gateway == self._node:
            return
        now = self._loop_time()
        if message.data:
            try:
                attendance.roster.hear(Presence.model_validate_json(message.data), now)
            except ValidationError as exc:
                log.error("presence that cannot be read", subject=message.subject, error=str(exc)[:300])
                return
        else:
            attendance.roster.hear_gone(gateway, now)
        attendance.watch_until = now + WATCH_S
        attendance.news.pending = True

    async def _write_if_due(self, attendance: Attendance, now: float) -> None:
        if not attendance.loaded.is_set() or (not attendance.dirty and now - attendance.written < RENEW_S):
            return
        async with attendance.writing:
            await self._write(attendance, now)

    async def _write(self, attendance: Attendance, now: float) -> None:
        presence = attendance.presence(now_ms())
        attendance.roster.hear(presence, now)
        attendance.dirty = False
        try:
            await self._bucket.put(self._key(attendance), presence.model_dump_json().encode())
        except AWAY:
            attendance.dirty = True
            raise
        attendance.written = now
        await self._tell_sync(attendance, presence)

    async def _tell_sync(self, attendance: Attendance, presence: Presence) -> None:
        """Others buffer than before: in a room that waits, sync looks at the entries and decides."""
        lagging = frozenset((one.user.id, one.item) for one in presence.members if one.buffering)
        if lagging == attendance.lagging:
            return
        waits = attendance.waits()
        if waits or attendance.lagging:
            room = attendance.channel.room
            request = PlaybackRequested(
                id=new_id(),
                room=room,
                action=PlaybackAction.BUFFERING,
                rtt_ms=min(60_000.0, attendance.roster.rtt_ms()),
                wait=True,
            )
            try:
                await emit(self._bus, ROOM_COMMAND, request, msg_id=request.id, room=room)
            except AWAY:
                attendance.dirty = True
                raise
        # In a room that does not wait sync was told of nobody.
        attendance.lagging = lagging if waits else frozenset()

    async def _announce(self, attendance: Attendance, now: float) -> None:
        roster, channel = attendance.roster, attendance.channel
        before = len(roster.entries)
        roster.expire(now)
        if len(roster.entries) != before:
            attendance.watch_until = now + ENTRY_LIFE_S
        if attendance.news.pending:
            await self._tell_news(attendance, now)
        if now > attendance.watch_until:
            return
        count = roster.changed_count()
        if count is not None:
            channel.give_moment(text_frame(Viewers(type="viewers", room=channel.room, count=count)))
        for announcement in roster.due(now):
            await self._say(attendance, announcement)

    async def _say(self, attendance: Attendance, announcement: Announcement) -> None:
        room, user = attendance.channel.room, announcement.user
        found = await self._find_member(room, user.id)
        if found is None or found.state is not MemberState.ACTIVE:
            # No member any more: whoever ended that has said so.
            attendance.roster.heard_said(user, announcement.change)
            return
        event = MemberChanged(
            room=room,
            at=now_ms(),
            change=announcement.change,
            member=found.as_member(online=announcement.change == "joined"),
        )
        await emit(self._bus, ROOM_EVENT, RoomEvent(event), msg_id=new_id(), room=room)

    async def _tell_news(self, attendance: Attendance, now: float) -> None:
        """Tell the room how the members do that are ours to tell of; above the bound of the list, nothing."""
        room, roster, news = attendance.channel.room, attendance.roster, attendance.news
        news.pending = False
        if len(attendance.users) > ANNOUNCED_MAX:
            return
        roster.hear(attendance.presence(now_ms()), now)
        if roster.count() > ANNOUNCED_MAX:
            return
        try:
            for present in news.due(roster.ours(), now):
                found = await self._find_member(room, present.user.id)
                sync = shown(present)
                if found is not None and found.state is MemberState.ACTIVE:
                    member = found.as_member(online=True).model_copy(update={"sync": sync})
                    event = MemberChanged(room=room, at=now_ms(), change="updated", member=member)
                    await emit(self._bus, ROOM_EVENT, RoomEvent(event), msg_id=new_id(), room=room)
                # Said: until it comes back as an event, nobody is to say it again.
                news.said(present.user.id, sync, now)
        except AWAY:
            news.pending = True
            raise

    async def _withdraw(self, attendance: Attendance) -> None:
        try:
            if attendance.subscription is not None and not self._bus.nc.is_closed:
                await attendance.subscription.unsubscribe()
            if attendance.channel.room not in self._rooms:  # else somebody came back, and the entry is his
                await self._bucket.delete(self._key(attendance))
        except AWAY as exc:
            log.warning(
                "presence not withdrawn: it will expire", room=attendance.channel.room, error=repr(exc)
            )

    def _key(self, attendance: Attendance) -> str:
        return f"{attendance.channel.room}.{self._node}"

    async def _after_reconnect(self) -> None:
        """The bucket is in memory: with its server gone it is empty."""
        for attendance in self._rooms.values():
            self._changed(attendance)
