"""Acknowledgements of tag messages: one inbox for the process, no future for each message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from nats.aio.msg import Msg

from runtime.bus import Bus
from runtime.listen import listen

Handler = Callable[[int, str | None], None]
"""Called with the sequence of a message, and with what went wrong or None."""

_NO_RESPONDERS: Final = "503"


class Acknowledgements:
    """Gives each publication a reply address, and brings it what comes back there."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._prefix = bus.nc.new_inbox()
        self._handlers: dict[str, Handler] = {}
        self._next = 0

    async def listen(self) -> None:
        """Subscribe, for as long as the connection lives."""
        await listen(self._bus.nc, f"{self._prefix}.*.*", self._on_reply)

    def register(self, handler: Handler) -> str:
        """A reply address; append the sequence of a message to it. Call `forget` with it in the end."""
        self._next += 1
        token = str(self._next)
        self._handlers[token] = handler
        return f"{self._prefix}.{token}."

    def forget(self, address: str) -> None:
        """Nothing more comes to this address."""
        self._handlers.pop(address.rsplit(".", 2)[1], None)

    def _on_reply(self, message: Msg) -> None:
        _, token, sequence = message.subject.rsplit(".", 2)
        handler = self._handlers.get(token)
        if handler is None:
            return
        if message.headers and message.headers.get("Status") == _NO_RESPONDERS:
            handler(int(sequence), "no stream takes this subject")
        elif b'"error"' in message.data:
            handler(int(sequence), message.data.decode("utf-8", "replace")[:300])
        else:
            handler(int(sequence), None)
