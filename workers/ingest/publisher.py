"""A connection as a publisher: admission, limits, and the end; one publish at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from bus_schemas.messages.live import StopReason, StreamLimits
from runtime.clock import now_us
from runtime.logs import get_logger
from runtime.settings import IngestSettings
from workers.ingest.admission import PublishAttempt
from workers.ingest.bitrate import BitrateLimit
from workers.ingest.continuation import begin_after, read_before
from workers.ingest.delivery import BUS_FAULTS
from workers.ingest.intake import UnsupportedCodecError
from workers.ingest.link import Link
from workers.ingest.publication import Publication, Surroundings
from workers.ingest.publish_hooks import with_answered
from workers.ingest.registry import Claim, Claimant, PublishRefusedError
from workers.ingest.rtmp.events import MediaReceived, MetadataReceived, PublishRequested

log = get_logger("publisher")

ADMIT_DEADLINE_S: Final = 4.0
"""Looking a key up and claiming its stream."""
GRACE_S: Final = 15.0
"""How long a cut-off stream may be gone on with (DESIGN.md §4)."""


@dataclass(frozen=True, slots=True)
class PublisherRules:
    """What publishers of this process share, besides `Surroundings`."""

    settings: IngestSettings
    limits: bool
    """Whether limits apply at all."""
    settle: Callable[[str, Coroutine[Any, Any, None]], None]
    """Runs what a publication does at its end; a drain waits for it."""


def lesser(one: int, other: int) -> int:
    """The lesser of two limits of which 0 is none."""
    return min(one, other) if one and other else one or other


class Publisher:
    """Acts on what the connection says of its publish."""

    def __init__(self, link: Link, around: Surroundings, rules: PublisherRules) -> None:
        self._link = link
        self._around = around
        self._rules = rules
        self._loop = asyncio.get_running_loop()
        self._request: PublishRequested | None = None
        self._limit: BitrateLimit | None = None
        self._unspent = 0
        """Bytes that came and that the limit was not told of."""
        self._overdue: asyncio.TimerHandle | None = None
        self._attempt: PublishAttempt | None = None
        self._began = 0.0
        self._leaving = False
        self.publication: Publication | None = None

    @property
    def silent_ms(self) -> int:
        """How long nothing came from the peer."""
        return int(self._link.silent_s() * 1_000)

    def ask(self, request: PublishRequested) -> None:
        """The peer wants to publish."""
        self._request = request
        self._link.pause("admission")
        self._around.tasks.spawn(f"admit:{self._link.id}", self._admit(request))

    def media(self, event: MediaReceived, arrival_us: int) -> bool:
        """Take one message, without waiting; False when the publish is over for it."""
        if self.publication is None:
            return True
        kind, timestamp, payload = event
        try:
            self.publication.push(kind, timestamp, payload, arrival_us)
        except UnsupportedCodecError as error:
            self._around.metrics.counter("matinee_ingest_refused_total").labels("codec").inc()
            self.stop("NetStream.Publish.Rejected", str(error), "codec", StopReason.CODEC)
            return False
        return True

    def metadata(self, event: MetadataReceived) -> None:
        """Take onMetaData."""
        if self.publication is not None:
            self.publication.set_metadata(event.values)

    def spend(self, size: int, now_s: float) -> None:
        """Bytes came: slow the peer down where he is over his limit."""
        self._unspent += size
        if self._limit is None or self._unspent < self._limit.worth_counting:
            return
        spent, self._unspent = self._unspent, 0
        delay = self._limit.spend(spent, now_s)
        if not delay:
            return
        if self._limit.broken(now_s):
            sentence = "over the bitrate limit of this stream key: lower the encoder's bitrate"
            self.stop("NetStream.Publish.Rejected", sentence, "bitrate", StopReason.LIMIT)
            return
        self._link.pause("bitrate")
        self._loop.call_later(delay, self._link.resume, "bitrate")

    def limit(self, limits: StreamLimits) -> None:
        """These limits hold for the publish from now on, within the site's; 0 is the site's own."""
        if self.publication is None or not self._rules.limits:
            return
        site = self._rules.settings
        kbps = lesser(limits.bitrate_kbps, site.max_bitrate_kbps)
        self._limit = BitrateLimit(kbps * 125, self._loop.time())
        self.publication.limit_access_units(lesser(limits.access_unit_bytes, site.max_access_unit_bytes))
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
        if most := lesser(limits.duration_s, site.max_duration_s):
            self._overdue = self._loop.call_at(self._began + most, self._end_overdue, most)

    def kick(self, description: str) -> None:
        """End the publish on an order from the bus."""
        self.stop("NetStream.Publish.Denied", description or "kicked", "kicked", StopReason.KICKED)

    def _end_overdue(self, most_s: int) -> None:
        sentence = f"over the {most_s} s that a publish of this stream may last"
        self.stop("NetStream.Publish.Rejected", sentence, "duration", StopReason.LIMIT)

    async def leave(self) -> None:
        """The peer was asked to connect again: let him take the stream along."""
        self._leaving = True
        if self.publication is not None:
            await self._around.registry.leave(self.publication.claim)

    def replaced(self) -> None:
        """Somebody else publishes the stream now: say so, and close."""
        if self._leaving:
            self.finish(StopReason.REPLACED)
            self._link.close("moved to another worker", "moved")
            return
        sentence = "taken over by another publisher with the same key"
        self.stop("NetStream.Publish.BadName", sentence, "replaced", StopReason.REPLACED)

    def given_up(self, epoch: int) -> None:
        """The packager ended this session after a silence that was not the peer's: he begins anew."""
        if self.publication is not None and self.publication.epoch == epoch:
            self._link.close("the stream was ended after a long silence: connect again", "silent")

    def stop(self, code: str, description: str, reason: str, stop: StopReason) -> None:
        """End the publish by our own will: say why, settle it, close."""
        if self._link.closing:
            return
        if self._request is not None and self.publication is not None:
            self._link.connection.refuse(self._request, code, description)
            self._link.write()
        self.finish(stop)
        self._link.close(description, reason)

    def finish(self, reason: StopReason) -> None:
        """The publish is over on purpose; the connection may publish again."""
        publication, self.publication = self.publication, None
        self._request = None
        self._limit = None
        self._link.became(None)
        if publication is not None:
            self._over(publication, reason)
            self._rules.settle(f"finish:{publication.stream}", publication.finish(reason))

    async def left(self) -> None:
        """The link is gone: the stream waits for its publisher to come back."""
        self._request = None
        publication, self.publication = self.publication, None
        if publication is not None:
            self._over(publication, StopReason.LOST)
            await publication.abandon()

    async def _admit(self, request: PublishRequested) -> None:
        """Let the publisher in, or say why not."""
        try:
            async with asyncio.timeout(ADMIT_DEADLINE_S + self._around.hooks.deadline_s):
                await self._accept(request)
        except PublishRefusedError as refused:
            self._refuse(request, refused)
        except BUS_FAULTS as error:
            log.warning("publisher not admitted", connection=self._link.id, error=repr(error))
            sentence = "the server cannot look the key up now, try again"
            self._refuse(request, PublishRefusedError("NetStream.Publish.Failed", sentence, "unavailable"))
        finally:
            self._link.resume("admission")

    async def _accept(self, request: PublishRequested) -> None:
        link, registry = self._link, self._around.registry
        attempt = PublishAttempt(
            connection=link.id,
            address=link.address,
            secure=link.secure,
            encoder=link.encoder,
            app=request.app,
            query=request.query.replace(request.key, "***"),
            key=await registry.look_up(request.key),
        )
        key = await self._around.hooks(attempt)
        attempt = with_answered(attempt, key)
        claim: Claim | None = None
        try:
            before = await read_before(self._around.bus, key.stream)
            who = Claimant(link.id, link.address, "rtmps" if link.secure else "rtmp", link.encoder)
            claim = await registry.claim(key, who, before.least_epoch)
            if link.closing or self._request is not request:
                await registry.release(claim)
                claim = None
                return
        finally:
            if claim is None:
                self._around.hooks.over(attempt, reason=StopReason.LOST, epoch=0, lasted_s=0, received=0)
        beginning = begin_after(before, now_us(), GRACE_S)
        self.publication = Publication(
            self._around,
            key,
            claim,
            beginning,
            encoder=link.encoder,
            on_congestion=self._on_congestion,
            on_lost=self.replaced,
        )
        self._attempt = attempt
        self._began = self._loop.time()
        self.limit(key.limits)
        link.connection.accept(request)
        link.write()
        link.became(key.stream)
        log.info(
            "opened",
            connection=link.id,
            peer=link.address,
            stream=key.stream,
            epoch=claim.value.epoch,
            encoder=link.encoder,
            start_ms=beginning.start_ms,
        )
        link.go_on()

    def _refuse(self, request: PublishRequested, refused: PublishRefusedError) -> None:
        self._around.metrics.counter("matinee_ingest_refused_total").labels(refused.reason).inc()
        if self._link.closing or self._request is not request:
            return
        self._link.connection.refuse(request, refused.code, refused.description)
        self._link.write()
        self._link.close(f"refused: {refused.description}", "refused")

    def _over(self, publication: Publication, reason: StopReason) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            self._around.hooks.over(
                attempt,
                reason=reason,
                epoch=publication.epoch,
                lasted_s=self._loop.time() - self._began,
                received=publication.bytes,
            )

    def _on_congestion(self, congested: bool) -> None:
        if congested:
            self._link.pause("bus")
        else:
            self._link.resume("bus")
