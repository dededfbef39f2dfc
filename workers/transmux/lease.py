"""One stream packaged by one worker: from the job it leased to the part that ends the stream."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import blake2b
from typing import Any, Final

from nats.aio.msg import Msg
from nats.js.errors import APIError
from pydantic import ValidationError

from bus_schemas.messages.live import LiveEvent, StopReason, StreamStopped, TransmuxJob
from bus_schemas.parts import InitHeader, PartFlags, PartFormatError, PartHeader
from bus_schemas.streams import LIVE_EVENTS, LIVE_HEADERS
from bus_schemas.subjects import LIVE_EVENT, LIVE_HEADER, LIVE_TAGS_DELTA
from bus_schemas.tags import TagFlags, TagFormatError, TagHeader
from media.codec import CodecError
from media.flv import FlvError
from runtime import direct
from runtime.bus import Bus
from runtime.clock import now_ms, now_us
from runtime.emit import emit
from runtime.logs import get_logger
from runtime.metrics import Metrics
from runtime.tag_tail import BUS_FAULTS, Place, TagTail
from runtime.tasks import Tasks
from workers.transmux.numbering import number_beyond
from workers.transmux.output import InitReady, Output, PartReady
from workers.transmux.parts_store import PartsStore, RaceLostError
from workers.transmux.segmenter import Segmenter

log = get_logger("lease")

BEAT_S: Final = 0.4
"""Against an ack wait of 1.2 s."""
HOLDER_WAIT_S: Final = 2.0
"""With an init segment of this epoch but no part there is a holder whose parts vanished: let him go first."""
WAITING_BYTES: Final = 16 << 20
"""Parts cut and not yet stored; beyond it no more is read."""
RETRY_S: Final = 0.1

_SEQUENCE_NOT_FOUND: Final = 10043
"""The server's code where the message to delete is gone."""

ACK: Final = b"+ACK"
NAK: Final = b"-NAK"
IN_PROGRESS: Final = b"+WPI"


class Outcome(Enum):
    """How a lease ends."""

    ENDED = auto()
    """The stream is over, and END is written."""
    SUPERSEDED = auto()
    """A newer job of the stream, or nothing left to do."""
    RACE_LOST = auto()
    """Another worker holds the same job."""
    RELEASED = auto()
    """We stop: the job is for another worker, at once."""
    RELOAD = auto()
    """The holder of an older job wrote once more: go on behind his part."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all leases of a process share."""

    bus: Bus
    tasks: Tasks
    metrics: Metrics
    grace_s: float


