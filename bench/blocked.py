"""A member who does not read: his socket is filled to the brim, and looked at afterwards."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Final

from bench.listeners import STAMP
from bench.sockets_client import LightSocket, parse
from bench.stack import Stack

RECEIVE_BYTES: Final = 4_096
FILLING: Final = "字" * 2_000
"""The longest message there may be: six kilobytes."""
FILLINGS: Final = 150
"""More than the kernel and the gateway's send buffer hold, less than the bound at which a reader is given up."""
DANMAKU: Final = 20
_WAIT_S: Final = 10.0


@dataclass
class BlockedReader:
    """In the measured room, and in one of his own through which he is filled."""

    socket: LightSocket
    filler: LightSocket
    _frames: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    async def enter(cls, stack: Stack, gateway: str, room: str, owner: str) -> BlockedReader:
        """Join, stop reading, and have more sent than a socket holds."""
        own = (await stack.call("POST", "rooms", {"name": "brim"}, token=owner))["id"]
        frames: list[dict[str, Any]] = []
        answered: list[str] = []

        def count(_socket: LightSocket, payload: bytes) -> None:
            if payload.startswith(b'{"type":"ack"'):
                answered.append("")

        socket = LightSocket(gateway, await stack.guest(), lambda _, payload: frames.append(parse(payload)))
        filler = LightSocket(gateway, owner, count)
        await socket.connect(receive_buffer=RECEIVE_BYTES)
        await filler.connect()
        filler.send({"type": "join", "id": "j", "room": own})
        for joining in (own, room):
            socket.send({"type": "join", "id": "j", "room": joining})
        await _until(lambda: sum(frame["type"] == "joined" for frame in frames) == 2)
        frames.clear()
        socket.read(on=False)
        # One after the other, as one who speaks may: the danmaku come to a socket that is full.
        for number in range(FILLINGS + DANMAKU):
            said = (
                {"type": "chat", "text": FILLING} if number < FILLINGS else {"type": "danmaku", "text": "!"}
            )
            filler.send({"id": "c", "room": own, "client_id": secrets.token_hex(8), **said})
            await _until(lambda so_far=number: len(answered) > so_far)
        await asyncio.sleep(1.0)
        return cls(socket, filler, frames)

    async def leave(self, *, expected: int) -> None:
        """Read on, see that all is there in its order, and go; raises RuntimeError if it is not."""
        blocked_on = len(self._frames)
        self.socket.read(on=True)
        await _until(lambda: len(self._stamps()) >= expected or self.socket.closed is not None)
        stamps, closed = self._stamps(), self.socket.closed
        danmaku = sum(frame["type"] == "danmaku" for frame in self._frames)
        self.socket.close()
        self.filler.close()
        if closed or len(stamps) != expected or stamps != sorted(stamps) or danmaku or blocked_on:
            raise RuntimeError(
                f"the blocked reader had {blocked_on} frames, then {len(stamps)} of {expected} messages and "
                f"{danmaku} danmaku; {closed or 'not closed'}"
            )

    def _stamps(self) -> list[str]:
        chat = (frame["message"]["text"] for frame in self._frames if frame["type"] == "chat")
        return [text for text in chat if text.startswith(STAMP.decode())]


async def _until(reached: Any) -> None:
    deadline = time.monotonic() + _WAIT_S
    while not reached() and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
