"""Parts and init segments on the bus: what was written last, and writing the next by one worker only."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from nats.js.errors import APIError

from bus_schemas.parts import (
    SOURCE_RENDITION,
    InitHeader,
    PartFlags,
    PartFormatError,
    PartHeader,
)
from bus_schemas.streams import LIVE_HEADERS, PARTS
from bus_schemas.subjects import HLS_INIT, HLS_PART
from runtime import direct
from runtime.bus import Bus
from runtime.logs import get_logger
from runtime.replies import EXPECTED_LAST, WRONG_LAST_SEQUENCE
from runtime.tag_tail import BUS_FAULTS
from workers.transmux.output import InitReady, PartReady

log = get_logger("parts")

PUBLISH_DEADLINE_S: Final = 2.0
RETRY_S: Final = 0.1
INIT_LINGER_S: Final = int(PARTS.max_age_s) + 10


class RaceLostError(Exception):
    """Another worker wrote the part that stands there now."""

    def __init__(self, last: PartHeader) -> None:
        super().__init__(f"media sequence {last.msn} part {last.part} is another worker's")
        self.last = last


class PartsStore:
    """One rendition's subject of `PARTS`. `writer` is the lease's own number in its checkpoints."""

    def __init__(self, bus: Bus, stream: str, writer: int, rendition: str = SOURCE_RENDITION) -> None:
        self._bus = bus
        self._stream = stream
        self._rendition = rendition
        self._writer = writer
        self._subject = HLS_PART.at(stream=stream, rendition=rendition)
        self._sequence = 0
        self._number_from = 0
        self._init: InitReady | None = None

    def number_from(self, number: int) -> None:
        """Media and discontinuity sequence 0 of what is put from here on are this on the bus, behind a break."""
        self._number_from = number

    async def read_last(self) -> PartHeader | None:
        """The newest part's header; from here on only a part behind it can be written. Raises `BUS_FAULTS`."""
        stored = await direct.last(self._bus, PARTS.name, self._subject)
        self._sequence = stored.sequence if stored else 0
        if stored is None:
            return None
        try:
            return PartHeader.unpack(stored.data)
        except PartFormatError as exc:
            log.error("the last part cannot be read", subject=self._subject, error=str(exc))
            return None

    async def read_init(self, init: int | None = None) -> InitHeader | None:
        """The init segment of that number, or the newest. Raises `BUS_FAULTS`."""
        token = "*" if init is None else str(init)
        pattern = HLS_INIT.at(stream=self._stream, rendition=self._rendition, generation="0")
        pattern = pattern.rpartition(".")[0] + "." + token
        found: list[InitHeader] = []
        for stored in await direct.last_of_each(self._bus, LIVE_HEADERS.name, pattern):
            try:
                found.append(InitHeader.unpack(stored.data)[0])
            except PartFormatError as exc:
                log.error("an init segment cannot be read", subject=stored.subject, error=str(exc))
        return max(found, key=lambda header: header.init, default=None)

    async def put_init(self, ready: InitReady) -> None:
        """Write an init segment, trying for as long as it takes; one of its number is never replaced."""
        self._init = ready
        while True:
            try:
                await self._create_init(ready)
            except BUS_FAULTS as exc:
                log.warning("init segment not taken", subject=self._subject, error=repr(exc))
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def restore_init(self) -> None:
        """Write the newest init segment again if the bus has lost it. Raises `BUS_FAULTS`."""
        if self._init:
            await self._create_init(self._init)

    async def _create_init(self, ready: InitReady) -> None:
        subject = HLS_INIT.at(
            stream=self._stream, rendition=self._rendition, generation=str(ready.header.init)
        )
        headers = {EXPECTED_LAST: "0"}
        try:
            await self._bus.js.publish(subject, ready.message(), headers=headers, timeout=PUBLISH_DEADLINE_S)
        except APIError as exc:
            # There already: by us before a lost acknowledgement, or by another worker from the same tags.
            if exc.err_code not in WRONG_LAST_SEQUENCE:
                raise

    async def put(self, part: PartReady) -> None:
        """Write the next part, trying for as long as it takes; raises `RaceLostError`."""
        if self._number_from:
            part = self._renumbered(part)
        message = part.message()
        while True:
            headers = {EXPECTED_LAST: str(self._sequence)}
            try:
                stored = await self._bus.replies.store(self._subject, message, headers, PUBLISH_DEADLINE_S)
            except APIError as exc:
                if exc.err_code in WRONG_LAST_SEQUENCE:
                    if await self._is_stored(part.header):
                        return
                    continue
                await self._wait(exc)
            except BUS_FAULTS as exc:
                await self._wait(exc)
            else:
                self._sequence = stored
                return

    def _renumbered(self, part: PartReady) -> PartReady:
        header, first = part.header, self._number_from
        flags = header.flags if header.msn else header.flags | PartFlags.DISCONTINUITY
        header = replace(
            header, flags=flags, msn=first + header.msn, discontinuity=first + header.discontinuity
        )
        return replace(part, header=header)

    async def expire_inits(self, up_to: int) -> None:
        """Let the init segments of an ended stream go when its last part does, not those of whoever follows.

        Until then a gateway that never saw the stream can still show its last minutes. Raises `BUS_FAULTS`.
        """
        pattern = HLS_INIT.at(stream=self._stream, rendition=self._rendition, generation="0")
        for stored in await direct.last_of_each(
            self._bus, LIVE_HEADERS.name, pattern.rpartition(".")[0] + ".*"
        ):
            if int(HLS_INIT.token(stored.subject, "generation")) > up_to:
                continue
            headers = {
                EXPECTED_LAST: str(stored.sequence),
                "Nats-TTL": f"{INIT_LINGER_S}s",
            }
            try:
                await self._bus.js.publish(
                    stored.subject, stored.data, headers=headers, timeout=PUBLISH_DEADLINE_S
                )
            except APIError as exc:
                if exc.err_code not in WRONG_LAST_SEQUENCE:
                    raise

    async def _is_stored(self, header: PartHeader) -> bool:
        """Whether the newest part is this one, its acknowledgement lost; raises `RaceLostError`."""
        try:
            last = await self.read_last()
        except BUS_FAULTS as exc:
            await self._wait(exc)
            return False
        if last is None:
            return False  # all of it expired, or vanished with its server
        if last.checkpoint.writer != self._writer:
            raise RaceLostError(last)
        return (last.msn, last.part, last.flags) == (header.msn, header.part, header.flags)

    async def _wait(self, exc: Exception) -> None:
        log.warning("part not taken", subject=self._subject, error=repr(exc))
        await asyncio.sleep(RETRY_S)
