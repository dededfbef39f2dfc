"""The rooms of one gateway on the bus: each room with members here is followed once, for all of them.

Events come by core NATS, republished by the stream that keeps them (DESIGN.md §3). A number missing in
the chain, or a connection that was away, is made good by reading the stream. What cannot be made good
(the stream is another one, or what was lost is no longer kept) begins the room anew: its members are
given a fresh `joined`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from bus_schemas.limits import RESUME_WINDOW_S
from bus_schemas.streams import DANMAKU as DANMAKU_STREAM
from bus_schemas.streams import ROOM_EVENTS
from bus_schemas.subjects import DANMAKU, DANMAKU_OUT, ROOM_EVENT, ROOM_EVENT_OUT
from gateway.ws.channel import Channel, Place
from gateway.ws.events import RoomEventFrame, render, render_danmaku
from runtime import direct
from runtime.bus import Bus
from runtime.logs import get_logger
from runtime.metrics import Metrics
from runtime.tasks import Tasks

log = get_logger("ws.hub")

LINGER_S: Final = 5.0
"""A room is followed for so long after its last member here went: people come back, and the others
are still to be told that he went."""
RETRY_S: Final = 0.2
MARGIN_S: Final = 30
WAITING_MAX: Final = 4_096
"""Events held while a gap is read; beyond it the gap only grows, and is read again."""
BUS_ERRORS: Final = (NatsError, APIError, TimeoutError)


@dataclass(slots=True)
class Room:
    """A room that is followed here."""

    channel: Channel
    opened: asyncio.Future[None]
    subscriptions: list[Subscription] = field(default_factory=list)
    users: int = 0
    """Who holds it open: sockets in it or about to come in."""
    since_empty: float | None = None
    catching_up: bool = True
    waiting: list[Msg] = field(default_factory=list)
    overflowed: bool = False


class Hub:
    """Opens, follows and closes rooms. `on_event` is told of each event after the members were given it;
    `on_begun_anew` of a room whose members need a fresh snapshot; `on_open` and `on_close` of rooms."""

    def __init__(self, bus: Bus, tasks: Tasks, metrics: Metrics) -> None:
        self._bus = bus
        self._tasks = tasks
        self._sent = metrics.counter("matinee_socket_sent_total")
        self._rooms: dict[str, Room] = {}
        self.epoch = ""
        """Which ROOM_EVENTS stream the numbers are of."""
        self._connected_at = 0.0
        self.on_event: list[Callable[[Channel, RoomEventFrame], None]] = []
        self.on_begun_anew: list[Callable[[Channel], None]] = []
        self.on_open: list[Callable[[Channel], object]] = []
        self.on_close: list[Callable[[Channel], object]] = []

    async def start(self) -> None:
        """Learn the epoch; follow reconnects."""
        self._connected_at = asyncio.get_running_loop().time()
        self.epoch = await self._bus.stream_created(ROOM_EVENTS.name)
        self._bus.on_reconnect.append(self._after_reconnect)

    def channel(self, room: str) -> Channel | None:
        """The channel of a room that is followed here."""
        found = self._rooms.get(room)
        return found.channel if found is not None and found.opened.done() else None

    def channels(self) -> list[Channel]:
        """All of them."""
        return [room.channel for room in self._rooms.values() if room.opened.done()]

    async def hold(self, room_id: str) -> Channel:
        """The room's channel, followed until `release` was called as often; raises nats' errors, TimeoutError."""
        room = self._rooms.get(room_id)
        if room is None:
            room = Room(Channel(room_id), asyncio.get_running_loop().create_future())
            self._rooms[room_id] = room
            self._tasks.spawn(f"room:{room_id}", self._open(room))
        room.users += 1
        room.since_empty = None
        try:
            await asyncio.shield(room.opened)
        except BaseException:
            room.users -= 1
            raise
        return room.channel

    def release(self, room_id: str, now: float) -> None:
        """One who held the room open went (seconds, monotonic)."""
        room = self._rooms.get(room_id)
        if room is not None:
            room.users -= 1
            if room.users <= 0:
                room.since_empty = now

    def tend(self, now: float) -> None:
        """Close rooms that nobody wants any more, forget what newcomers had; called a few times a second."""
        if self._bus.connected:
            self._connected_at = now
        for room_id, room in list(self._rooms.items()):
            room.channel.settle(now)
            if room.since_empty is not None and now - room.since_empty > LINGER_S:
                del self._rooms[room_id]
                for callback in self.on_close:
                    callback(room.channel)
                self._tasks.spawn(f"room-close:{room_id}", self._unsubscribe(room))

    async def _open(self, room: Room) -> None:
        room_id = room.channel.room

        async def on_event(message: Msg) -> None:
            self._heard(room, message)

        async def on_danmaku(message: Msg) -> None:
            self._heard_danmaku(room.channel, message)

        try:
            async with asyncio.timeout(direct.DEADLINE_S):
                nc = self._bus.nc
                room.subscriptions += [
                    await nc.subscribe(ROOM_EVENT_OUT.at(room=room_id), cb=on_event),
                    await nc.subscribe(DANMAKU_OUT.at(room=room_id), cb=on_danmaku),
                ]
                # The server reads one connection's words in order: what answers the next request was
                # asked after it knew of these subscriptions.
                room.channel.begin(await self._position(room_id))
                await self._read_danmaku(room.channel)
        except BUS_ERRORS as exc:
            self._rooms.pop(room_id, None)
            room.opened.set_exception(exc)
            room.opened.exception()  # Looked at, should nobody wait any more.
            await self._unsubscribe(room)
            return
        for callback in self.on_open:
            callback(room.channel)
        room.opened.set_result(None)
        await self._catch_up(room)

    async def _position(self, room_id: str) -> int:
        """The room's newest event, else the stream's newest: nothing of the room is at or below it."""
        state = (await self._bus.request_api(f"STREAM.INFO.{ROOM_EVENTS.name}"))["state"]
        newest = await direct.last(self._bus, ROOM_EVENTS.name, ROOM_EVENT.at(room=room_id))
        return newest.sequence if newest is not None else int(state["last_seq"])

    async def _read_danmaku(self, channel: Channel) -> None:
        stored = await direct.after(
            self._bus, DANMAKU_STREAM.name, DANMAKU.at(room=channel.room), channel.danmaku_position
        )
        for message in stored:
            if (found := render_danmaku(channel.room, message.data)) is not None:
                channel.add_danmaku(message.sequence, int(found[0]["at"]), found[0])

    async def _unsubscribe(self, room: Room) -> None:
        for subscription in room.subscriptions:
            if not self._bus.nc.is_closed:
                await subscription.unsubscribe()

    def _heard(self, room: Room, message: Msg) -> None:
        if room.catching_up:
            if len(room.waiting) < WAITING_MAX:
                room.waiting.append(message)
            else:
                room.overflowed = True
            return
        if self._take(room.channel, message) is Place.BEYOND:
            room.waiting.append(message)
            self._begin_catching_up(room)

    def _take(self, channel: Channel, message: Msg) -> Place:
        seq, previous = _numbers(message)
        place = channel.place(seq, previous)
        if place is Place.NEXT:
            self._give(channel, seq, message.data)
        return place

    def _give(self, channel: Channel, seq: int, body: bytes) -> None:
        event = render(channel.room, seq, body)
        if event is None:
            if body:
                log.error("room event that cannot be read", room=channel.room, seq=seq)
            channel.skip(seq)
            return
        channel.take(event)
        self._sent.inc(len(channel.seats))
        for callback in self.on_event:
            callback(channel, event)

    def _heard_danmaku(self, channel: Channel, message: Msg) -> None:
        headers = message.headers or {}
        found = render_danmaku(channel.room, message.data)
        if found is None:
            log.error("danmaku that cannot be read", room=channel.room)
            return
        shown, wire = found
        if channel.add_danmaku(int(headers["Nats-Sequence"]), int(shown["at"]), shown):
            channel.give_moment(wire)
            self._sent.inc(len(channel.seats))

    def _begin_catching_up(self, room: Room) -> None:
        if not room.catching_up:
            room.catching_up = True
            self._tasks.spawn(f"room-catch-up:{room.channel.room}", self._catch_up(room))

    async def _catch_up(self, room: Room) -> None:
        """Read what the stream has above our position, then take what came in the meantime."""
        channel = room.channel
        while channel.room in self._rooms:
            wanted = {
                previous for message in room.waiting if (previous := _numbers(message)[1]) > channel.position
            }
            room.overflowed = False
            try:
                stored = await direct.after(
                    self._bus, ROOM_EVENTS.name, ROOM_EVENT.at(room=channel.room), channel.position
                )
            except BUS_ERRORS as exc:
                log.warning("room waits for the bus", room=channel.room, error=repr(exc))
                await asyncio.sleep(RETRY_S)
                continue
            if wanted - {message.sequence for message in stored}:
                log.warning("room events are lost", room=channel.room, position=channel.position)
                self._begin_anew(channel, max(wanted))
            for event in stored:
                if event.sequence > channel.position:
                    self._give(channel, event.sequence, event.data)
            waiting, room.waiting = room.waiting, []
            for index, message in enumerate(waiting):
                if self._take(channel, message) is Place.BEYOND:
                    room.waiting = waiting[index:]
                    break
            if not room.waiting and not room.overflowed:
                room.catching_up = False
                return

    def _begin_anew(self, channel: Channel, position: int) -> None:
        channel.begin(position)
        for callback in self.on_begun_anew:
            callback(channel)

    async def _after_reconnect(self) -> None:
        """Nothing is known of the time the connection was away; another stream has other numbers."""
        now = asyncio.get_running_loop().time()
        info = await self._bus.request_api(f"STREAM.INFO.{ROOM_EVENTS.name}")
        last = int(info["state"]["last_seq"])
        epoch = str(info["created"])
        another = epoch != self.epoch or now - self._connected_at > RESUME_WINDOW_S - MARGIN_S
        self.epoch = epoch
        for room in list(self._rooms.values()):
            if not room.opened.done():
                continue
            # A stream that lost its newest messages with its server gives their numbers out again.
            room.channel.danmaku_position = 0  # A memory stream: with its server gone it counts anew.
            if another or room.channel.position > last:
                self._begin_anew(room.channel, await self._position(room.channel.room))
            self._begin_catching_up(room)


def _numbers(message: Msg) -> tuple[int, int]:
    """The event's number, and that of the room's event before it."""
    headers = message.headers or {}
    return int(headers["Nats-Sequence"]), int(headers["Nats-Last-Sequence"])
