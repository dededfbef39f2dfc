"""What the publish session before left on the bus, and how the next one goes on from it (DESIGN.md §4)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from nats.js.errors import NotFoundError

from bus_schemas.streams import LIVE, LIVE_HEADERS
from bus_schemas.subjects import LIVE_HEADER, LIVE_TAGS_DELTA, LIVE_TAGS_KEY
from bus_schemas.tags import TagFlags, TagFormatError, TagHeader
from media.flv import FlvError
from runtime.bus import Bus
from runtime.logs import get_logger
from workers.ingest.headers import CodecHeaders, read_header_message

log = get_logger("continuation")

SEAM_MS: Final = 100
"""Least time between the sessions on the timeline: the last message of the old one may hold so much."""


@dataclass(frozen=True, slots=True)
class Before:
    """The session before, as far as the next one needs it."""

    last: TagHeader | None = None
    """Its newest message that is still stored."""
    headers: CodecHeaders | None = None
    """Its codec headers."""
    header_generation: int = 0
    header_epoch: int = 0

    @property
    def least_epoch(self) -> int:
        """An epoch of the next session must be at least this."""
        return max(self.header_epoch, self.last.epoch if self.last else 0) + 1


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a session begins."""

    start_ms: int = 0
    """Its first DTS."""
    generation: int = 0
    headers: CodecHeaders | None = None
    """What its own headers are compared with: equal ones keep the generation."""
    flags: int = TagFlags.NONE


def begin_after(before: Before, now_us: int, grace_s: float) -> Beginning:
    """Go on with the timeline of a session that was cut off at most `grace_s` ago; else begin a new one.

    The time that passed stands on the timeline as a gap, so viewers stall and go on; equal codec
    headers need no discontinuity.
    """
    last = before.last
    if last is None:
        return Beginning()
    silence_us = now_us - last.arrival_us
    ended = bool(last.flags & TagFlags.END)
    if ended or silence_us > grace_s * 1_000_000 or before.headers is None:
        return Beginning(flags=TagFlags.DISCONTINUITY)
    start_ms = last.dts_ms + max(SEAM_MS, silence_us // 1_000)
    return Beginning(start_ms, before.header_generation, before.headers)


async def _last(bus: Bus, stream: str, subject: str) -> bytes | None:
    try:
        return (await bus.js.get_last_msg(stream, subject, direct=True)).data
    except NotFoundError:
        return None


async def last_stored(bus: Bus, stream: str) -> TagHeader | None:
    """The header of the stream's newest message in `LIVE`; None where nothing is stored."""
    subjects = (LIVE_TAGS_KEY.at(stream=stream), LIVE_TAGS_DELTA.at(stream=stream))
    found = await asyncio.gather(*(_last(bus, LIVE.name, subject) for subject in subjects))
    headers = [TagHeader.unpack(message) for message in found if message]
    return max(headers, key=lambda header: (header.epoch, header.sequence), default=None)


async def read_before(bus: Bus, stream: str) -> Before:
    """What the session before left on the bus."""
    last, message = await asyncio.gather(
        last_stored(bus, stream), _last(bus, LIVE_HEADERS.name, LIVE_HEADER.at(stream=stream))
    )
    if not message:
        return Before(last)
    try:
        header, headers = read_header_message(message)
    except (TagFormatError, FlvError) as error:
        log.warning("codec headers on the bus do not parse", stream=stream, error=str(error))
        return Before(last)
    return Before(last, headers, header.generation, header.epoch)
