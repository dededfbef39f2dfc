"""What sync reads and writes: the room's state (bucket), its playlist (read only), its deadline (schedule)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from nats.errors import Error as NatsError
from pydantic import ValidationError

from bus_schemas.messages.room import PlaybackChanged, PlaybackRequested, Presence
from bus_schemas.messages.shapes import ItemKind, PlaybackMode, RoomSettings
from bus_schemas.streams import PRESENCE, ROOM_COMMANDS, ROOMS
from bus_schemas.subjects import ROOM_COMMAND, ROOM_SCHEDULE
from runtime import direct
from runtime.bus import Bus
from runtime.emit import headers_for
from runtime.kv import Bucket
from runtime.logs import get_logger
from runtime.postgres import Pool
from runtime.sql import queries
from workers.sync.autoplay import Entry

log = get_logger("sync.store")

PRESENCE_S: Final = 1.0
"""A room is not kept waiting for word of whom it might wait for."""
PLAYS_KEPT: Final = 200
"""Items of a room's history."""
SCHEDULE: Final = "Nats-Schedule"
SCHEDULE_TARGET: Final = "Nats-Schedule-Target"


@dataclass(frozen=True, slots=True)
class LastPlay:
    """What is known of a room's playback without its state."""

    item: str
    """The item it came to last, whether it is still there or not."""
    revision: int
    """The room's when it came there."""
    mode: PlaybackMode
    """What the room begins with, by its settings."""


@dataclass(frozen=True, slots=True)
class Held:
    """A room's last change, and the bucket revision it stands at (0: none)."""

    change: PlaybackChanged | None
    revision: int


class Rooms(Protocol):
    """The state of each room, by compare-and-set."""

    async def read(self, room: str) -> Held:
        """What the room's state is now."""

    async def write(self, change: PlaybackChanged, over: Held) -> bool:
        """Make it so, if the room still stands where `over` says; False if it does not."""

    async def forget(self, room: str) -> None:
        """The room is no more."""


class Playlists(Protocol):
    """The playlists, as the gateway writes them."""

    async def entries(self, room: str) -> list[Entry]:
        """All items of a room, in no order."""

    async def entry(self, room: str, item: str) -> Entry | None:
        """One item, if that room has it."""

    async def live_delay_ms(self, room: str) -> int:
        """How far behind the publisher the room plays."""

    async def waits(self, room: str) -> bool:
        """Whether the room waits for members who buffer, by its settings."""

    async def has_room(self, room: str) -> bool:
        """Whether the room is there at all."""

    async def note_play(self, change: PlaybackChanged) -> None:
        """The room came to this item: keep it in the room's history, once."""

    async def last_play(self, room: str) -> LastPlay | None:
        """What the room played last; None for one that never played."""


class Presences(Protocol):
    """Who is in a room and how he does, as the gateways write it."""

    async def of(self, room: str) -> list[Presence]:
        """All entries of a room; none where they cannot be read in time: nobody is waited for then."""


class Deadlines(Protocol):
    """One deadline a room, kept by the bus."""

    async def set(self, at_ms: int, command: PlaybackRequested) -> None:
        """Send this command to its room's worker at that time, in place of what was to come."""

    async def cancel(self, room: str) -> None:
        """Nothing is to come."""


class BucketRooms:
    """`Rooms` in the bucket `ROOMS`, whose values are the rooms' events as they are."""

    def __init__(self, bus: Bus) -> None:
        self._bucket = Bucket(bus.js, ROOMS)

    async def read(self, room: str) -> Held:
        """One round trip."""
        entry = await self._bucket.get(room)
        if entry is None:
            return Held(None, 0)
        return Held(PlaybackChanged.model_validate_json(entry.value), entry.revision)

    async def write(self, change: PlaybackChanged, over: Held) -> bool:
        """One round trip; the server appends the same bytes to the room's events."""
        value = change.model_dump_json().encode()
        if over.revision == 0:
            return await self._bucket.claim(change.room, value) is not None
        return await self._bucket.update(change.room, value, over.revision) is not None

    async def forget(self, room: str) -> None:
        """A marker without a value, which readers of the room's events skip."""
        await self._bucket.delete(room)


