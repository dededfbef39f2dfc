"""Sockets for tests: they read only when asked, keep all they have read, and hold each frame to the contract."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import aiohttp

from gateway.ws.asyncapi import document
from ops.conformance.shapes import fault_in_frame
from tests.integration.gateway_process import Person

Frame = dict[str, Any]
WITHIN = 20.0
NOT_EVENTS = frozenset({"joined", "resumed"})


@cache
def documented() -> dict[str, set[str]]:
    """The fields of each frame that a server sends, as AsyncAPI has them."""
    components = document("test")["components"]
    found = {}
    for name, message in components["messages"].items():
        sender, _, kind = name.partition("-")
        payload = message["payload"]
        if sender == "server":
            schema = (
                components["schemas"][payload["$ref"].rpartition("/")[2]] if "$ref" in payload else payload
            )
            found[kind] = set(schema["properties"])
    return found


def keep_to_the_contract(text: str) -> Frame:
    """The frame, which has the documented fields with values of their types, and no other fields."""
    frame: Frame = json.loads(text)
    fault = fault_in_frame(frame, text)
    assert not fault, f"{fault}: {text[:1_000]}"
    assert frame["type"] in documented(), f"no documented type: {text[:1_000]}"
    assert set(frame) <= documented()[frame["type"]], f"fields that are not documented: {text[:1_000]}"
    return frame


@dataclass(slots=True)
class Socket:
    """One open socket."""

    ws: aiohttp.ClientWebSocketResponse
    frames: list[Frame] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _looked_at: int = 0

    async def send(self, kind: str, **fields: Any) -> str:
        """Send a frame; its id."""
        frame_id = f"f{next(self._ids)}"
        await self.ws.send_json({"type": kind, "id": frame_id, **fields})
        return frame_id

    async def next(self, within: float = WITHIN) -> Frame:
        """The next frame off the wire."""
        async with asyncio.timeout(within):
            message = await self.ws.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, f"closed with {self.ws.close_code}: {message.extra}"
        frame = keep_to_the_contract(message.data)
        self.frames.append(frame)
        return frame

    async def until(self, wanted: Callable[[Frame], bool], within: float = WITHIN) -> Frame:
        """The first frame, of those not looked at yet, that is wanted."""
        async with asyncio.timeout(within):
            while True:
                while self._looked_at < len(self.frames):
                    frame = self.frames[self._looked_at]
                    self._looked_at += 1
                    if wanted(frame):
                        return frame
                await self.next(within)

    async def of(self, kind: str, within: float = WITHIN, **fields: Any) -> Frame:
        """The next frame of a type with these fields."""
        return await self.until(
            lambda frame: (
                frame["type"] == kind and all(frame.get(name) == value for name, value in fields.items())
            ),
            within,
        )

    async def answer(self, frame_id: Any, within: float = WITHIN) -> Frame:
        """What answers the frame with this id, whatever comes before it."""
        for frame in self.frames:
            if frame.get("id") == frame_id:
                return frame
        async with asyncio.timeout(within):
            while (frame := await self.next(within)).get("id") != frame_id:
                pass
            return frame

    async def ask(self, kind: str, **fields: Any) -> Frame:
        """Send a frame and give its answer."""
        return await self.answer(await self.send(kind, **fields))

    async def refused(self, kind: str, **fields: Any) -> str:
        """Send a frame that is refused; the code."""
        answer = await self.ask(kind, **fields)
        assert answer["type"] == "error", answer
        return str(answer["code"])

    async def join(self, room: str, **fields: Any) -> Frame:
        """Join a room: `joined` or `resumed`."""
        joined = await self.ask("join", room=room, **fields)
        assert joined["type"] in NOT_EVENTS, joined
        return joined

    async def drained(self, seconds: float) -> list[Frame]:
        """All frames that come within this time."""
        before = len(self.frames)
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            try:
                await self.next(left)
            except TimeoutError:
                break
        return self.frames[before:]

    async def closed(self, within: float = WITHIN) -> int | None:
        """Read to the end; the close code."""
        async with asyncio.timeout(within):
            while True:
                message = await self.ws.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return self.ws.close_code
                self.frames.append(keep_to_the_contract(message.data))

    def events(self, room: str) -> list[Frame]:
        """The room's numbered events read so far."""
        return [
            frame
            for frame in self.frames
            if "seq" in frame and frame["type"] not in NOT_EVENTS and frame.get("room") == room
        ]

    def texts(self, room: str) -> list[str]:
        """What was said in the room, as read so far."""
        return [frame["message"]["text"] for frame in self.events(room) if frame["type"] == "chat"]


@asynccontextmanager
async def connected(person: Person, at: str = "", *, token: str | None = None) -> AsyncIterator[Socket]:
    """A socket of this person's, at his gateway or another one; closed on leaving."""
    url = f"{at or person.http}/ws".replace("http", "ws", 1)
    ws = await person.session.ws_connect(
        url, params={"token": token or person.token or ""}, protocols=("matinee.v1",), max_msg_size=0
    )
    try:
        yield Socket(ws)
    finally:
        await ws.close()
