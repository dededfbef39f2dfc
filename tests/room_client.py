"""A client of the HTTP API and the socket, for tests from outside."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

Frame = dict[str, Any]
WITHIN = 5.0

_names = itertools.count(1)


@dataclass(slots=True)
class Person:
    """Somebody signed in."""

    http: aiohttp.ClientSession
    base: str
    token: str
    user: Frame

    async def call(self, method: str, path: str, body: Any = None, *, base: str = "") -> tuple[int, Any]:
        """One request of the API: status and answer."""
        async with self.http.request(
            method,
            f"{base or self.base}/api/v1/{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.token}"},
        ) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None

    async def room(self, **fields: Any) -> str:
        """A new room of his; its id."""
        status, room = await self.call("POST", "rooms", {"name": "a room", **fields})
        assert status == 201, room
        return str(room["id"])

    @asynccontextmanager
    async def socket(self, base: str = "", **options: Any) -> AsyncIterator["Socket"]:
        """A socket of his, closed on leaving."""
        socket = await self.connect(base, **options)
        try:
            yield socket
        finally:
            await socket.close()

    async def connect(self, base: str = "", **options: Any) -> "Socket":
        """A socket of his."""
        url = f"{base or self.base}/ws?token={self.token}".replace("http", "ws", 1)
        ws = await self.http.ws_connect(url, protocols=("matinee.v1",), max_msg_size=0, **options)
        return Socket(ws)


@dataclass(slots=True)
class Socket:
    """A socket that reads only when asked; `frames` holds all that was read."""

    ws: aiohttp.ClientWebSocketResponse
    frames: list[Frame] = field(default_factory=list)
    _ids: Any = field(default_factory=lambda: itertools.count(1))
    _read: int = 0

    async def send(self, kind: str, **fields: Any) -> str:
        """Send a frame; its id."""
        frame_id = f"f{next(self._ids)}"
        await self.ws.send_json({"type": kind, "id": frame_id, **fields})
        return frame_id

    async def next(self, within: float = WITHIN) -> Frame:
        """The next frame."""
        async with asyncio.timeout(within):
            message = await self.ws.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, f"closed: {self.ws.close_code} {message.extra}"
        frame: Frame = json.loads(message.data)
        self.frames.append(frame)
        return frame

    async def until(self, wanted: Callable[[Frame], bool], within: float = WITHIN) -> Frame:
        """The first frame, of those not looked at yet, that is wanted."""
        async with asyncio.timeout(within):
            while True:
                while self._read < len(self.frames):
                    frame = self.frames[self._read]
                    self._read += 1
                    if wanted(frame):
                        return frame
                await self.next(within)

    async def of(self, kind: str, within: float = WITHIN, **fields: Any) -> Frame:
        """The next frame of a type with these fields."""
        return await self.until(
            lambda frame: frame["type"] == kind and all(frame.get(k) == v for k, v in fields.items()), within
        )

    async def answer(self, frame_id: Any, within: float = 10.0) -> Frame:
        """What answers the frame with this id, whatever came before or after it."""
        for frame in self.frames:
            if frame.get("id") == frame_id:
                return frame
        async with asyncio.timeout(within):
            while True:
                frame = await self.next(within)
                if frame.get("id") == frame_id:
                    return frame

    async def ask(self, kind: str, **fields: Any) -> Frame:
        """Send a frame and give its answer."""
        return await self.answer(await self.send(kind, **fields))

    async def join(self, room: str, **fields: Any) -> Frame:
        """Join a room; `joined` or `resumed`."""
        joined = await self.ask("join", room=room, **fields)
        assert joined["type"] in {"joined", "resumed"}, joined
        return joined

    async def silent(self, seconds: float) -> list[Frame]:
        """Everything that comes within this time."""
        before = len(self.frames)
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await self.next(seconds + 1)
        except TimeoutError:
            return self.frames[before:]

    async def closed(self, within: float = WITHIN) -> int | None:
        """Read to the end; the close code."""
        async with asyncio.timeout(within):
            while True:
                message = await self.ws.receive()
                if message.type is aiohttp.WSMsgType.TEXT:
                    self.frames.append(json.loads(message.data))
                elif message.type not in {aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG}:
                    return self.ws.close_code

    def events(self, room: str) -> list[Frame]:
        """Room events read so far."""
        return [frame for frame in self.frames if "seq" in frame and frame["type"] not in {"joined", "resumed"} and frame.get("room") == room]

    async def close(self) -> None:
        """Close as a browser does."""
        await self.ws.close()


async def register(http: aiohttp.ClientSession, base: str) -> Person:
    """A new account."""
    name = f"person{next(_names)}{int(asyncio.get_running_loop().time() * 1e6) % 10**9}"
    body = {"username": name, "password": "correct horse battery"}
    async with http.post(f"{base}/api/v1/auth/register", json=body) as response:
        answer = await response.json()
        assert response.status == 201, answer
        return Person(http, base, answer["access_token"], answer["user"])


async def guest(http: aiohttp.ClientSession, base: str, nickname: str = "passer-by") -> Person:
    """A guest."""
    async with http.post(f"{base}/api/v1/auth/guest", json={"nickname": nickname}) as response:
        answer = await response.json()
        assert response.status == 201, answer
        return Person(http, base, answer["access_token"], answer["user"])
