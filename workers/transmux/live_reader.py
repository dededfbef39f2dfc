"""The tags of one stream, in the order of the bus, over lost connections and a lost `LIVE` (DESIGN.md §3).

A push consumer of our own with heartbeats and flow control; nats-py's ordered consumer does not
notice that a memory stream was made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from bus_schemas.streams import LIVE
from bus_schemas.subjects import LIVE_TAGS_KEY
from runtime.bus import Bus
from runtime.logs import get_logger

log = get_logger("live-reader")

BUS_FAULTS: Final = (NatsError, APIError, TimeoutError)
HEARTBEAT_S: Final = 1
SILENCE_S: Final = 2.5
"""Without even a heartbeat the consumer is gone."""
ABANDONED_AFTER_S: Final = 5
PENDING_BYTES: Final = 64 << 20
"""What the client queues; flow control keeps the server below it."""
_NS: Final = 1_000_000_000

OnMessage = Callable[[bytes, int], Awaitable[None]]
"""A message and its sequence in `LIVE`; may be called again for messages it has had."""


class LiveReader:
    """Reads one stream's tags and calls back for each; `watch` must be called every now and then."""

    def __init__(self, bus: Bus, stream: str, on_message: OnMessage) -> None:
        self._bus = bus
        # A stream's key frames and the rest, in one order.
        self._subject = LIVE_TAGS_KEY.at(stream=stream).rpartition(".")[0] + ".*"
        self._on_message = on_message
        self._lock = asyncio.Lock()
        self._subscription: Subscription | None = None
        self._consumer = ""
        self._created = ""
        self._run = 0
        self._broken = False
        self._heard_at = 0.0
        self._last_sequence = 0
        self._next_delivery = 1

    async def start(self, sequence: int) -> None:
        """Read from this sequence of `LIVE` on; 0: all that is stored. Raises `BUS_FAULTS`."""
        async with self._lock:
            await self._start(sequence)

    async def stop(self) -> None:
        """Read no more."""
        async with self._lock:
            await self._stop()

    async def watch(self) -> None:
        """Start again where messages were lost or the consumer is gone. Raises `BUS_FAULTS`."""
        silent = asyncio.get_running_loop().time() - self._heard_at > SILENCE_S
        if self._bus.connected and not self._lock.locked() and (self._broken or silent):
            await self.restart()

    async def restart(self) -> None:
        """Read on behind the last message, or from the beginning of a `LIVE` that was made anew."""
        async with self._lock:
            self._broken = True
            same = await self._bus.stream_created(LIVE.name) == self._created
            log.info("reading again", subject=self._subject, same_stream=same)
            await self._start(self._last_sequence + 1 if same else 0)

    async def _start(self, sequence: int) -> None:
        await self._stop()
        self._created = await self._bus.stream_created(LIVE.name)
        self._run += 1
        self._broken = False
        self._next_delivery = 1
        self._last_sequence = max(0, sequence - 1)
        inbox = self._bus.nc.new_inbox()
        self._subscription = await self._bus.nc.subscribe(
            inbox, cb=partial(self._take, self._run), pending_bytes_limit=PENDING_BYTES
        )
        config: dict[str, Any] = {
            "deliver_subject": inbox,
            "deliver_policy": "by_start_sequence" if sequence else "all",
            "filter_subject": self._subject,
            "ack_policy": "none",
            "replay_policy": "instant",
            "flow_control": True,
            "idle_heartbeat": HEARTBEAT_S * _NS,
            "inactive_threshold": ABANDONED_AFTER_S * _NS,
            "mem_storage": True,
            "num_replicas": 1,
        }
        if sequence:
            config["opt_start_seq"] = sequence
        body = {"stream_name": LIVE.name, "config": config}
        answer = await self._bus.request_api(f"CONSUMER.CREATE.{LIVE.name}", body)
        self._consumer = str(answer["name"])
        self._heard_at = asyncio.get_running_loop().time()

    async def _stop(self) -> None:
        self._run += 1
        subscription, self._subscription = self._subscription, None
        if subscription and not self._bus.nc.is_closed:
            await subscription.unsubscribe()
            if self._consumer and self._bus.connected:
                # Not waited for: an abandoned consumer goes by itself.
                await self._bus.nc.publish(f"$JS.API.CONSUMER.DELETE.{LIVE.name}.{self._consumer}")
        self._consumer = ""

    async def _take(self, run: int, message: Msg) -> None:
        if run != self._run or self._broken:
            return
        self._heard_at = asyncio.get_running_loop().time()
        headers = message.headers
        if headers is not None and "Status" in headers:
            answer_to = message.reply or headers.get("Nats-Consumer-Stalled")
            if answer_to:
                await self._bus.nc.publish(answer_to)
            return
        # $JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<delivery>.<time>.<pending>; newer servers put
        # domain and account in front.
        fields = message.reply.split(".")
        at = 5 if len(fields) == 9 else 7
        delivery = int(fields[at + 1])
        if delivery != self._next_delivery:
            self._broken = True
            return
        self._next_delivery = delivery + 1
        self._last_sequence = sequence = int(fields[at])
        await self._on_message(message.data, sequence)
