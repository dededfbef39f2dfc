"""Messages that a stream answers: publishing with an acknowledgement, without a subscription or a task for each.

What `JetStreamContext.publish` does, for those who do it hundreds of times a second.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import Header
from nats.js.errors import APIError, NoStreamResponseError

from runtime.listen import listen

EXPECTED_LAST: Final = Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value
"""The header that says which sequence a subject's last message must have; 0: it has none."""
WRONG_LAST_SEQUENCE: Final = frozenset({10071, 10164})
"""Error codes of a server that found another one."""
_NO_RESPONDERS: Final = "503"


class Replies:
    """One inbox of a connection, and who waits for what comes there."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._prefix = nc.new_inbox() + "."
        self._waiting: dict[str, asyncio.Future[Msg]] = {}
        self._next = 0
        self._beginning = asyncio.Lock()
        self._listening = False

    async def store(self, subject: str, payload: bytes, headers: Mapping[str, str], deadline_s: float) -> int:
        """Publish to a stream, and give the sequence it has there.

        Raises TimeoutError past the deadline, `APIError` as the server words it, and nats' errors.
        """
        if not self._listening:
            await self._listen()
        loop = asyncio.get_running_loop()
        self._next += 1
        address = f"{self._prefix}{self._next}"
        answer: asyncio.Future[Msg] = loop.create_future()
        self._waiting[address] = answer
        late = loop.call_later(deadline_s, _expire, answer)
        try:
            await self._nc.publish(subject, payload, address, dict(headers))
            reply = await answer
        finally:
            late.cancel()
            del self._waiting[address]
        if reply.headers and reply.headers.get("Status") == _NO_RESPONDERS:
            raise NoStreamResponseError
        said: dict[str, Any] = json.loads(reply.data)
        if "error" in said:
            raise APIError.from_error(said["error"])
        return int(said["seq"])

    async def _listen(self) -> None:
        async with self._beginning:
            if not self._listening:
                # Kept over reconnects by the client.
                await listen(self._nc, f"{self._prefix}*", self._on_reply)
                self._listening = True

    def _on_reply(self, message: Msg) -> None:
        answer = self._waiting.get(message.subject)
        if answer is not None and not answer.done():
            answer.set_result(message)


def _expire(answer: asyncio.Future[Msg]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
