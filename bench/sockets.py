"""Many sockets in one room: how long an event takes to the last of them."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from typing import Any, Final

from bench.sockets_client import LightSocket
from bench.stack import Stack, spent
from bench.tables import Table, percentile

_JOINING_AT_ONCE: Final = 25
_STAMP: Final = b"sent:"
_SETTLE_S: Final = 3.0


def _stamped(payload: bytes) -> int | None:
    at = payload.find(_STAMP)
    return int(payload[at + len(_STAMP) : at + len(_STAMP) + 16]) if at >= 0 else None


async def run(
    stack: Stack, *, sockets: int = 1_000, per_second: float = 10.0, seconds: float = 20.0, gateways: int = 1
) -> Table:
    """Send chat at `per_second` from one member; all members note when each event came."""
    token = await stack.register()
    room = await stack.call("POST", "rooms", {"name": "bench"}, token=token)
    bases = [str(gateway["http"]).rstrip("/") for gateway in stack.ready["gateways"]][:gateways]
    # at most fifty guests, each many times over: what is measured is the socket, not the sign-in
    tokens = [await stack.guest() for _ in range(min(sockets, 50))]
    joined = 0
    arrived: dict[int, list[float]] = {}

    def on_text(_socket: LightSocket, payload: bytes) -> None:
        nonlocal joined
        if payload.find(b'"chat"', 0, 200) >= 0 and (sent := _stamped(payload)) is not None:
            arrived.setdefault(sent, []).append(time.time_ns() / 1e6 - sent / 1e3)
        elif payload.find(b'"joined"', 0, 200) >= 0 and payload.find(b'"playlist"') >= 0:
            joined += 1

    def ignore(_socket: LightSocket, _payload: bytes) -> None:
        return

    crowd = []
    for number in range(sockets):
        base = bases[number % len(bases)].replace("http", "ws", 1)
        crowd.append(LightSocket(f"{base}/ws", tokens[number % len(tokens)], on_text))
    for at in range(0, sockets, _JOINING_AT_ONCE):
        batch = crowd[at : at + _JOINING_AT_ONCE]
        await asyncio.gather(*(socket.connect() for socket in batch))
        for socket in batch:
            socket.send({"type": "join", "id": "j", "room": room["id"]})
        await asyncio.sleep(0.05)
    deadline = time.monotonic() + 30
    while joined < sockets and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    speaker = LightSocket(f"{bases[0].replace('http', 'ws', 1)}/ws", token, ignore)
    await speaker.connect()
    speaker.send({"type": "join", "id": "j", "room": room["id"]})
    await asyncio.sleep(_SETTLE_S)
    before = stack.sample()
    began = time.monotonic()
    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
        sent = time.time_ns() // 1_000
        speaker.send(
            {
                "type": "chat",
                "id": str(number),
                "room": room["id"],
                "client_id": secrets.token_hex(8),
                "text": f"sent:{sent}",
            }
        )
    await asyncio.sleep(1.0)
    after = stack.sample()
    closed = [socket.closed for socket in crowd if socket.closed]
    for socket in (*crowd, speaker):
        socket.close()
    last = [max(times) for times in arrived.values()]
    everyone = [each for times in arrived.values() for each in times]
    short = sum(1 for times in arrived.values() if len(times) != sockets)
    table = Table(
        f"{sockets} sockets in one room, {per_second:g} chat messages a second, {len(bases)} gateway(s)",
        ("what", "p50 ms", "p95 ms", "p99 ms", "samples"),
    )
    table.add(
        "send → the last member",
        percentile(last, 0.5),
        percentile(last, 0.95),
        percentile(last, 0.99),
        len(last),
    )
    table.add(
        "send → any member",
        percentile(everyone, 0.5),
        percentile(everyone, 0.95),
        percentile(everyone, 0.99),
        len(everyone),
    )
    cpu = spent(before, after)
    table.conditions += [
        f"joined: {joined}, closed: {len(closed)}, events that missed somebody: {short}",
        f"CPU s per {seconds + 1:g} s: "
        + ", ".join(f"{kind} {used:.2f}" for kind, used in sorted(cpu.items())),
        "one process reads all sockets, on the same cores",
    ]
    if closed or short or joined < sockets or len(arrived) < int(per_second * seconds):
        table.failures.append(f"joined {joined}, closed {closed[:3]}, short {short}, events {len(arrived)}")
    return table


def parse(payload: bytes) -> dict[str, Any]:
    """A frame as JSON."""
    frame: dict[str, Any] = json.loads(payload)
    return frame
