"""Ten minutes of streams, viewers and chat together: memory must stay flat."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Final

from bench.hls import HlsPuller
from bench.picture import make_loop
from bench.rtmp import RtmpClient
from bench.sockets_client import LightSocket
from bench.stack import Stack
from bench.tables import Table
from bench.viewers import FlvViewer, Watcher

_FLAT: Final = 1.05


async def run(stack: Stack, *, publishers: int = 5, sockets: int = 100, seconds: float = 600.0) -> Table:
    """Memory of each kind of process at three tenths of the time and at its end."""
    loop = make_loop(1_000)
    made = await stack.streams(publishers)
    until = asyncio.Event()
    token = await stack.register()
    room = (await stack.call("POST", "rooms", {"name": "soak"}, token=token))["id"]

    def ignore(_socket: LightSocket, _payload: bytes) -> None:
        return

    socket_url = stack.http.replace("http", "ws", 1) + "/ws"
    crowd = [LightSocket(socket_url, token, ignore) for _ in range(sockets)]
    for socket in crowd:
        await socket.connect()
        socket.send({"type": "join", "id": "j", "room": room})
    flvs = [FlvViewer(f"{stack.http}/live/{stream}.flv", loop.frame_ms) for stream, _ in made]
    hlss = [HlsPuller(f"{stack.http}/live/{stream}/source/index.m3u8") for stream, _ in made]
    watchers: list[Watcher] = [*flvs, *hlss]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(RtmpClient(rtmp).publish(loop, 36_000)) for _, rtmp in made]
        await asyncio.sleep(4)
        tasks += [group.create_task(viewer.run(stack.session, until)) for viewer in watchers]
        began = time.monotonic()
        early = None
        while (passed := time.monotonic() - began) < seconds:
            if early is None and passed >= seconds * 0.3:
                early = stack.sample()
            crowd[0].send(
                {"type": "chat", "id": "c", "room": room, "client_id": secrets.token_hex(8), "text": "soak"}
            )
            crowd[0].send(
                {
                    "type": "danmaku",
                    "id": "d",
                    "room": room,
                    "client_id": secrets.token_hex(8),
                    "text": "soak",
                }
            )
            await asyncio.sleep(0.5)
        late = stack.sample()
        until.set()
        for task in tasks:
            task.cancel()
    assert early is not None
    table = Table(
        f"Soak of {seconds:g} s: {publishers} streams with FLV and LL-HLS, {sockets} sockets, chat and danmaku",
        ("process", f"MB at {seconds * 0.3:g} s", f"MB at {seconds:g} s", "growth"),
    )
    for kind, size in sorted(late.rss.items()):
        grown = size / max(1, early.rss[kind])
        table.add(kind, early.rss[kind] / 1e6, size / 1e6, f"{(grown - 1) * 100:+.1f} %")
        if grown > _FLAT:
            table.failures.append(f"{kind} grew by {(grown - 1) * 100:.1f} %")
    gaps = [gap for viewer in watchers for gap in viewer.gaps]
    table.conditions.append(f"gaps: {len(gaps)} {gaps[:3] if gaps else ''}")
    return table
