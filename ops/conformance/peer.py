"""One socket of the stranger's: it reads only when asked, keeps all it has read, and looks at every frame's shape."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from ops.conformance.shapes import fault_in_frame
from ops.conformance.verdict import Failed

Frame = dict[str, Any]
WITHIN_S: Final = 8.0
SAY_TRIES: Final = 20
_NUMBERED_NOT: Final = frozenset({"joined", "resumed"})


@dataclass(slots=True)
class Peer:
    """An open socket."""

    ws: aiohttp.ClientWebSocketResponse
    within_s: float = WITHIN_S
    """How long an answer or event may take, where nothing else is said."""
    frames: list[Frame] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _looked_at: int = 0

    async def send(self, kind: str, **fields: Any) -> str:
        """Send a frame; its id."""
        frame_id = f"f{next(self._ids)}"
        await self.ws.send_json({"type": kind, "id": frame_id, **fields})
        return frame_id

    async def next(self, within: float | None = None) -> Frame:
        """The next frame; raises TimeoutError for none, Failed for an end or a frame that is wrong."""
        async with asyncio.timeout(within or self.within_s):
            message = await self.ws.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise Failed("a text frame", f"{message.type.name}, close code {self.ws.close_code}")
        try:
            frame = json.loads(message.data)
        except ValueError:
            raise Failed("a frame that is JSON", message.data) from None
        if fault := fault_in_frame(frame, message.data):
            raise Failed("a frame with the documented fields", f"{fault}; in {message.data}")
        self.frames.append(frame)
        return dict(frame)

    async def until(self, wanted: Callable[[Frame], bool], what: str, within: float | None = None) -> Frame:
        """The first frame, of those not looked at yet, that is wanted; raises Failed when none comes."""
        within = within or self.within_s
        try:
            async with asyncio.timeout(within):
                while True:
                    while self._looked_at < len(self.frames):
                        frame = self.frames[self._looked_at]
                        self._looked_at += 1
                        if wanted(frame):
                            return frame
                    await self.next(within)
        except TimeoutError:
            raise Failed(
                f"{what} within {within:g} s", f"none; the last frames: {self.frames[-3:]}"
            ) from None

    async def of(self, kind: str, within: float | None = None, **fields: Any) -> Frame:
        """The next frame of a type with these fields."""
        return await self.until(
            lambda frame: (
                frame["type"] == kind and all(frame.get(name) == value for name, value in fields.items())
            ),
            f"a {kind} frame {fields or ''}".rstrip(),
            within,
        )

    async def answer(self, frame_id: str | int, within: float | None = None) -> Frame:
        """What answers the frame with this id."""
        for frame in self.frames:
            if _answers(frame, frame_id):
                return frame
        within = within or self.within_s
        try:
            async with asyncio.timeout(within):
                while not _answers(frame := await self.next(within), frame_id):
                    pass
                return frame
        except TimeoutError:
            raise Failed(f"an answer to {frame_id!r} within {within:g} s", "none") from None

    async def ask(self, kind: str, **fields: Any) -> Frame:
        """Send a frame and give its answer."""
        return await self.answer(await self.send(kind, **fields))

    async def acked(self, kind: str, **fields: Any) -> Frame:
        """Send a frame that is to be done; its ack."""
        answer = await self.ask(kind, **fields)
        if answer["type"] != "ack":
            raise Failed(f"an ack of {kind}", answer)
        return answer

    async def refused(self, code: str, kind: str, **fields: Any) -> Frame:
        """Send a frame that is to be refused with this code; the error."""
        answer = await self.ask(kind, **fields)
        if (answer["type"], answer.get("code")) != ("error", code):
            raise Failed(f"{kind} to be refused with {code}", answer)
        return answer

    async def join(self, room: str, **fields: Any) -> Frame:
        """Join a room: `joined` or `resumed`."""
        joined = await self.ask("join", room=room, **fields)
        if joined["type"] not in _NUMBERED_NOT:
            raise Failed("joined or resumed", joined)
        return joined

    async def say(self, room: str, text: str, client_id: str = "") -> Frame:
        """Say something, again where the server says so: the same `client_id` makes it harmless. The ack."""
        for _ in range(SAY_TRIES):
            answer = await self.ask("chat", room=room, client_id=client_id or text, text=text)
            if answer["type"] == "ack":
                return answer
            if answer.get("code") not in ("rate_limited", "unavailable"):
                break
            await asyncio.sleep(float(answer.get("retry_after") or 1))
        raise Failed("an ack of chat", answer)

    async def heard(self, room: str, texts: list[str], within: float | None = None) -> None:
        """Read until all of these were said."""
        within = within or self.within_s
        try:
            async with asyncio.timeout(within):
                while not set(texts) <= set(self.texts(room)):
                    await self.next(within)
        except TimeoutError:
            missing = [text for text in texts if text not in self.texts(room)]
            raise Failed(f"chat events of all that was acked, within {within:g} s", f"no {missing}") from None

    async def settle(self) -> None:
        """Read everything that was sent before the answer to a ping."""
        await self.ask("ping")

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

    async def closed(self, within: float | None = None) -> int | None:
        """Read to the end; the close code. Raises Failed when it does not end."""
        within = within or self.within_s
        try:
            async with asyncio.timeout(within):
                while True:
                    message = await self.ws.receive()
                    if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.PING):
                        return self.ws.close_code
        except TimeoutError:
            raise Failed(f"the socket to be closed within {within:g} s", "it is open") from None

    def events(self, room: str) -> list[Frame]:
        """The room's numbered events read so far."""
        return [
            frame
            for frame in self.frames
            if "seq" in frame and frame["type"] not in _NUMBERED_NOT and frame.get("room") == room
        ]

    def texts(self, room: str) -> list[str]:
        """What was said in the room, as read so far."""
        return [frame["message"]["text"] for frame in self.events(room) if frame["type"] == "chat"]


def _answers(frame: Frame, frame_id: str | int) -> bool:
    """An id is given back as it came: 1 is neither "1" nor true."""
    return type(frame.get("id")) is type(frame_id) and frame["id"] == frame_id
