"""One accepted publish session: from the publisher's messages to the bus, and what is told about it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from bus_schemas.messages.live import (
    LiveEvent,
    StopReason,
    StreamDescribed,
    StreamKey,
    StreamMeasured,
    StreamStarted,
    StreamStopped,
    TransmuxJob,
)
from bus_schemas.streams import LIVE_HEADERS
from bus_schemas.subjects import JOBS_TRANSMUX, LIVE_EVENT, LIVE_HEADER
from bus_schemas.tags import TagFlags
from runtime.bus import Bus
from runtime.clock import now_ms, now_us
from runtime.emit import emit
from runtime.logs import get_logger
from runtime.metrics import Metrics
from runtime.tasks import Tasks
from workers.ingest.acknowledgements import Acknowledgements
from workers.ingest.continuation import Beginning
from workers.ingest.delivery import BUS_FAULTS, Delivery
from workers.ingest.pacer import Pacer
from workers.ingest.packing import Packer, TagMessage
from workers.ingest.publish_hooks import PublishHooks
from workers.ingest.registry import Claim, Registry
from workers.ingest.rtmp.events import MediaKind
from workers.ingest.timestamps import TimestampRepair

log = get_logger("publication")

_HEADER: Final = TagFlags.HEADER
BEAT_S: Final = 1.0
RENEW_EVERY: Final = 3
"""Beats between renewals of the claim, which lives 10 s."""
TELL_DEADLINE_S: Final = 20.0
"""How long what must be told waits for a bus that is away."""
FINISH_DEADLINE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all publications of a process share."""

    bus: Bus
    registry: Registry
    acknowledgements: Acknowledgements
    pacer: Pacer
    tasks: Tasks
    metrics: Metrics
    node: str
    statistics_s: float
    hooks: PublishHooks


@dataclass(slots=True)
class _Told:
    """Counts already in the metrics and the last statistics event."""

    bytes: int = 0
    video: int = 0
    audio: int = 0
    keys: int = 0
    repairs: int = 0
    refused: int = 0
    sent: int = 0
    dropped: int = 0
    other_tracks: int = 0


