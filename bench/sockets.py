"""Many sockets in one room or in many: how long an event takes to the last of them, and who suffers from one
who does not read."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from bench.blocked import BlockedReader
from bench.listeners import Heard, Listeners, stamp
from bench.sockets_client import LightSocket
from bench.stack import Stack, spent
from bench.tables import Table, percentile

GUESTS: Final = 50
"""People among the listeners, each many times over: what is measured is the socket, not the sign-in."""
ROOMS_PER_OWNER: Final = 90
ROOMS_PER_SPEAKER: Final = 32
JOIN_S: Final = 60.0
SETTLE_S: Final = 3.0
SETTLE_MAX_S: Final = 60.0
IDLE_CORES: Final = 0.15
"""Of all gateways together, with nobody speaking."""
LATE_S: Final = 0.5
LATEST_S: Final = 10.0
PHASE_S: Final = 5.0
"""With and without the one who does not read, in turns: whatever else the machine does falls on both."""
SUFFERS: Final = 1.1
"""More than a tenth on top is somebody else's trouble."""


@dataclass
class Speakers:
    """Who speaks in each room: its owner, on a socket for as many rooms as one may be in."""

    rooms: list[str]
    by_room: dict[str, LightSocket]
    _turn: itertools.cycle[str] = field(init=False)

    def __post_init__(self) -> None:
        self._turn = itertools.cycle(self.rooms)

    def say(self) -> None:
        """One message, in the room whose turn it is."""
        room = next(self._turn)
        self.by_room[room].send(
            {"type": "chat", "id": "c", "room": room, "client_id": secrets.token_hex(8), "text": stamp()}
        )

    async def speak(self, per_second: float, seconds: float) -> int:
        """So many messages a second over all rooms; gives how many."""
        number = int(per_second * seconds)
        began = time.monotonic()
        for spoken in range(number):
            await asyncio.sleep(max(0.0, began + spoken / per_second - time.monotonic()))
            self.say()
        return number

    def close(self) -> None:
        """Go."""
        for socket in set(self.by_room.values()):
            socket.close()


async def make_rooms(stack: Stack, number: int) -> list[tuple[str, str]]:
    """New rooms, each with its owner's token."""
    made = []
    token = ""
    for count in range(number):
        if count % ROOMS_PER_OWNER == 0:
            token = await stack.register()
        made.append(((await stack.call("POST", "rooms", {"name": "bench"}, token=token))["id"], token))
    return made


