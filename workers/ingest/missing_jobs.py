"""Streams that nobody packages: whose worker died between their first tag and the job, or could not submit it.

The rule: a stream with headers on the bus has a job in the queue, or is about to. One without at two looks in a
row gets the job its worker owed it. From there all is as ever: whoever leases it packages what still comes, or ends
the stream after the grace period, takes its headers away and tells who waits.

Every worker looks, and nothing is asked of the publisher: the job has the id by which the owing worker would have
submitted it, and is taken only where the queue has none of the stream, so it is there once whoever is first; and
a publisher who returns has a later epoch, whose job supersedes this one.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from nats.js.errors import APIError

from bus_schemas.messages.live import TransmuxJob
from bus_schemas.streams import JOBS, LIVE_HEADERS
from bus_schemas.subjects import JOBS_TRANSMUX, LIVE_HEADER, Subject
from bus_schemas.tags import TagFormatError, TagHeader
from runtime import direct
from runtime.bus import Bus
from runtime.emit import headers_for
from runtime.logs import get_logger
from runtime.replies import EXPECTED_LAST, WRONG_LAST_SEQUENCE
from workers.ingest.delivery import BUS_FAULTS

log = get_logger("missing_jobs")

LOOK_S: Final = 3.0


class MissingJobs:
    """What one worker saw of it the last time it looked."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._lacking: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Look for ever, every `LOOK_S`."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except BUS_FAULTS as error:
                log.debug("no look at the jobs", error=repr(error))

    async def look(self) -> None:
        """Submit the jobs that were missing at the last look too. Raises `BUS_FAULTS`."""
        # In this order: an ending stream's headers go before its job does.
        packaged = await self._streams(JOBS.name, JOBS_TRANSMUX)
        lacking = await self._streams(LIVE_HEADERS.name, LIVE_HEADER) - packaged
        for stream in sorted(lacking & self._lacking):
            await self._submit(stream)
        self._lacking = lacking

    async def _streams(self, kept_in: str, subject: Subject[Any]) -> frozenset[str]:
        info = await self._bus.js.stream_info(kept_in, subjects_filter=subject.pattern)
        return frozenset(subject.token(one, "stream") for one in info.state.subjects or ())

    async def _submit(self, stream: str) -> None:
        stored = await direct.last(self._bus, LIVE_HEADERS.name, LIVE_HEADER.at(stream=stream))
        if stored is None:
            return
        try:
            epoch = TagHeader.unpack(stored.data).epoch
        except TagFormatError as error:
            log.warning("headers on the bus do not parse", stream=stream, error=str(error))
            return
        job = TransmuxJob(stream=stream, epoch=epoch)
        headers = headers_for(JOBS_TRANSMUX, job.msg_id)
        headers[EXPECTED_LAST] = "0"
        try:
            ack = await self._bus.js.publish(
                JOBS_TRANSMUX.at(stream=stream), job.model_dump_json().encode(), headers=headers
            )
        except APIError as error:
            if error.err_code not in WRONG_LAST_SEQUENCE:
                raise
        else:
            if not ack.duplicate:
                log.warning("a stream had no job, and has one now", stream=stream, epoch=epoch)
