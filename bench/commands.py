"""Playback commands: how long until every member of the room has the new state, and whether any is lost."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from bench.sockets_client import LightSocket, parse
from bench.stack import Stack, spent
from bench.tables import Table, percentile

FILM_S: Final = 7_200
ROOMS_PER_OWNER: Final = 90
GUESTS: Final = 50
"""People beside the owners, each in many rooms."""
_JOIN_S: Final = 30.0
_LATE_S: Final = 2.0


@dataclass
class Watched:
    """A room, its members' sockets, and what each was told; the first member commands."""

    room: str
    sockets: list[LightSocket] = field(default_factory=list)
    joined: int = 0
    sent: dict[float, float] = field(default_factory=dict)
    """Position sought → when (seconds, monotonic)."""
    arrived: dict[float, list[float]] = field(default_factory=dict)
    answered: list[int] = field(default_factory=list)
    """The revision each command was answered with."""
    revisions: dict[LightSocket, list[int]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def on_text(self, socket: LightSocket, payload: bytes) -> None:
        """A frame to one of the members."""
        kind = payload[9:20]
        if kind.startswith((b'playback"', b"ack", b"error", b"joined")):
            now = time.monotonic()
            frame = parse(payload)
            if kind.startswith(b"playback"):
                self.arrived.setdefault(frame["state"]["position"], []).append(now)
                self.revisions.setdefault(socket, []).append(frame["state"]["revision"])
            elif kind.startswith(b"ack"):
                self.answered.append(frame["state"]["revision"])
            elif kind.startswith(b"error"):
                self.refused.append(frame["code"])
            else:
                self.joined += 1

    def seek(self) -> None:
        """One command; no position is sought twice."""
        position = float(len(self.sent) + 1)
        self.sent[position] = time.monotonic()
        command = {"type": "playback", "room": self.room, "action": "seek", "position": position}
        self.sockets[0].send({"id": "c", **command})

    def latencies_ms(self) -> list[float]:
        """Of each command, until the last member had its state."""
        return [
            (max(times) - self.sent[position]) * 1_000
            for position, times in self.arrived.items()
            if position in self.sent
        ]

    def faults(self) -> list[str]:
        """What was lost, told twice or refused, and holes in anybody's revisions."""
        found = [f"refused: {code}" for code in self.refused]
        if len(set(self.answered)) != len(self.sent):
            found.append(f"{len(self.sent)} commands, {len(set(self.answered))} revisions answered")
        if any(len(self.arrived.get(position, ())) != len(self.sockets) for position in self.sent):
            found.append("a state that did not come once to every member")
        for revisions in self.revisions.values():
            found += [
                f"revision {one} after {before}" for before, one in pairwise(revisions) if one != before + 1
            ]
        return found


async def run(
    stack: Stack, *, members: int = 20, rooms: int = 1, per_second: float = 10.0, seconds: float = 20.0
) -> Table:
    """Seek `per_second` times a second over all rooms in turn; a room's members sit on all gateways in turn."""
    bases = [f"{str(one['http']).rstrip('/').replace('http', 'ws', 1)}/ws" for one in stack.ready["gateways"]]
    watched = await _open(stack, bases, rooms, members)
    before = stack.sample()
    began = time.monotonic()
    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
        watched[number % rooms].seek()
    took = time.monotonic() - began
    await asyncio.sleep(_LATE_S)
    after = stack.sample()
    for room in watched:
        for socket in room.sockets:
            socket.close()
    last = [latency for room in watched for latency in room.latencies_ms()]
    sent = sum(len(room.sent) for room in watched)
    table = Table(
        f"Playback commands, {per_second:g} a second over {rooms} room(s), {members} members each, "
        f"{len(bases)} gateway(s)",
        ("what", "p50 ms", "p95 ms", "p99 ms", "samples"),
    )
    shares = (0.5, 0.95, 0.99)
    table.add("command → the last member", *(percentile(last, share) for share in shares), len(last))
    faults = [fault for room in watched for fault in room.faults()]
    cpu = spent(before, after)
    table.conditions += [
        f"gateways {len(bases)}, sync workers {len(stack.ready['pids'].get('sync', []))}",
        f"{sent} commands in {took:.1f} s; lost, refused, doubled or out of order: {len(faults)}",
        f"CPU s per {after.at - before.at:.0f} s: "
        + ", ".join(f"{kind} {used:.2f}" for kind, used in sorted(cpu.items())),
    ]
    if faults or len(last) < sent:
        table.failures.append(f"{len(faults)} faults: {faults[:3]}, {len(last)} of {sent} commands seen")
    return table


async def _open(stack: Stack, bases: list[str], rooms: int, members: int) -> list[Watched]:
    """Rooms with a film in each, and all their members joined; raises RuntimeError where one is not."""
    guests = [await stack.guest() for _ in range(min(members - 1, GUESTS))]
    found = []
    token = ""
    for number in range(rooms):
        if number % ROOMS_PER_OWNER == 0:
            token = await stack.register()
        watched = Watched((await stack.call("POST", "rooms", {"name": "bench"}, token=token))["id"])
        film = {"kind": "url", "title": "film", "url": "http://127.0.0.1/film.mp4", "duration": FILM_S}
        path = f"rooms/{watched.room}"
        item = await stack.call("POST", f"{path}/playlist", film, token=token)
        await stack.call("POST", f"{path}/playback", {"action": "select", "item": item["id"]}, token=token)
        for member in range(members):
            own = token if member == 0 else guests[(member - 1) % len(guests)]
            socket = LightSocket(bases[(number + member) % len(bases)], own, watched.on_text)
            await socket.connect()
            socket.send({"type": "join", "id": "j", "room": watched.room})
            watched.sockets.append(socket)
        found.append(watched)
    deadline = time.monotonic() + _JOIN_S
    while any(room.joined < members for room in found) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    await asyncio.sleep(_LATE_S)
    if lacking := sum(members - room.joined for room in found):
        raise RuntimeError(f"{lacking} members were not let in")
    for room in found:
        room.revisions.clear()
    return found
