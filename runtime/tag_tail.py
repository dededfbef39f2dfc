"""Follows the media tags of one stream in their order: what is stored, then the subject itself.

Tags are numbered by their publisher (`TagHeader.epoch`, `sequence`), so a reader needs no consumer on
the server to know that it has them all: it listens to the plain subject, which costs the server a
fraction of a consumer's delivery, and reads what it lacks from `LIVE` (DESIGN.md §3) with batched direct
gets: at the beginning, after a gap, after the connection was away, and where it is silent for long. A
`LIVE` that vanished with its server needs no special care: the publisher's numbers go on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js.errors import APIError

from bus_schemas.streams import LIVE
from bus_schemas.subjects import LIVE_TAGS_KEY
from bus_schemas.tags import TagFormatError, TagHeader
from runtime import direct
from runtime.bus import Bus
from runtime.direct import Stored
from runtime.listen import listen
from runtime.logs import get_logger
from runtime.tasks import Tasks

log = get_logger("tag_tail")

BUS_FAULTS: Final = (NatsError, APIError, TimeoutError)
SILENCE_S: Final = 2.5
"""After so long without a message the store is looked at: a message may have been lost with nothing behind it."""
WATCH_S: Final = 0.5
PENDING_BYTES: Final = 64 << 20
"""What is kept for a slow reader; what is dropped beyond it is read from the store afterwards."""
MARGIN_S: Final = 1.0
"""How much before its estimated place in time the reading of the store begins."""
LEAP_S: Final = 5.0
"""A player's reader that is so far behind the newest key frame leaps to it: his viewers will not wait for the rest."""
GAP_TRIES: Final = 3
GAP_WAIT_S: Final = 0.02
"""The subject may be ahead of the store for a moment."""
_MASK: Final = 0xFFFF_FFFF
_HALF: Final = 1 << 31

Take = Callable[[TagHeader, bytes, int], Awaitable[None] | None]
"""Given a message's header, the whole message, and how many stored ones follow at once (0: the newest). It must not
wait: what has to be waited for is given back, and the next message comes when that is over."""


class Place(NamedTuple):
    """A message of the stream, and about when it came."""

    epoch: int
    sequence: int
    arrival_us: int
    """Wall clock of ingest, µs; 0: not known."""


class _TooLateError(Exception):
    """The reading of the store began behind what was wanted."""