class PostgresPlaylists:
    """`Playlists` from the gateway's tables."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = queries(Path(__file__).with_name("queries.sql"))

    async def entries(self, room: str) -> list[Entry]:
        """As they stand; no lock: a change that comes right after is as good as one that comes later."""
        rows = await self._pool.fetch(self._sql["entries"], room)
        return [_entry(*row.values()) for row in rows]

    async def entry(self, room: str, item: str) -> Entry | None:
        """None too for another room's item."""
        row = await self._pool.fetchrow(self._sql["entry"], room, item)
        return _entry(*row.values()) if row else None

    async def live_delay_ms(self, room: str) -> int:
        """The default where the room sets none."""
        delay = await self._pool.fetchval(self._sql["live_delay"], room)
        return RoomSettings().live_delay_ms if delay is None else int(delay)

    async def waits(self, room: str) -> bool:
        """By its row; a room that is gone does not."""
        return bool(await self._pool.fetchval(self._sql["waits"], room))

    async def has_room(self, room: str) -> bool:
        """By its row."""
        return bool(await self._pool.fetchval(self._sql["has_room"], room))

    async def note_play(self, change: PlaybackChanged) -> None:
        """With the title it had then; the oldest beyond what is kept go. An item that is gone leaves nothing."""
        by, state = change.by, change.state
        name = by.username if by else None
        await self._pool.execute(
            self._sql["note_play"], change.room, state.item, change.at, state.revision, by and by.id, name
        )
        await self._pool.execute(self._sql["forget_plays"], change.room, PLAYS_KEPT)

    async def last_play(self, room: str) -> LastPlay | None:
        """From the history."""
        row = await self._pool.fetchrow(self._sql["last_play"], room)
        if row is None:
            return None
        return LastPlay(row["item"], row["revision"], PlaybackMode(row["mode"] or RoomSettings().mode))


def _entry(id_: str, parent: str | None, position: int, duration: float | None, kind: str) -> Entry:
    return Entry(id_, parent, position, duration, live=kind == ItemKind.LIVE, folder=kind == ItemKind.FOLDER)


class BucketPresences:
    """`Presences` in the bucket `PRESENCE`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def of(self, room: str) -> list[Presence]:
        """One request, whatever the number of gateways."""
        pattern = f"$KV.{PRESENCE.name}.{room}.*"
        try:
            stored = await direct.last_of_each(self._bus, PRESENCE.stream, pattern, deadline_s=PRESENCE_S)
        except (NatsError, TimeoutError, OSError) as exc:
            log.warning("presence not read", room=room, error=repr(exc))
            return []
        found = []
        for message in stored:
            if message.data:
                try:
                    found.append(Presence.model_validate_json(message.data))
                except ValidationError as exc:
                    log.error("presence that cannot be read", subject=message.subject, error=str(exc)[:300])
        return found


class ScheduledDeadlines:
    """`Deadlines` as scheduled messages: the server holds one for each room, and sends it when it is due."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def set(self, at_ms: int, command: PlaybackRequested) -> None:
        """A subject holds one schedule: the newer message takes the older one's place."""
        due = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
        headers = headers_for(ROOM_SCHEDULE) | {
            SCHEDULE: f"@at {due.replace('+00:00', 'Z')}",
            SCHEDULE_TARGET: ROOM_COMMAND.at(room=command.room),
        }
        await self._bus.js.publish(
            ROOM_SCHEDULE.at(room=command.room), command.model_dump_json().encode(), headers=headers
        )

    async def cancel(self, room: str) -> None:
        """Purge the subject; nothing there is as good."""
        await self._bus.request_api(
            f"STREAM.PURGE.{ROOM_COMMANDS.name}", {"filter": ROOM_SCHEDULE.at(room=room)}
        )
