"""What a room's events mean for the sockets in it: rights that change, members put out, rooms that end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from bus_schemas.permissions import MemberState
from bus_schemas.socket_frames import CLOSE_BEGIN_ANEW
from gateway.http.problems import AWAY
from gateway.membership import TURNED_AWAY
from gateway.ws.channel import Channel
from gateway.ws.events import RoomEventFrame
from gateway.ws.lane import Lane
from gateway.ws.parts import RoomParts
from gateway.ws.session import RoomSeat
from runtime.logs import get_logger
from runtime.tasks import Tasks

log = get_logger("ws.consequences")

LANE_MAX: Final = 1_024
USERS_AT_ONCE: Final = 500


class Consequences:
    """Watches every event of the rooms followed here; a room's consequences come in its order."""

    def __init__(self, parts: RoomParts) -> None:
        self._parts = parts
        self._tasks: Tasks = parts.services.ctx.tasks
        self._lanes: dict[str, Lane] = {}

    def watch(self) -> None:
        """From now on."""
        self._parts.hub.on_event.append(self._on_event)
        self._parts.hub.on_begun_anew.append(self._on_begun_anew)
        self._parts.hub.on_close.append(lambda channel: self._lanes.pop(channel.room, None))

    def _on_event(self, channel: Channel, event: RoomEventFrame) -> None:
        body = event.body
        match event.kind:
            case "member":
                self._on_member(channel, event)
            case "settings":
                self._later(channel, lambda: self._reread(channel, None))
                self._later(channel, lambda: self._play_tokens(channel))
                self._later(
                    channel, lambda: self._tell_waiting(channel, self._parts.waiting.users(channel.room))
                )
            case "playlist" if (body.get("item") or {}).get("stream"):
                self._later(channel, lambda: self._play_tokens(channel))
            case "room_deleted":
                for seat in _seats(channel):
                    seat.session.drop(channel.room)
                for session in self._parts.waiting.sessions(channel.room):
                    session.outgoing.send(event.wire)
                    session.drop(channel.room)

    def _on_member(self, channel: Channel, event: RoomEventFrame) -> None:
        user = str(event.body["member"]["user"]["id"])
        if self._parts.waiting.sessions(channel.room, [user]):
            gone = str(event.body.get("reason") or event.body.get("removed") or "left")
            self._later(channel, lambda: self._tell_waiting(channel, [user], gone))
        seats = [
            seat for seat in self._parts.presence.attendees(channel.room, user) if isinstance(seat, RoomSeat)
        ]
        if not seats or event.body.get("change") == "joined":
            return
        if removed := event.body.get("removed"):
            reason = str(event.body.get("reason") or removed)
            for seat in seats:
                seat.session.put_out(channel.room, reason)
            return
        if event.body.get("change") == "updated" and all(
            _is_as_told(seat, event.body["member"]) for seat in seats
        ):
            return  # How his player does is another thing now, not what he may do.
        self._later(channel, lambda: self._reread(channel, [user]))

    def _on_begun_anew(self, channel: Channel) -> None:
        for seat in _seats(channel):
            self._tasks.spawn("socket-anew", self._begin_anew(channel, seat))
        self._later(channel, lambda: self._tell_waiting(channel, self._parts.waiting.users(channel.room)))

    async def _begin_anew(self, channel: Channel, seat: RoomSeat) -> None:
        try:
            await seat.session.begin_anew(seat)
        except AWAY as exc:
            # It has missed something and cannot be told what: another connection will.
            log.warning("no snapshot after a new beginning", room=channel.room, error=repr(exc))
            seat.session.close(CLOSE_BEGIN_ANEW, "begin anew")

    def _later(self, channel: Channel, work: Callable[[], Awaitable[None]]) -> None:
        lane = self._lanes.setdefault(channel.room, Lane(self._tasks, "room-consequences", LANE_MAX))
        if not lane.offer(lambda: self._guarded(channel, work)):
            log.error("too many consequences wait", room=channel.room)

    async def _guarded(self, channel: Channel, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except AWAY as exc:
            # Rights that cannot be read again are none: the sockets come back and are asked anew.
            log.warning("rights not read again", room=channel.room, error=repr(exc))
            for seat in _seats(channel):
                seat.session.close(CLOSE_BEGIN_ANEW, "rights changed")

    async def _reread(self, channel: Channel, users: list[str] | None) -> None:
        """Read memberships again, of all here or of these, and tell those whose rights are others now."""
        services = self._parts.services
        by_user: dict[str, list[RoomSeat]] = {}
        for seat in _seats(channel):
            if users is None or seat.user.id in users:
                by_user.setdefault(seat.user.id, []).append(seat)
        ids = list(by_user)
        for start in range(0, len(ids), USERS_AT_ONCE):
            some = ids[start : start + USERS_AT_ONCE]
            found = await services.members.some(services.pool, channel.room, some)
            members = {member.user.id: member for member in found}
            for user in some:
                member = members.get(user)
                for seat in by_user[user]:
                    if member is None or member.state is not MemberState.ACTIVE:
                        seat.session.put_out(channel.room, "left" if member is None else member.state.value)
                    elif seat.change(member):
                        seat.session.tell_you(seat)

    async def _tell_waiting(self, channel: Channel, users: list[str], gone: str = TURNED_AWAY) -> None:
        """Read again what has become of those who wait in front of the room here, and tell them."""
        services, waiting = self._parts.services, self._parts.waiting
        for start in range(0, len(users), USERS_AT_ONCE):
            some = users[start : start + USERS_AT_ONCE]
            found = await services.members.some(services.pool, channel.room, some)
            members = {member.user.id: member for member in found}
            for user in some:
                waiting.tell(channel.room, user, members.get(user), gone)

    async def _play_tokens(self, channel: Channel) -> None:
        services = self._parts.services
        streams = await services.streams.of_room(services.pool, channel.room)
        for seat in _seats(channel):
            seat.session.send_play_tokens(seat, streams)
            await asyncio.sleep(0)  # Each is a signature: others get their turn in between.

    async def renew_play_tokens(self) -> None:
        """New tokens for everybody in a room with streams that want them; raises what the database raises."""
        for channel in self._parts.hub.channels():
            if channel.seats:
                await self._play_tokens(channel)


def _is_as_told(seat: RoomSeat, told: dict[str, Any]) -> bool:
    """Whether a member event says of the seat's member what the seat knows: nothing has to be read again.

    Where that is out of date, what made it so has an event of its own.
    """
    known = (seat.member.role.value, seat.member.state.value, str(int(seat.permissions)))
    return known == (told.get("role"), told.get("state"), told.get("permissions"))


def _seats(channel: Channel) -> list[RoomSeat]:
    return [seat for seat in channel.seats if isinstance(seat, RoomSeat)]
