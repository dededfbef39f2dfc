"""Tag messages of one publish session onto the bus: in order, un-awaited, and again after a doubt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

from nats.errors import Error as NatsError
from nats.js.errors import APIError

from bus_schemas.subjects import LIVE_HEADER, LIVE_TAGS_DELTA, LIVE_TAGS_KEY
from bus_schemas.tags import TagFlags
from runtime.bus import Bus
from runtime.logs import get_logger
from workers.ingest.acknowledgements import Acknowledgements
from workers.ingest.continuation import last_stored
from workers.ingest.outbox import Outbox
from workers.ingest.pacer import Pacer
from workers.ingest.packing import TagMessage

log = get_logger("delivery")

WINDOW_BYTES: Final = 4 << 20
"""Sent and not known to be stored: 1.6 s at the greatest default bitrate."""
CONGESTED_BYTES: Final = 4 << 20
"""Waiting to be sent: from here on the publisher is read no more."""
RELIEVED_BYTES: Final = 1 << 20
ACK_EVERY: Final = 64
"""Every so many messages, and each key frame, asks for an acknowledgement."""
ACK_DEADLINE_S: Final = 2.0
PATIENCE_S: Final = 5.0
"""A bus that takes nothing for so long after congestion costs the publisher what waits."""
RETRY_S: Final = 0.1

_KEY: Final = TagFlags.KEY
_ASK: Final = TagFlags.KEY | TagFlags.END

BUS_FAULTS: Final = (NatsError, APIError, TimeoutError)


class Delivery:
    """Sends what it is given. Calls back when congestion begins and ends.

    The pacer sends what needs nothing but sending; `run` does whatever has to wait for the bus: codec
    headers, and finding out what is stored after a doubt.
    """

    def __init__(
        self,
        bus: Bus,
        acknowledgements: Acknowledgements,
        pacer: Pacer,
        stream: str,
        epoch: int,
        on_congestion: Callable[[bool], None],
    ) -> None:
        self._bus = bus
        self._acknowledgements = acknowledgements
        self._pacer = pacer
        self._stream = stream
        self._epoch = epoch
        self._key_subject = LIVE_TAGS_KEY.at(stream=stream)
        self._delta_subject = LIVE_TAGS_DELTA.at(stream=stream)
        self._header_subject = LIVE_HEADER.at(stream=stream)
        self._reply = acknowledgements.register(self._on_acknowledgement)
        self._on_congestion = on_congestion
        self._outbox = Outbox()
        self._wake = asyncio.Event()
        self._doubt: str | None = None
        self._queued = False
        """The pacer will call `send`."""
        self._at_work = False
        """`run` is sending."""
        self._headers: bytes | None = None
        self._headers_stored = False
        self._asked_at: float | None = None
        self._congested_at: float | None = None
        self.begun = asyncio.Event()
        """Set once the first message that asked for it is known to be stored."""
        self.sent = 0
        """Messages put on the bus."""
        self.dropped = 0
        """Messages that the bus did not take in time."""

    @property
    def congested(self) -> bool:
        """Whether the publisher should wait."""
        return self._congested_at is not None

    def put(self, messages: Iterable[TagMessage]) -> None:
        """Queue messages; bounded, if the caller heeds `on_congestion`."""
        outbox = self._outbox
        for message in messages:
            outbox.append(message)
        if outbox.waiting_bytes > CONGESTED_BYTES and self._congested_at is None:
            self._congested_at = time.monotonic()
            self._on_congestion(True)
        self._queue()

    def doubt(self, why: str) -> None:
        """What was sent may not be stored: look, and send again."""
        if self._doubt is None:
            self._doubt = why
        self._wake.set()

    def shed_if_stuck(self) -> bool:
        """Once a second: after `PATIENCE_S` of congestion drop what waits. True when something was lost."""
        now = time.monotonic()
        if self._asked_at is not None and now - self._asked_at > ACK_DEADLINE_S and self._bus.connected:
            self._asked_at = None
            self.doubt("no acknowledgement in time")
        if self._congested_at is None or now - self._congested_at < PATIENCE_S:
            return False
        lost = self._outbox.shed()
        self.dropped += lost
        self._relieve()
        return lost > 0

    async def run(self) -> None:
        """Do what has to wait for the bus, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not self._bus.connected:
                # The bus tells us when it is back.
                self._doubt = self._doubt or "connection lost"
                continue
            self._at_work = True
            try:
                if self._doubt is not None:
                    await self._resend()
                await self._send_waiting(patiently=True)
            except BUS_FAULTS as error:
                self.doubt(repr(error))
                await asyncio.sleep(RETRY_S)
            finally:
                self._at_work = False

    async def send(self) -> None:
        """Send what waits, or wake `run` where that is not all there is to do."""
        self._queued = False
        if self._at_work or self._doubt is not None or not self._bus.connected:
            self._wake.set()
            return
        try:
            await self._send_waiting(patiently=False)
        except BUS_FAULTS as error:
            self.doubt(repr(error))

    def _queue(self) -> None:
        if not self._queued:
            self._queued = True
            self._pacer.ready(self)

    async def drained(self, deadline_s: float) -> bool:
        """Wait until all of it is stored; False when the deadline passes first."""
        try:
            async with asyncio.timeout(deadline_s):
                while self._outbox.waiting or not self._bus.connected or not await self._all_stored():
                    self._wake.set()
                    await asyncio.sleep(0.005)
        except BUS_FAULTS:
            return False
        return True

    async def _all_stored(self) -> bool:
        if not self._outbox.flying_bytes:
            return True
        last = await last_stored(self._bus, self._stream)
        return last is not None and (last.epoch, last.sequence) >= (self._epoch, self._outbox.sent_sequence)

    def drop_waiting(self) -> None:
        """Somebody else holds the stream: what is not sent yet must not come after his."""
        self.dropped += self._outbox.shed()

    def close(self) -> None:
        """No more acknowledgements are wanted."""
        self._acknowledgements.forget(self._reply)

    async def _send_waiting(self, *, patiently: bool) -> None:
        outbox = self._outbox
        publish = self._bus.nc.publish
        while (message := outbox.peek()) is not None and self._doubt is None:
            if outbox.flying_bytes > WINDOW_BYTES or not self._bus.connected:
                break
            flags, sequence, _, payload, headers = message
            if headers is not None:
                self._headers, self._headers_stored = headers, False
            if not self._headers_stored and self._headers is not None:
                if not patiently:
                    self._wake.set()
                    return
                await self._bus.js.publish(self._header_subject, self._headers)
                self._headers_stored = True
            outbox.mark_sent()
            subject = self._key_subject if flags & _KEY else self._delta_subject
            if flags & _ASK or sequence % ACK_EVERY == 0 or outbox.flying_bytes > WINDOW_BYTES // 2:
                if self._asked_at is None:
                    self._asked_at = time.monotonic()
                await publish(subject, payload, f"{self._reply}{sequence}")
            else:
                await publish(subject, payload)
            self.sent += 1
        if self._congested_at is not None and outbox.waiting_bytes < RELIEVED_BYTES:
            self._relieve()

    async def _resend(self) -> None:
        """Ask the bus what it has of this session, and go on from there."""
        why, self._doubt = self._doubt, None
        self._headers_stored = False
        self._asked_at = None
        try:
            last = await last_stored(self._bus, self._stream)
        except BUS_FAULTS:
            self._doubt = why
            raise
        stored = last.sequence if last is not None and last.epoch == self._epoch else None
        self._outbox.rewind(stored)
        log.info("sending again", stream=self._stream, why=why, stored=stored, messages=self._outbox.waiting)

    def _on_acknowledgement(self, sequence: int, error: str | None) -> None:
        if error is not None:
            self.doubt(error)
            return
        self._asked_at = None
        self.begun.set()
        self._outbox.acknowledge(sequence)
        if self._outbox.waiting:
            self._queue()

    def _relieve(self) -> None:
        if self._congested_at is not None:
            self._congested_at = None
            self._on_congestion(False)
