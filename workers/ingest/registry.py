"""Who may publish what, and who publishes it now: the buckets `STREAM_KEYS` and `PUBLISHERS`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from bus_schemas.messages.live import PublisherClaim, PublisherHeard, StreamControl, StreamKey
from bus_schemas.streams import PUBLISHERS, STREAM_KEYS
from bus_schemas.subjects import LIVE_CONTROL
from runtime.bus import Bus
from runtime.kv import Bucket, Entry
from runtime.logs import get_logger

log = get_logger("registry")

TAKEOVER_WINDOW_MS: Final = 30_000
FROZEN_MS: Final = 3_000
"""A publisher of whom nothing came for so long does not hold his name; a live one sends 20 times a second."""
PROBE_S: Final = 0.5
"""A worker that does not say so soon when it heard of its publisher is taken for dead."""
_ATTEMPTS: Final = 8
_AGAIN_S: Final = 0.01
"""So much longer before each further attempt: whoever was first may be writing still."""
"""Compare-and-set attempts; each failure means that another publisher succeeded in that moment."""


class PublishRefusedError(Exception):
    """A publisher is not let in: the RTMP status code, a sentence for him, and the counter's label."""

    def __init__(self, code: str, description: str, reason: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.reason = reason


def key_hash(key: str) -> str:
    """What stands in `STREAM_KEYS` for a key: SHA-256, hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


def may_take_over(takeovers: tuple[int, ...], now_ms: int, limit: int) -> bool:
    """Whether another takeover is within the limit.

    After `limit` of them within 30 s the newcomer is refused until 30 s have passed since the
    last one: two encoders that fight for one key must not make the stream unwatchable.
    """
    recent = takeovers[-limit:]
    if len(recent) < limit or recent[-1] - recent[0] >= TAKEOVER_WINDOW_MS:
        return True
    return now_ms - recent[-1] >= TAKEOVER_WINDOW_MS


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who claims, as others are shown him."""

    connection: str
    address: str = ""
    protocol: str = "rtmp"
    encoder: str = ""


@dataclass(slots=True)
class Claim:
    """A stream held by one connection of this process."""

    value: PublisherClaim
    revision: int


class Registry:
    """Look-ups and claims of one process."""

    def __init__(self, bus: Bus, node: str, takeover_limit: int, now_ms: Callable[[], int]) -> None:
        self._bus = bus
        self._keys = Bucket(bus.js, STREAM_KEYS)
        self._publishers = Bucket(bus.js, PUBLISHERS)
        self._node = node
        self._takeover_limit = takeover_limit
        self._now_ms = now_ms

    async def look_up(self, key: str) -> StreamKey:
        """What the key opens; raises `PublishRefusedError`."""
        entry = await self._keys.get(key_hash(key)) if key else None
        if entry is None:
            raise PublishRefusedError("NetStream.Publish.Denied", "unknown stream key", "wrong_key")
        try:
            return StreamKey.model_validate_json(entry.value)
        except ValidationError as error:
            log.error("a stream key's value does not parse", error=str(error))
            raise PublishRefusedError(
                "NetStream.Publish.Denied", "unknown stream key", "wrong_key"
            ) from error

    async def claim(self, key: StreamKey, who: Claimant, least_epoch: int) -> Claim:
        """Hold the stream, taking it over where its key allows; raises `PublishRefusedError`.

        A key that refuses, and the limit of takeovers, protect a publisher who still sends: one who is frozen
        or was asked to go elsewhere, and one whose worker is dead, gives way uncounted.

        The epoch is the time of the claim, or `least_epoch` or one more than that of the publisher
        before, whichever is greatest.
        """
        for attempt in range(_ATTEMPTS):
            await asyncio.sleep(attempt * _AGAIN_S)
            now = self._now_ms()
            entry = await self._publishers.get(key.stream)
            before = self._read(entry)
            takeovers: tuple[int, ...] = ()
            epoch = max(now, least_epoch)
            if before is not None:
                takeovers = await self._takeovers_after(before, key, now)
                epoch = max(epoch, before.epoch + 1)
            value = PublisherClaim(
                stream=key.stream,
                epoch=epoch,
                node=self._node,
                connection=who.connection,
                at=now,
                address=who.address,
                protocol=who.protocol,
                encoder=who.encoder,
                viewers=key.viewers,
                takeovers=takeovers,
            )
            body = value.model_dump_json().encode()
            if entry is None:
                revision = await self._publishers.claim(key.stream, body)
            else:
                revision = await self._publishers.update(key.stream, body, entry.revision)
            if revision is not None:
                return Claim(value, revision)
        raise PublishRefusedError("NetStream.Publish.BadName", "others publish at this moment", "busy")

    async def _takeovers_after(self, before: PublisherClaim, key: StreamKey, now: int) -> tuple[int, ...]:
        """The takeovers to remember after this one; raises `PublishRefusedError` where it may not be."""
        if before.leaving:
            return before.takeovers
        allowed = may_take_over(before.takeovers, now, self._takeover_limit)
        if key.on_conflict == "takeover" and allowed:
            return (*before.takeovers[-self._takeover_limit :], now)
        if await self._is_frozen(key.stream):
            return before.takeovers
        if key.on_conflict == "refuse":
            raise PublishRefusedError("NetStream.Publish.BadName", "somebody publishes already", "busy")
        sentence = "too many takeovers of this stream: wait 30 s, and stop the other encoder"
        raise PublishRefusedError("NetStream.Publish.BadName", sentence, "takeovers")

    async def _is_frozen(self, stream: str) -> bool:
        """Ask the holder's worker when it heard of its publisher; no answer means that it is dead."""
        probe = StreamControl(stream=stream, action="probe").model_dump_json().encode()
        try:
            reply = await self._bus.nc.request(LIVE_CONTROL.at(stream=stream), probe, timeout=PROBE_S)
            return PublisherHeard.model_validate_json(reply.data).silent_ms >= FROZEN_MS
        except TimeoutError:
            return True
        except ValidationError as error:
            log.error("the answer to a probe does not parse", stream=stream, error=str(error))
            return False

    async def limit_viewers(self, claim: Claim, viewers: int | None) -> None:
        """Another number of viewers than a hook said, None: the stream's own."""
        if claim.value.viewers != viewers:
            claim.value = claim.value.model_copy(update={"viewers": viewers})
            await self.renew(claim)

    async def leave(self, claim: Claim) -> None:
        """Let whoever has the key follow, while this publisher is still served."""
        claim.value = claim.value.model_copy(update={"leaving": True})
        await self.renew(claim)

    async def renew(self, claim: Claim) -> bool:
        """Keep holding the stream; False when somebody else does now."""
        body = claim.value.model_dump_json().encode()
        stream = claim.value.stream
        revision = await self._publishers.update(stream, body, claim.revision)
        if revision is None:
            # The bucket lives in memory: after a restart of the server nobody holds anything.
            entry = await self._publishers.get(stream)
            holder = self._read(entry)
            if entry is None:
                revision = await self._publishers.claim(stream, body)
            elif holder is not None and holder.connection == claim.value.connection:
                revision = entry.revision
        if revision is None:
            return False
        claim.revision = revision
        return True

    async def release(self, claim: Claim) -> None:
        """Hold the stream no longer; a newer holder is left alone."""
        await self._publishers.update(claim.value.stream, b"", claim.revision)

    def _read(self, entry: Entry | None) -> PublisherClaim | None:
        if entry is None:
            return None
        try:
            return PublisherClaim.model_validate_json(entry.value)
        except ValidationError as error:
            log.error("a publisher's claim does not parse", error=str(error))
            return None
