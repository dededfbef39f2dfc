"""Follows a filter of a JetStream stream from a chosen place on, in order, over restarts of the server.

An ordered consumer of the client library is silent for long after its memory stream vanished, then asks
for a sequence that is no more. This one hears a heartbeat each second, counts what it is given, and begins
again by itself: where it stopped, or, once the stream is another one (`created` differs), where `start` says.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from runtime.bus import API_TIMEOUT_S, Bus
from runtime.ids import new_id
from runtime.logs import get_logger

log = get_logger("stream_reader")

HEARTBEAT_S: Final = 1.0
SILENCE_S: Final = 3.0
"""Without a message or a heartbeat for so long the consumer is taken for dead."""
RETRY_S: Final = 0.1
_NS: Final = 1_000_000_000
_PLAIN_ACK_TOKENS: Final = 9
"""$JS.ACK.stream.consumer.delivered.stream sequence.consumer sequence.time.pending; a domain adds two in front."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """One message of the stream."""

    data: bytes
    sequence: int
    """Its sequence in the stream."""
    pending: int
    """Messages of the filter that follow at once; 0: the newest."""


Start = Callable[[], Awaitable[int]]
"""Gives the stream sequence to begin at; called again when the stream was made anew."""
Take = Callable[[Delivered], Awaitable[None]]


class StreamReader:
    """One filter of one stream. `run` until cancelled; `take` is given one message at a time.

    A message may come again after a restart, and after the stream was made anew sequences begin again:
    `take` goes by what the message itself says.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        stream: str,
        subject: str,
        start: Start,
        take: Take,
        on_caught_up: Callable[[], None] | None = None,
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._subject = subject
        self._start = start
        self._take = take
        self._on_caught_up = on_caught_up
        self._created: str | None = None
        self._next = 0
        self._consumer_sequence = 0
        self._inbox = ""
        self._heard = 0.0
        self._again = asyncio.Event()
        self._beginning: asyncio.Timeout | None = None
        self._subscription: Subscription | None = None

    def restart(self) -> None:
        """Look at once whether the stream is still the same: the server was away."""
        self._again.set()
        if self._beginning is not None and not self._beginning.expired():
            # What was asked of the server that died is never answered.
            self._beginning.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Follow for ever; what the bus cannot do now is tried again."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    self._again.clear()
                    async with asyncio.timeout(API_TIMEOUT_S) as self._beginning:
                        await self._begin()
                    self._beginning = None
                    await self._watch(loop)
                except (NatsError, TimeoutError) as exc:
                    self._beginning = None
                    log.warning("cannot follow", stream=self._stream, subject=self._subject, error=repr(exc))
                    await asyncio.sleep(RETRY_S)
                await self._end()
        finally:
            self._beginning = None
            await self._end()

    async def _begin(self) -> None:
        created = await self._bus.stream_created(self._stream)
        if created != self._created:
            self._next = await self._start()
            self._created = created
        inbox = self._bus.nc.new_inbox()
        self._consumer_sequence = 0
        self._heard = asyncio.get_running_loop().time()
        self._inbox = inbox
        self._subscription = await self._bus.nc.subscribe(inbox, cb=partial(self._on_message, inbox))
        answer = await self._bus.request_api(
            f"CONSUMER.CREATE.{self._stream}.{(name := new_id())}",
            {"stream_name": self._stream, "config": self._config(name, inbox)},
        )
        if self._on_caught_up is not None and not answer.get("num_pending"):
            self._on_caught_up()

    def _config(self, name: str, inbox: str) -> dict[str, Any]:
        config: dict[str, Any] = {
            "name": name,
            "deliver_subject": inbox,
            "filter_subject": self._subject,
            "ack_policy": "none",
            "replay_policy": "instant",
            "deliver_policy": "all",
            "idle_heartbeat": int(HEARTBEAT_S * _NS),
            "inactive_threshold": 5 * _NS,
            "mem_storage": True,
            "num_replicas": 1,
        }
        if self._next > 0:
            config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": self._next}
        return config

    async def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Return when it is time to begin again."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._again.wait()
            if self._again.is_set():
                return
            if loop.time() - self._heard > SILENCE_S:
                log.warning("silent, beginning again", stream=self._stream, subject=self._subject)
                return

    async def _on_message(self, inbox: str, message: Msg) -> None:
        if self._again.is_set() or inbox != self._inbox:
            return  # of a consumer given up
        self._heard = asyncio.get_running_loop().time()
        if not message.reply:
            last = (message.headers or {}).get("Nats-Last-Consumer")
            if last is not None and int(last) != self._consumer_sequence:
                self._again.set()
            return
        tokens = message.reply.split(".")
        at = 5 if len(tokens) == _PLAIN_ACK_TOKENS else 7
        sequence, consumer_sequence, pending = int(tokens[at]), int(tokens[at + 1]), int(tokens[at + 3])
        if consumer_sequence != self._consumer_sequence + 1:
            self._again.set()
            return
        self._consumer_sequence = consumer_sequence
        await self._take(Delivered(message.data, sequence, pending))
        self._next = sequence + 1
        if not pending and self._on_caught_up is not None:
            self._on_caught_up()

    async def _end(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is None or self._bus.nc.is_closed:
            return
        try:
            await subscription.unsubscribe()
        except NatsError as exc:
            log.debug("cannot unsubscribe", error=repr(exc))