class Publication:
    """Made when a publisher is accepted. `on_lost` is called when somebody else holds the stream."""

    def __init__(
        self,
        around: Surroundings,
        key: StreamKey,
        claim: Claim,
        beginning: Beginning,
        *,
        encoder: str,
        on_congestion: Callable[[bool], None],
        on_lost: Callable[[], None],
    ) -> None:
        self.key = key
        self.claim = claim
        self.stream = key.stream
        self.epoch = claim.value.epoch
        self.bytes = 0
        self.ended = False
        self.measured: StreamMeasured | None = None
        """Figures of the last interval."""
        self._around = around
        self._encoder = encoder
        self._on_lost = on_lost
        self._timeline = TimestampRepair(beginning.start_ms)
        self._packer = Packer(
            self.epoch,
            self._timeline,
            before=beginning.headers,
            generation=beginning.generation,
            flags=beginning.flags,
        )
        self._delivery = Delivery(
            around.bus, around.acknowledgements, around.pacer, self.stream, self.epoch, on_congestion
        )
        self._loop = asyncio.get_running_loop()
        self._started = False
        self._announced = False
        self._last_statistics = now_ms()
        self._telling = asyncio.Lock()
        self._counted_repairs: dict[str, int] = {}
        self._in_metrics = _Told()
        self._in_statistics = _Told()
        self._work = [
            around.tasks.spawn(f"delivery:{self.stream}", self._delivery.run()),
            around.tasks.spawn(f"publication:{self.stream}", self._beat()),
        ]
        around.pacer.add(self)

    def push(self, kind: MediaKind, timestamp: int, payload: bytes, arrival_us: int) -> None:
        """Take one message that came at `arrival_us`; raises `UnsupportedCodecError`. Awaits nothing: the hot path."""
        self.bytes += len(payload)
        messages = self._packer.push(kind, timestamp, payload, arrival_us)
        if messages:
            self._put(messages)

    def on_turn(self, now_us: int, next_us: int) -> None:
        """Give what has waited its time, or will have by the next turn."""
        due = self._packer.due_us
        if due is not None and due <= next_us and not self.ended:
            self._put(self._packer.flush_waiting(now_us, next_us))

    def limit_access_units(self, most: int) -> None:
        """Refuse frames of more bytes than this from now on."""
        self._packer.limit_access_units(most)

    def set_metadata(self, values: dict[str, Any]) -> None:
        """Take the publisher's onMetaData."""
        self._packer.set_metadata(values)

    def reconnected(self) -> None:
        """The bus was away."""
        self._delivery.doubt("the bus was away")

    async def check_claim(self) -> None:
        """Look whether the stream is still ours; calls `on_lost` if not."""
        if not self.ended and not await self._around.registry.renew(self.claim):
            self._on_lost()

    async def finish(self, reason: StopReason) -> None:
        """The end on purpose: END on the bus, then the event; the stream is over at once.

        After a takeover the stream goes on, so nothing is said but that this session is over.
        """
        if self.ended:
            return
        replaced = reason is StopReason.REPLACED
        if replaced:
            self._delivery.drop_waiting()
        elif self._started:
            self._put(self._packer.end(now_us()))
        await self._leave(remove_headers=self._started and not replaced)
        if self._started:
            async with self._telling:
                await self._tell(
                    StreamStopped(
                        stream=self.stream, epoch=self.epoch, at=now_ms(), reason=reason, room=self.key.room
                    )
                )

    async def abandon(self) -> None:
        """The link is lost: nothing is said, so that the publisher may come back (DESIGN.md §4)."""
        if not self.ended:
            self._put(self._packer.flush_waiting(now_us() + 1_000_000_000))
            await self._leave(remove_headers=False)

    def _put(self, messages: list[TagMessage]) -> None:
        if not messages:
            return
        self._delivery.put(messages)
        for message in messages:
            if message.flags & _HEADER:
                self._started = True
                self._around.tasks.spawn(f"describe:{self.stream}", self._describe())

    async def _describe(self) -> None:
        """Tell of a new generation; of the first one once it can be watched, after the job and the start."""
        if not self._delivery.begun.is_set():
            async with asyncio.timeout(TELL_DEADLINE_S):
                await self._delivery.begun.wait()
        described = {
            name: value for name, value in self._packer.headers.describe().items() if value is not None
        }
        async with self._telling:
            if not self._announced:
                self._announced = True
                await self._patiently(self._submit_job)
                await self._tell(
                    StreamStarted(
                        stream=self.stream,
                        epoch=self.epoch,
                        at=self.claim.value.at,
                        node=self._around.node,
                        room=self.key.room,
                        title=self.key.title,
                    )
                )
            await self._tell(
                StreamDescribed(
                    stream=self.stream,
                    epoch=self.epoch,
                    at=now_ms(),
                    generation=self._packer.generation,
                    encoder=self._encoder or None,
                    **described,
                )
            )

    async def _submit_job(self) -> None:
        job = TransmuxJob(stream=self.stream, epoch=self.epoch, room=self.key.room)
        await emit(self._around.bus, JOBS_TRANSMUX, job, msg_id=job.msg_id, stream=self.stream)

    async def _tell(self, event: StreamStarted | StreamStopped | StreamDescribed) -> None:
        async def publish() -> None:
            await emit(self._around.bus, LIVE_EVENT, LiveEvent(event), stream=self.stream)

        await self._patiently(publish)

    async def _patiently(self, publish: Callable[[], Awaitable[None]]) -> None:
        """Publish, trying again while the bus is away, for `TELL_DEADLINE_S`."""
        deadline = self._loop.time() + TELL_DEADLINE_S
        while True:
            try:
                await publish()
            except BUS_FAULTS as error:
                if self._loop.time() > deadline:
                    log.error("the bus did not take an event", stream=self.stream, error=repr(error))
                    return
                await asyncio.sleep(0.2)
            else:
                return

    async def _beat(self) -> None:
        beats = 0
        while True:
            await asyncio.sleep(BEAT_S)
            beats += 1
            if self._delivery.shed_if_stuck():
                self._packer.require_key_frame()
            self._count()
            try:
                if beats % RENEW_EVERY == 0:
                    await self.check_claim()
                if now_ms() - self._last_statistics >= self._around.statistics_s * 1_000:
                    await self._measure()
            except BUS_FAULTS as error:
                log.debug("beat not taken", stream=self.stream, error=repr(error))

    def _totals(self) -> _Told:
        packer = self._packer
        return _Told(
            self.bytes,
            packer.video_frames,
            packer.audio_frames,
            packer.key_frames,
            self._timeline.repairs.total(),
            packer.refused,
            self._delivery.sent,
            self._delivery.dropped,
            packer.other_tracks,
        )

    def _count(self) -> None:
        """Bring the metrics up to date; once a beat, not once a message."""
        metrics, told, total = self._around.metrics, self._in_metrics, self._totals()
        metrics.counter("matinee_ingest_messages_total").inc(total.sent - told.sent)
        if total.dropped > told.dropped:
            metrics.counter("matinee_ingest_dropped_total").labels("bus").inc(total.dropped - told.dropped)
        if total.refused > told.refused:
            metrics.counter("matinee_ingest_refused_total").labels("too_large").inc(
                total.refused - told.refused
            )
        if total.other_tracks > told.other_tracks:
            counter = metrics.counter("matinee_ingest_refused_total").labels("other_track")
            counter.inc(total.other_tracks - told.other_tracks)
        if total.repairs > told.repairs:
            for kind, count in self._timeline.repairs.items():
                counter = metrics.counter("matinee_ingest_repairs_total").labels(kind.value)
                counter.inc(count - self._counted_repairs.get(kind.value, 0))
                self._counted_repairs[kind.value] = count
        self._in_metrics = total

    async def _measure(self) -> None:
        now = now_ms()
        total, told = self._totals(), self._in_statistics
        interval, self._last_statistics = now - self._last_statistics, now
        self._in_statistics = total
        if not self._started:
            return
        described = self._packer.headers.describe()
        measured = StreamMeasured(
            stream=self.stream,
            epoch=self.epoch,
            at=now,
            interval_ms=interval,
            bytes=total.bytes - told.bytes,
            video_frames=total.video - told.video,
            audio_frames=total.audio - told.audio,
            key_frames=total.keys - told.keys,
            repairs=total.repairs,
            refused=total.refused,
            gaps=total.dropped,
            **{name: described.get(name) for name in ("video_codec", "audio_codec")},
        )
        self.measured = measured
        await emit(self._around.bus, LIVE_EVENT, LiveEvent(measured), stream=self.stream)

    async def _leave(self, *, remove_headers: bool) -> None:
        """Send what waits, let the stream go, and stop."""
        self.ended = True
        self._around.pacer.remove(self)
        if not await self._delivery.drained(FINISH_DEADLINE_S):
            log.warning("not all of a stream's end is on the bus", stream=self.stream)
        for task in self._work:
            task.cancel()
        self._delivery.close()
        self._count()
        try:
            if remove_headers:
                # Before the release: the next publisher's headers must not be the ones removed.
                subject = LIVE_HEADER.at(stream=self.stream)
                await self._around.bus.js.purge_stream(LIVE_HEADERS.name, subject=subject)
            await self._around.registry.release(self.claim)
        except BUS_FAULTS as error:
            log.warning(
                "a stream's end is not tidy, its claim expires", stream=self.stream, error=repr(error)
            )