class Lease:
    """A job held by leaving it un-acked.

    Its tasks look at `_done` as well as at cancellation: on Python 3.11 a timeout around a future that is
    just being fulfilled can swallow the latter, and a watch that outlived its lease could end the stream.
    """

    def __init__(self, around: Surroundings, job: TransmuxJob, message: Msg) -> None:
        self.job = job
        self._around = around
        self._bus = around.bus
        self._loop = asyncio.get_running_loop()
        self._answer_to = message.reply
        self._writer = secrets.randbits(64)
        secret = secrets.token_bytes(32)
        self._names = lambda msn: blake2b(msn.to_bytes(8, "big"), key=secret, digest_size=8).hexdigest()
        self._store = PartsStore(self._bus, job.stream, self._writer)
        self._tail = TagTail(self._bus, around.tasks, job.stream, self._on_message, from_newest_key=False)
        self._segmenter = self._new_segmenter(None, None)
        self._done: asyncio.Future[Outcome] = self._loop.create_future()
        self._stop: Outcome | None = None
        self._over = False
        self._waiting: deque[Output] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._heard_at = self._loop.time()
        self._last_header: TagHeader | None = None
        self._init = 0
        self._lost = False
        self._ended_before = False

    async def run(self) -> None:
        """Package until the stream ends or another worker has it; then answer the job."""
        beating = self._around.tasks.spawn(f"lease-beat:{self.job.stream}", self._beat())
        try:
            outcome = await self._hold()
        finally:
            self._over = True
            beating.cancel()
            self._room.set()
            await self._tail.stop()
        log.info("lease over", stream=self.job.stream, epoch=self.job.epoch, outcome=outcome.name)
        if outcome is Outcome.ENDED:
            await self._tidy()
        if outcome is not Outcome.RACE_LOST:
            await self._answer(NAK if outcome is Outcome.RELEASED else ACK)

    def stop(self, outcome: Outcome) -> None:
        """End with this outcome as soon as may be."""
        self._stop = outcome
        self._finish(outcome)

    def renew(self, message: Msg) -> None:
        """The same job was delivered once more, to us."""
        self._answer_to = message.reply

    async def reconnected(self) -> None:
        """The bus was away, and its memory streams may be gone. Raises `BUS_FAULTS`."""
        self._heard_at = self._loop.time()
        await self._store.restore_init()
        await self._tail.catch_up()

    async def _hold(self) -> Outcome:
        outcome = Outcome.RELOAD
        while outcome is Outcome.RELOAD:
            if self._stop:
                return self._stop
            try:
                nothing_to_do = await self._begin()
            except BUS_FAULTS as exc:
                log.warning("cannot begin", stream=self.job.stream, error=repr(exc))
                await asyncio.sleep(RETRY_S)
                continue
            if nothing_to_do is not None:
                return nothing_to_do
            work = [
                self._around.tasks.spawn(f"lease-watch:{self.job.stream}", self._watch()),
                self._around.tasks.spawn(f"lease-write:{self.job.stream}", self._write()),
            ]
            try:
                awaited: list[asyncio.Future[Any]] = [self._done, *work]
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                for task in work:
                    if task.done() and not self._done.done():
                        task.result()  # its error ends the lease; the job comes to another worker
                outcome = await self._done
            finally:
                for task in work:
                    task.cancel()
        return outcome

    async def _begin(self) -> Outcome | None:
        """Go on where the parts on the bus end; gives an outcome where there is nothing to do. Raises `BUS_FAULTS`."""
        self._room.set()
        await self._tail.stop()
        self._waiting.clear()
        self._waiting_bytes = 0
        self._done = self._loop.create_future()
        if self._stop:
            self._finish(self._stop)
        self._heard_at = self._loop.time()
        job = self.job
        last, init = await self._read_checkpoint()
        # Parts vanish with their server; an init segment without any says that there were some.
        lost = last is None and init is not None
        self._store.number_from(number_beyond(now_ms()) if lost else 0)
        if last is None:
            self._segmenter = self._new_segmenter(None, init)
            await self._learn_headers()
        else:
            if max(last.epoch, last.checkpoint.job_epoch) > job.epoch:
                return Outcome.SUPERSEDED
            if last.flags & PartFlags.END and last.epoch == job.epoch:
                self._init, self._ended_before = last.init, True
                return Outcome.ENDED
            self._segmenter = self._resume(last, init)
            if last.epoch == job.epoch:
                self._around.metrics.counter("matinee_transmux_takeovers_total").inc()
        self._init = init.init if init else 0
        log.info(
            "packaging",
            stream=job.stream,
            epoch=job.epoch,
            msn=last.msn if last else 0,
        )
        await self._tail.start(_place_before(last) if last is not None else None)
        return None

    async def _read_checkpoint(self) -> tuple[PartHeader | None, InitHeader | None]:
        give_up = self._loop.time() + HOLDER_WAIT_S
        while True:
            last = await self._store.read_last()
            if last:
                return last, await self._store.read_init(last.init)
            init = await self._store.read_init()
            if init is None or init.epoch != self.job.epoch or self._loop.time() >= give_up:
                return None, init
            await asyncio.sleep(RETRY_S)

    def _new_segmenter(self, last: PartHeader | None, init: InitHeader | None) -> Segmenter:
        return Segmenter(
            job_epoch=self.job.epoch, writer=self._writer, names=self._names, last=last, init=init
        )

    def _resume(self, last: PartHeader, init: InitHeader | None) -> Segmenter:
        try:
            return self._new_segmenter(last, init)
        except CodecError as exc:
            log.error("an init segment's records cannot be read", stream=self.job.stream, error=str(exc))
            return self._new_segmenter(last, None)

    async def _learn_headers(self) -> None:
        stored = await direct.last(self._bus, LIVE_HEADERS.name, LIVE_HEADER.at(stream=self.job.stream))
        if stored is None:
            return
        try:
            header = TagHeader.unpack(stored.data)
            if header.epoch <= self.job.epoch:
                self._segmenter.learn_headers(header, stored.data)
        except (TagFormatError, FlvError) as exc:
            log.warning("codec headers on the bus cannot be read", stream=self.job.stream, error=str(exc))

    def _on_message(self, header: TagHeader, message: bytes, _pending: int) -> Awaitable[None] | None:
        if self._done.done():
            return None
        if header.epoch > self.job.epoch:
            self._finish(Outcome.SUPERSEDED)
            return None
        self._heard_at = self._loop.time()
        self._last_header = header
        try:
            made = self._segmenter.push(header, message)
        except FlvError as exc:
            log.warning("a tag message cannot be read", stream=self.job.stream, error=str(exc))
            return None
        if made:
            self._waiting.extend(made)
            self._waiting_bytes += sum(len(ready.body) for ready in made)
            self._wake.set()
            if self._waiting_bytes > WAITING_BYTES:
                self._room.clear()
                return self._wait_for_room()
        return None

    async def _wait_for_room(self) -> None:
        await self._room.wait()

    async def _write(self) -> None:
        """Store what was cut, in order; apart from reading, so that a restarted reader cancels no write."""
        parts = self._around.metrics.counter("matinee_transmux_parts_total")
        done = self._done
        while not done.done():
            await self._wake.wait()
            self._wake.clear()
            while self._waiting and not done.done():
                ready = self._waiting[0]
                try:
                    await self._put(ready)
                except RaceLostError as exc:
                    self._judge(exc.last)
                    return
                self._waiting.popleft()
                self._waiting_bytes -= len(ready.body)
                if self._waiting_bytes <= WAITING_BYTES:
                    self._room.set()
                if isinstance(ready, PartReady):
                    parts.inc()
                    if ready.header.flags & PartFlags.END and ready.header.epoch == self.job.epoch:
                        self._finish(Outcome.ENDED)
                        return

    async def _put(self, ready: Output) -> None:
        if isinstance(ready, InitReady):
            self._init = ready.header.init
            await self._store.put_init(ready)
        else:
            await self._store.put(ready)

    def _judge(self, last: PartHeader) -> None:
        """Somebody else wrote the newest part: whose is the stream?"""
        self._around.metrics.counter("matinee_transmux_races_lost_total").inc()
        theirs, ours = last.checkpoint.job_epoch, self.job.epoch
        if theirs == ours:
            self._finish(Outcome.RACE_LOST)
        else:
            self._finish(Outcome.SUPERSEDED if theirs > ours else Outcome.RELOAD)

    def _finish(self, outcome: Outcome) -> None:
        if not self._done.done():
            self._done.set_result(outcome)

    async def _watch(self) -> None:
        done = self._done
        while not done.done():
            await asyncio.sleep(BEAT_S)
            if not self._bus.connected:
                self._heard_at = self._loop.time()
                continue
            try:
                await self._tail.watch()
                if self._segmenter.wants_headers:
                    await self._learn_headers()
                if self._loop.time() - self._heard_at > self._around.grace_s:
                    await self._end_lost()
            except BUS_FAULTS as exc:
                log.warning("watch", stream=self.job.stream, error=repr(exc))

    async def _end_lost(self) -> None:
        """Nothing came for the grace period: say END in the publisher's place; it comes back to us as a tag."""
        before = self._last_header
        if before is None or before.epoch != self.job.epoch:
            end = TagHeader(TagFlags.END, 0, 0, self.job.epoch, 0, now_us())
        else:
            end = TagHeader(
                TagFlags.END, before.generation, before.sequence + 1, before.epoch, before.dts_ms, now_us()
            )
        self._lost = True
        log.info("publisher lost", stream=self.job.stream, epoch=self.job.epoch)
        await self._bus.js.publish(LIVE_TAGS_DELTA.at(stream=self.job.stream), end.pack())
        self._heard_at = self._loop.time()

    async def _was_told(self) -> bool:
        """Whether who waits was told of the end. Raises `BUS_FAULTS`."""
        stored = await direct.last(self._bus, LIVE_EVENTS.name, LIVE_EVENT.at(stream=self.job.stream))
        try:
            event = LiveEvent.model_validate_json(stored.data).root if stored is not None else None
        except ValidationError as exc:
            log.warning("a live event cannot be read", stream=self.job.stream, error=str(exc))
            return False
        return isinstance(event, StreamStopped) and event.epoch >= self.job.epoch

    async def _tidy(self) -> None:
        """Take the ended stream's headers off the bus, and tell who waits if nobody else did."""
        stream, epoch = self.job.stream, self.job.epoch
        try:
            header = await direct.last(self._bus, LIVE_HEADERS.name, LIVE_HEADER.at(stream=stream))
            if header and TagHeader.unpack(header.data).epoch > epoch:
                header = None
            # Who wrote END died before he tidied; or the publisher, cut off meanwhile, has written his headers since:
            # he has to hear that his session is over, so that he begins another.
            lost = self._lost or (self._ended_before and (header is not None or not await self._was_told()))
            if header:
                await self._delete_header(header.sequence)
            await self._store.expire_inits(self._init)
            if lost:
                stopped = StreamStopped(
                    stream=stream, epoch=epoch, at=now_ms(), reason=StopReason.LOST, room=self.job.room
                )
                await emit(
                    self._bus,
                    LIVE_EVENT,
                    LiveEvent(stopped),
                    msg_id=f"{stream}-{epoch}-stopped",
                    stream=stream,
                )
        except (TagFormatError, PartFormatError, *BUS_FAULTS) as exc:
            log.warning("an ended stream is not tidy", stream=stream, error=repr(exc))

    async def _delete_header(self, sequence: int) -> None:
        try:
            await self._bus.request_api(
                f"STREAM.MSG.DELETE.{LIVE_HEADERS.name}", {"seq": sequence, "no_erase": True}
            )
        except APIError as exc:
            if exc.err_code != _SEQUENCE_NOT_FOUND:  # ingest tidied up as well
                raise

    async def _beat(self) -> None:
        while not self._over:
            await self._answer(IN_PROGRESS)
            await asyncio.sleep(BEAT_S)

    async def _answer(self, answer: bytes) -> None:
        with suppress(*BUS_FAULTS):
            await self._bus.nc.publish(self._answer_to, answer)


def _place_before(last: PartHeader) -> Place | None:
    """The message before the one in which the next part begins, of which something may lie behind that place."""
    at = last.checkpoint
    if not at.sequence:
        return None
    # Program date-time is made from the arrival of key frames: near enough to find the place in time.
    return Place(last.epoch, at.sequence - 1, last.pdt_us)
