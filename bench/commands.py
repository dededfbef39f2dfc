"""A playback command: how long until every member of the room has the new state."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

from bench.sockets import parse
from bench.sockets_client import LightSocket
from bench.stack import Stack, spent
from bench.tables import Table, percentile


async def run(stack: Stack, *, members: int = 20, per_second: float = 10.0, seconds: float = 20.0) -> Table:
    """Seek `per_second` times a second; members sit on all gateways in turn."""
    token = await stack.register()
    room = (await stack.call("POST", "rooms", {"name": "bench"}, token=token))["id"]
    item = await stack.call(
        "POST",
        f"rooms/{room}/playlist",
        {"kind": "url", "title": "film", "url": "http://127.0.0.1/film.mp4", "duration": 7_200},
        token=token,
    )
    await stack.call("POST", f"rooms/{room}/playback", {"action": "select", "item": item["id"]}, token=token)
    bases = [str(gateway["http"]).rstrip("/") for gateway in stack.ready["gateways"]]
    arrived: dict[float, list[float]] = {}
    revisions: list[int] = []
    refused: list[str] = []

    def on_text(socket: LightSocket, payload: bytes) -> None:
        if payload.find(b'"playback"', 0, 200) < 0 and payload.find(b'"error"', 0, 200) < 0:
            return
        now = time.monotonic()
        frame = parse(payload)
        if frame["type"] == "error":
            refused.append(frame["code"])
        elif frame["type"] == "playback":
            arrived.setdefault(frame["state"]["position"], []).append(now)
            if socket is speaker:
                revisions.append(frame["state"]["revision"])

    crowd = []
    for number in range(members):
        member_token = token if number == 0 else await stack.guest()
        crowd.append(
            LightSocket(f"{bases[number % len(bases)].replace('http', 'ws', 1)}/ws", member_token, on_text)
        )
    speaker = crowd[0]
    for socket in crowd:
        await socket.connect()
        socket.send({"type": "join", "id": "j", "room": room})
    await asyncio.sleep(2)
    arrived.clear()
    revisions.clear()
    before = stack.sample()
    began = time.monotonic()
    sent: dict[float, float] = {}
    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
        position = float(number + 1)
        sent[position] = time.monotonic()
        speaker.send(
            {"type": "playback", "id": str(number), "room": room, "action": "seek", "position": position}
        )
    await asyncio.sleep(1)
    after = stack.sample()
    for socket in crowd:
        socket.close()
    last = [(max(times) - sent[position]) * 1_000 for position, times in arrived.items() if position in sent]
    short = sum(1 for position in sent if len(arrived.get(position, ())) != members)
    table = Table(
        f"Playback commands, {per_second:g} a second, {members} members over {len(bases)} gateway(s)",
        ("what", "p50 ms", "p95 ms", "p99 ms", "samples"),
    )
    table.add(
        "command → the last member",
        percentile(last, 0.5),
        percentile(last, 0.95),
        percentile(last, 0.99),
        len(last),
    )
    pids = stack.ready["pids"]
    cpu = spent(before, after)
    table.conditions += [
        f"gateways {len(bases)}, sync workers {len(pids.get('sync', []))}",
        f"commands that missed somebody: {short}; refused: {len(refused)}",
        f"CPU s per {seconds + 1:g} s: "
        + ", ".join(f"{kind} {used:.2f}" for kind, used in sorted(cpu.items())),
    ]
    holes = [pair for pair in pairwise(revisions) if pair[1] != pair[0] + 1]
    if short or refused or holes:
        table.failures.append(f"missed {short}, refused {refused[:3]}, holes in the revisions {holes[:3]}")
    return table