async def seat_speakers(gateways: list[str], rooms: list[tuple[str, str]]) -> Speakers:
    """A socket for every so many rooms of an owner, joined to them; raises RuntimeError where it is not let in."""
    found: dict[str, LightSocket] = {}
    joined: list[str] = []

    def on_text(_socket: LightSocket, payload: bytes) -> None:
        if payload.startswith(b'{"type":"joined"'):
            joined.append("")

    for _, owned in itertools.groupby(rooms, key=lambda room: room[1]):
        mine = list(owned)
        for first in range(0, len(mine), ROOMS_PER_SPEAKER):
            some = mine[first : first + ROOMS_PER_SPEAKER]
            socket = LightSocket(gateways[first // ROOMS_PER_SPEAKER % len(gateways)], some[0][1], on_text)
            await socket.connect()
            for room, _ in some:
                socket.send({"type": "join", "id": "j", "room": room})
                found[room] = socket
    deadline = time.monotonic() + JOIN_S
    while len(joined) < len(rooms):
        if time.monotonic() > deadline:
            raise RuntimeError(f"speakers were let into {len(joined)} of {len(rooms)} rooms")
        await asyncio.sleep(0.1)
    return Speakers([room for room, _ in rooms], found)


async def settle(stack: Stack) -> None:
    """Wait until the gateways have told everybody who came, at most `SETTLE_MAX_S`."""
    deadline = time.monotonic() + SETTLE_MAX_S
    busy = 1.0
    while busy > IDLE_CORES and time.monotonic() < deadline:
        before = stack.sample()
        await asyncio.sleep(SETTLE_S)
        after = stack.sample()
        busy = spent(before, after)["gateway"] / (after.at - before.at)


async def hear(listeners: Listeners, spoken: int) -> Phase:
    """All that was said, once every listener of its room has it, or `LATEST_S` later."""
    members = listeners.sockets // len(listeners.rooms)
    phase = Phase(spoken=spoken)
    deadline = time.monotonic() + LATEST_S
    while phase.missed(members) and time.monotonic() < deadline:
        await asyncio.sleep(LATE_S)
        phase.heard += await listeners.take()
    return phase


@dataclass(slots=True)
class Phase:
    """What was heard of so many messages."""

    heard: Heard = field(default_factory=Heard)
    spoken: int = 0

    def __add__(self, other: Phase) -> Phase:
        return Phase(self.heard + other.heard, self.spoken + other.spoken)

    def row(self, table: Table, name: str) -> None:
        """Two lines of the table."""
        last = list(self.heard.last_ms.values())
        shares = (0.5, 0.95, 0.99)
        table.add(f"{name} → the last member", *(percentile(last, share) for share in shares), len(last))
        table.add(
            f"{name} → any member",
            *(self.heard.percentile(share) for share in shares),
            self.heard.tenths.total(),
        )

    def missed(self, listeners_per_room: int) -> int:
        """Events that some listener did not get."""
        whole = sum(1 for count in self.heard.members.values() if count == listeners_per_room)
        return self.spoken - whole


async def run(
    stack: Stack,
    *,
    sockets: int = 1_000,
    rooms: int = 1,
    per_second: float = 10.0,
    seconds: float = 20.0,
    gateways: int = 1,
    blocked: bool = False,
) -> Table:
    """Chat at `per_second` over all rooms; every member's process notes when each message came.

    `blocked` measures in turns with and without one more member, who does not read what he is sent.
    """
    bases = [f"{str(one['http']).rstrip('/').replace('http', 'ws', 1)}/ws" for one in stack.ready["gateways"]]
    bases = bases[:gateways]
    made = await make_rooms(stack, rooms)
    guests = [await stack.guest() for _ in range(min(sockets, GUESTS))]
    listeners = Listeners(bases, [room for room, _ in made], guests, sockets)
    table = Table(
        f"{sockets} sockets in {rooms} room(s), {per_second:g} chat messages a second, {len(bases)} gateway(s)",
        ("what", "p50 ms", "p95 ms", "p99 ms", "samples"),
    )
    async with AsyncExitStack() as leaving:
        leaving.push_async_callback(listeners.stop)
        joined = await listeners.start()
        speakers = await seat_speakers(bases, made)
        leaving.callback(speakers.close)
        await settle(stack)
        await listeners.take()
        before = stack.sample()
        if blocked:
            alone, beside = await _in_turns(
                stack, bases[0], made[0], speakers, listeners, per_second, seconds
            )
            alone.row(table, "all read: send")
            beside.row(table, "one does not: send")
            _compare(table, alone, beside)
            whole = alone + beside
        else:
            whole = await hear(listeners, await speakers.speak(per_second, seconds))
            whole.row(table, "send")
        after = stack.sample()
    _judge(table, whole, joined=joined, sockets=sockets, rooms=rooms)
    cpu = spent(before, after)
    deliveries = max(1, whole.heard.tenths.total())
    table.conditions += [
        f"CPU s per {after.at - before.at:.0f} s: "
        + ", ".join(f"{kind} {used:.2f}" for kind, used in sorted(cpu.items())),
        f"of a delivery the gateway's part is {cpu['gateway'] / deliveries * 1e6:.1f} µs",
        f"the load is made on the same cores: {whole.heard.cpu_s:.2f} s of CPU to read all sockets, frames cut "
        "but not parsed",
    ]
    return table


async def _in_turns(
    stack: Stack,
    gateway: str,
    room: tuple[str, str],
    speakers: Speakers,
    listeners: Listeners,
    per_second: float,
    seconds: float,
) -> tuple[Phase, Phase]:
    """Phases without and with a reader whose socket is full, one after the other."""
    alone, beside = Phase(), Phase()
    for _ in range(max(1, round(seconds / PHASE_S / 2))):
        alone += await hear(listeners, await speakers.speak(per_second, PHASE_S))
        reader = await BlockedReader.enter(stack, gateway, *room)
        await listeners.take()
        spoken = await speakers.speak(per_second, PHASE_S)
        beside += await hear(listeners, spoken)
        await reader.leave(expected=spoken)
        await listeners.take()
    return alone, beside


def _compare(table: Table, alone: Phase, beside: Phase) -> None:
    without, with_one = alone.heard.percentile(0.99), beside.heard.percentile(0.99)
    table.conditions.append(
        "one member more whose socket is full changes the p99 of the others by "
        f"{(with_one / without - 1) * 100:+.0f} %; chat waits for him, in order, and danmaku do not"
    )
    if with_one > without * SUFFERS:
        table.failures.append(f"p99 with one who does not read: {with_one:.1f} ms, without: {without:.1f} ms")


def _judge(table: Table, whole: Phase, *, joined: int, sockets: int, rooms: int) -> None:
    missed = whole.missed(sockets // rooms)
    closed = whole.heard.closed
    table.conditions.append(f"joined: {joined}, closed: {len(closed)}, events that missed somebody: {missed}")
    if closed or missed or joined < sockets:
        table.failures.append(f"joined {joined}, closed {closed[:3]}, missed {missed} of {whole.spoken}")
