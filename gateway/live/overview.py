"""What the bus and Redis say of live streams, for many of them in a few questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ValidationError

from bus_schemas.messages.base import EpochMs
from bus_schemas.messages.live import LiveEvent, PublisherClaim, StreamMeasured
from bus_schemas.streams import LIVE_EVENTS, LIVE_HEADERS, PUBLISHERS
from bus_schemas.subjects import LIVE_EVENT, LIVE_HEADER
from bus_schemas.viewers import Protocol
from gateway.live.description import LiveFacts, describe
from gateway.live.sessions import Sessions
from runtime import direct
from runtime.bus import Bus
from runtime.kv import Bucket

AT_ONCE: Final = 200


class Statistics(BaseModel):
    """How a stream arrives, over the last interval that was measured; counts since the publish began."""

    at: EpochMs
    bitrate_kbps: int
    fps: float
    gaps: int
    """Tag messages that the bus did not take."""
    repairs: int
    """Timestamps that had to be repaired."""
    refused: int
    """Frames over their limit, or not to be read."""


class PublisherShown(BaseModel):
    """Who publishes: for those who run the stream."""

    address: str
    protocol: str
    encoder: str
    node: str
    epoch: int
    since: EpochMs


@dataclass(frozen=True, slots=True)
class LiveState:
    """One stream now."""

    facts: LiveFacts | None
    """None: offline."""
    statistics: Statistics | None
    publisher: PublisherShown | None
    viewers: dict[Protocol, int]


async def read_states(bus: Bus, sessions: Sessions, streams: list[str]) -> dict[str, LiveState]:
    """The state of each of these streams; raises nats' errors, TimeoutError."""
    states: dict[str, LiveState] = {}
    for start in range(0, len(streams), AT_ONCE):
        some = streams[start : start + AT_ONCE]
        headers = await _last(bus, LIVE_HEADERS.name, [LIVE_HEADER.at(stream=one) for one in some])
        events = await _last(bus, LIVE_EVENTS.name, [LIVE_EVENT.at(stream=one) for one in some])
        claims = await _last(bus, PUBLISHERS.stream, [f"$KV.{PUBLISHERS.name}.{one}" for one in some])
        viewers = await sessions.counts_of(some)
        for one in some:
            header, event, claim = headers.get(one), events.get(one), claims.get(one)
            measured = statistics_of(event)
            states[one] = LiveState(
                facts=describe(header, event) if header else None,
                statistics=measured if header else None,
                publisher=publisher_of(claim),
                viewers=viewers[one],
            )
    return states


async def published(bus: Bus, *, after: str, limit: int) -> list[str]:
    """Ids of streams that somebody publishes, in order, from behind `after` on."""
    keys = sorted(key for key in await Bucket(bus.js, PUBLISHERS).keys() if key > after)
    found: list[str] = []
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        claims = await _last(bus, PUBLISHERS.stream, [f"$KV.{PUBLISHERS.name}.{key}" for key in some])
        found += [key for key in some if claims.get(key)]
        if len(found) >= limit:
            break
    return found[:limit]


def statistics_of(event: bytes | None) -> Statistics | None:
    """The figures in the newest live event, where it is one of figures."""
    try:
        measured = LiveEvent.model_validate_json(event).root if event else None
    except ValidationError:
        return None
    if not isinstance(measured, StreamMeasured):
        return None
    interval_ms = max(measured.interval_ms, 1)
    return Statistics(
        at=measured.at,
        bitrate_kbps=measured.bytes * 8 // interval_ms,
        fps=round(measured.video_frames * 1_000 / interval_ms, 1),
        gaps=measured.gaps,
        repairs=measured.repairs,
        refused=measured.refused,
    )


def publisher_of(claim: bytes | None) -> PublisherShown | None:
    """Who holds the stream."""
    try:
        held = PublisherClaim.model_validate_json(claim) if claim else None
    except ValidationError:
        return None
    if held is None:
        return None
    return PublisherShown(
        address=held.address,
        protocol=held.protocol,
        encoder=held.encoder,
        node=held.node,
        epoch=held.epoch,
        since=held.at,
    )


async def _last(bus: Bus, stream: str, subjects: list[str]) -> dict[str, bytes]:
    """The newest message of each subject, by the subject's last token."""
    stored = await direct.last_of_each(bus, stream, *subjects)
    return {message.subject.rpartition(".")[2]: message.data for message in stored if message.data}