class TagTail:
    """One stream's tags, each once, in order; a gap is passed on only where the bus has lost the messages.

    `start` … `stop` with `watch` called every now and then, or `run` for all of it.
    """

    def __init__(self, bus: Bus, tasks: Tasks, stream: str, take: Take, *, from_newest_key: bool) -> None:
        self._bus = bus
        self._tasks = tasks
        self._key_subject = LIVE_TAGS_KEY.at(stream=stream)
        # One filter for key frames and the rest keeps their order.
        self._subject = self._key_subject.rpartition(".")[0] + ".*"
        self._take = take
        self._from_newest_key = from_newest_key
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._subscription: Subscription | None = None
        self._run = 0
        self._epoch, self._sequence, self._arrival_us = -1, 0, 0
        self._behind = False
        self._heard_at = 0.0
        self._again = asyncio.Event()
        self._reading: asyncio.Timeout | None = None
        self._working = False
        self._owed: Awaitable[None] | None = None
        """What the taker of the last message waits for."""
        self._kept: deque[bytes] = deque()
        """Messages that came while we were reading the store, or while the taker waited."""
        self._kept_bytes = 0

    async def start(self, after: Place | None = None) -> None:
        """Follow from behind `after`, else from the newest key frame or the oldest message. Raises `BUS_FAULTS`."""
        await self.stop()
        self._epoch, self._sequence, self._arrival_us = after or (-1, 0, 0)
        self._behind = True
        self._subscription = await listen(self._bus.nc, self._subject, partial(self._on_message, self._run))
        await self.catch_up()

    async def stop(self) -> None:
        """Follow no more; `take` is not called again once this has returned."""
        self._run += 1
        async with self._lock:
            self._kept.clear()
            self._kept_bytes = 0
            subscription, self._subscription = self._subscription, None
            if subscription is not None and not self._bus.nc.is_closed:
                with contextlib.suppress(NatsError):
                    await subscription.unsubscribe()

    async def catch_up(self) -> None:
        """Read what the store has and we have not: after the connection was away. Raises `BUS_FAULTS`."""
        self._forsake()
        async with self._lock:
            await self._catch_up()

    def _forsake(self) -> None:
        """What was asked of a server that died is never answered: give that reading up."""
        if self._reading is not None and not self._reading.expired():
            self._reading.reschedule(self._loop.time())

    async def watch(self) -> None:
        """Read the store where that failed before, or after long silence. Raises `BUS_FAULTS`."""
        silent = self._loop.time() - self._heard_at > SILENCE_S
        if self._bus.connected and not self._lock.locked() and (self._behind or silent):
            await self.catch_up()

    def look_again(self) -> None:
        """For `run`: the server was away, read the store at once."""
        self._behind = True
        self._forsake()
        self._again.set()

    async def run(self) -> None:
        """Follow for ever; what the bus cannot do now is tried again."""
        begun = False
        try:
            while True:
                try:
                    if begun:
                        await self.watch()
                    else:
                        await self.start()
                        begun = True
                except BUS_FAULTS as error:
                    begun = begun or self._subscription is not None
                    log.warning("cannot follow", subject=self._subject, error=repr(error))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(WATCH_S):
                        await self._again.wait()
                self._again.clear()
        finally:
            await self.stop()

    def _on_message(self, run: int, message: Msg) -> None:
        """In the client's reader: the next message is given on at once, anything else is for `_work`."""
        if run != self._run:
            return
        data = message.data
        if self._working or self._lock.locked():
            self._keep(data)
            return
        header = _unpack(data, message.subject)
        if header is None:
            return
        self._heard_at = self._loop.time()
        lacking = self._lacking(header)
        if lacking > 0:
            self._keep(data)
        elif lacking == 0:
            self._owed = self._give(header, data, 0)
            if self._owed is not None:
                self._start_work()

    def _keep(self, data: bytes) -> None:
        if self._kept_bytes + len(data) > PENDING_BYTES:
            self._behind = True
            return
        self._kept.append(data)
        self._kept_bytes += len(data)
        self._start_work()

    def _start_work(self) -> None:
        if not self._working:
            self._working = True
            self._tasks.spawn(f"tail:{self._key_subject}", self._work())

    async def _work(self) -> None:
        """Wait for the taker, then give what came meanwhile, filling gaps from the store."""
        try:
            async with self._lock:
                owed, self._owed = self._owed, None
                try:
                    if owed is not None:
                        await owed
                except BUS_FAULTS as error:
                    log.warning("a message was not taken", subject=self._subject, error=repr(error))
                while self._kept:
                    data = self._kept.popleft()
                    self._kept_bytes -= len(data)
                    await self._take_kept(data)
        finally:
            self._working = False

    async def _take_kept(self, data: bytes) -> None:
        header = _unpack(data, self._subject)
        if header is None:
            return
        self._heard_at = self._loop.time()
        try:
            if self._lacking(header) > 0:
                await self._fill(header)
            if self._lacking(header) >= 0:
                await self._give_patiently(header, data, 0)
        except BUS_FAULTS as error:
            self._behind = True
            log.warning("cannot fill a gap", subject=self._subject, error=repr(error))

    def _give(self, header: TagHeader, data: bytes, pending: int) -> Awaitable[None] | None:
        _, _, self._sequence, self._epoch, _, self._arrival_us = header
        try:
            return self._take(header, data, pending)
        except Exception:
            # The reader of the whole connection runs on.
            log.exception("a message was not taken", subject=self._subject, sequence=header.sequence)
            return None

    async def _give_patiently(self, header: TagHeader, data: bytes, pending: int) -> None:
        before = self._epoch, self._sequence, self._arrival_us
        owed = self._give(header, data, pending)
        if owed is None:
            return
        try:
            await owed
        except asyncio.CancelledError:
            # It may not have been taken: it is given again.
            self._epoch, self._sequence, self._arrival_us = before
            raise

    def _lacking(self, header: TagHeader) -> int:
        """How many messages lie between what we have and this one; negative where we have this one."""
        if header.epoch != self._epoch:
            # Of a session before, nothing is wanted any more; a new one begins with 0.
            return -1 if header.epoch < self._epoch else header.sequence
        ahead = header.sequence - self._sequence & _MASK
        return ahead - 1 if 0 < ahead < _HALF else -1

    async def _fill(self, header: TagHeader) -> None:
        for attempt in range(GAP_TRIES):
            await self._catch_up()
            if self._lacking(header) <= 0:
                return
            await asyncio.sleep(GAP_WAIT_S * (attempt + 1))
        log.info("messages are lost", subject=self._subject, count=self._lacking(header))

    async def _catch_up(self) -> None:
        self._behind = True
        try:
            async with asyncio.timeout(None) as self._reading:
                await self._read_store(self._run)
        finally:
            self._reading = None
        self._behind = False
        self._heard_at = self._loop.time()

    async def _read_store(self, run: int) -> None:
        newest = await direct.last(self._bus, LIVE.name, self._key_subject)
        key = _unpack(newest.data, newest.subject) if newest is not None else None
        first = 1
        if newest is not None and key is not None:
            if self._epoch < 0:
                first = newest.sequence if self._from_newest_key else 1
            elif self._lacking(key) < 0 or self._may_leap(key):
                first = newest.sequence
            elif await self._replay_since(run, newest, key):
                return
        await self._replay(run, first)

    def _may_leap(self, key: TagHeader) -> bool:
        return self._from_newest_key and key.arrival_us - self._arrival_us > LEAP_S * 1e6

    async def _replay_since(self, run: int, newest: Stored, key: TagHeader) -> bool:
        """Read from about our place to behind the newest key frame, which tells the server's clock from ingest's.

        False where the estimate was wrong.
        """
        if not self._arrival_us:
            return False
        behind_key_s = (key.arrival_us - self._arrival_us) / 1e6
        since = datetime.fromisoformat(newest.at) - timedelta(seconds=behind_key_s + MARGIN_S)
        try:
            await self._replay(run, 1, since=since.isoformat())
        except _TooLateError:
            return False
        return self._lacking(key) < 0

    async def _replay(self, run: int, first: int, *, since: str | None = None) -> None:
        beginning = True

        async def sink(stored: Stored) -> None:
            nonlocal beginning
            header = _unpack(stored.data, stored.subject)
            if header is None or run != self._run:
                return
            lacking = self._lacking(header)
            if beginning and since is not None and lacking > 0:
                raise _TooLateError
            beginning = False
            if lacking >= 0:
                await self._give_patiently(header, stored.data, stored.pending)

        await direct.replay(self._bus, LIVE.name, self._subject, sink, sequence=first, since=since)


def _unpack(data: bytes, subject: str) -> TagHeader | None:
    try:
        return TagHeader.unpack(data)
    except TagFormatError as error:
        log.warning("unreadable tag message", subject=subject, error=str(error))
        return None
