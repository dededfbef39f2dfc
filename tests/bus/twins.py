"""In-memory twins of what workers keep elsewhere, and a bus that only lists what was said on it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from faststream.nats import NatsBroker, TestNatsBroker
from nats.aio.client import Client

from bus_schemas.messages.base import BusMessage
from bus_schemas.messages.room import (
    ChatSubmitted,
    CommandReply,
    DanmakuPosted,
    PlaybackChanged,
    PlaybackRequested,
    Presence,
    PresentMember,
    RoomEvent,
)
from bus_schemas.messages.shapes import ChatMessage, PlaybackMode
from bus_schemas.streams import ConsumerSpec
from bus_schemas.subjects import Subject
from runtime.bus import Bus
from workers.chat.store import RoomGone, Stored
from workers.sync.autoplay import Entry
from workers.sync.store import Held, LastPlay

NOW = 1_790_000_000_000


def unconnected() -> Bus:
    """A bus with nothing at its other end."""
    client = Client()
    return Bus(client, client.jetstream())


@asynccontextmanager
async def in_memory(broker: NatsBroker) -> AsyncIterator[None]:
    """The broker's real subscribers, fed by `deliver` instead of a server."""
    async with TestNatsBroker(broker):
        yield


async def deliver(
    broker: NatsBroker, subject: Subject[Any], consumer: ConsumerSpec, message: BusMessage | bytes,
    *, delivery: int = 1, room: str = "r1",
) -> None:  # fmt: skip
    """Hand a message to the handler as the server would at its n-th delivery."""
    body = message if isinstance(message, bytes) else message.model_dump_json().encode()
    token = f"$JS.ACK.{consumer.stream}.{consumer.name}.{delivery}.7.7.1790000000000000000.0"
    await broker.publish(body, subject.at(room=room), reply_to=token)


class Died(BaseException):
    """The process is no more."""


def die(owner: Any, method: str, *, after: bool) -> Callable[[], None]:
    """Let the process die before or after this call of a twin; gives what makes it immortal again."""
    original = getattr(owner, method)

    async def dying(*arguments: Any) -> Any:
        if after:
            await original(*arguments)
        raise Died

    setattr(owner, method, dying)
    return lambda: setattr(owner, method, original)


class Replies:
    """Collects the answers."""

    def __init__(self) -> None:
        self.given: list[CommandReply] = []

    async def answer(self, reply_subject: str | None, reply: CommandReply) -> None:
        if reply_subject is not None:
            self.given.append(reply)


class MemoryRooms:
    """`Rooms` in a dict; `interfere` is written by somebody else in front of the next write."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.interfere: list[PlaybackChanged] = []

    async def read(self, room: str) -> Held:
        return self.held.get(room, Held(None, 0))

    async def write(self, change: PlaybackChanged, over: Held) -> bool:
        if self.interfere:
            other = self.interfere.pop(0)
            self.held[other.room] = Held(other, (await self.read(other.room)).revision + 1)
        if (await self.read(change.room)).revision != over.revision:
            return False
        self.held[change.room] = Held(change, over.revision + 1)
        return True

    async def forget(self, room: str) -> None:
        self.held.pop(room, None)


class MemoryPlaylists:
    """`Playlists` of one room."""

    def __init__(self, *entries: Entry) -> None:
        self.items = list(entries)
        self.asked = 0
        self.there = True
        self.waiting = True
        self.delay_ms = 3_000
        self.plays: dict[int, str] = {}
        self.mode = PlaybackMode.SEQUENTIAL

    async def entries(self, room: str) -> list[Entry]:
        self.asked += 1
        return self.items

    async def entry(self, room: str, item: str) -> Entry | None:
        self.asked += 1
        return next((entry for entry in self.items if entry.id == item), None)

    async def live_delay_ms(self, room: str) -> int:
        return self.delay_ms

    async def waits(self, room: str) -> bool:
        return self.waiting

    async def has_room(self, room: str) -> bool:
        return self.there

    async def note_play(self, change: PlaybackChanged) -> None:
        assert change.state.item is not None
        self.plays[change.state.revision] = change.state.item

    async def last_play(self, room: str) -> LastPlay | None:
        if not self.plays:
            return None
        return LastPlay(self.plays[max(self.plays)], max(self.plays), self.mode)


class MemoryPresences:
    """`Presences` of one room, one gateway."""

    def __init__(self) -> None:
        self.members: list[PresentMember] = []
        self.asked = 0
        self.on_read: list[Any] = []

    async def of(self, room: str) -> list[Presence]:
        self.asked += 1
        entry = Presence(room=room, gateway="g1", members=tuple(self.members), at=NOW)
        if self.on_read:
            self.on_read.pop()()
        return [entry]


class MemoryDeadlines:
    """`Deadlines` in a dict; `on_set` runs once, after the next deadline was set."""

    def __init__(self) -> None:
        self.due: dict[str, tuple[int, PlaybackRequested]] = {}
        self.on_set: list[Any] = []

    async def set(self, at_ms: int, command: PlaybackRequested) -> None:
        self.due[command.room] = (at_ms, command)
        if self.on_set:
            self.on_set.pop()()

    async def cancel(self, room: str) -> None:
        self.due.pop(room, None)


class MemoryMessages:
    """`Messages` of the room r1."""

    def __init__(self) -> None:
        self.stored: dict[str, Stored] = {}
        self.by_client: dict[tuple[str, str], str] = {}

    async def add(self, id_: str, submitted: ChatSubmitted, text: str, now_ms: int) -> Stored:
        if submitted.room != "r1":
            raise RoomGone(submitted.room)
        known = self.by_client.setdefault((submitted.user.id, submitted.client_id), id_)
        if known == id_:
            message = ChatMessage(
                id=id_, user=submitted.user, text=text, at=now_ms, reply_to=submitted.reply_to
            )
            self.stored[id_] = Stored(message, posted=False)
        return self.stored[known]

    async def mark_posted(self, id_: str) -> None:
        self.stored[id_] = replace(self.stored[id_], posted=True)

    async def remove(self, room: str, id_: str) -> bool:
        return id_ in self.stored


class Ears:
    """`Room` as its members hear it: the same msg_id twice is once."""

    def __init__(self) -> None:
        self.events: dict[str, RoomEvent] = {}
        self.danmaku_heard: dict[str, DanmakuPosted] = {}
        self.deaf = 0
        """So many publishes fail."""

    async def event(self, room: str, event: RoomEvent, msg_id: str) -> None:
        if self.deaf:
            self.deaf -= 1
            raise TimeoutError("the bus is away")
        self.events.setdefault(msg_id, event)

    async def danmaku(self, room: str, danmaku: DanmakuPosted, msg_id: str) -> None:
        self.danmaku_heard.setdefault(msg_id, danmaku)
