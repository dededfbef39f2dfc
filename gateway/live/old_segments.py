"""Bytes of segments that a gateway has let go of, read from the bus again for those who rewind.

The members of a room rewind together: what one of them wants, all want, at about the same time. So each part
is read once for all of them, and kept for a moment.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from nats.js.errors import NotFoundError

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.parts import PART_HEADER_SIZE
from bus_schemas.streams import PARTS
from gateway.http.problems import AWAY
from gateway.live.segments import Segment
from runtime.bus import Bus
from runtime.tasks import Tasks

KEPT_BYTES: Final = 32 << 20
"""Of one rendition; the newest one is kept whatever its size."""
KEPT_S: Final = 15.0
"""How long a segment is kept after somebody wanted it last."""


@dataclass(slots=True)
class _Kept:
    reading: asyncio.Task[list[bytes] | Exception]
    size: int
    wanted_at: float


class OldSegments:
    """Those of one rendition; asked only for segments of which some bytes are not held any more."""

    def __init__(self, bus: Bus, tasks: Tasks, subject: str) -> None:
        self._bus = bus
        self._tasks = tasks
        self._subject = subject
        self._loop = asyncio.get_running_loop()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def bodies(self, segment: Segment) -> list[bytes]:
        """The bytes of its parts; raises `Refused` not_found where the bus has lost them, and what the bus raises."""
        kept = self._kept.get(segment.name)
        if kept is None:
            reading = self._tasks.spawn(f"old-segment:{self._subject}", self._read(segment))
            kept = self._kept[segment.name] = _Kept(reading, segment.size, 0.0)
            self._make_room()
        kept.wanted_at = self._loop.time()
        self._kept.move_to_end(segment.name)
        found = await asyncio.shield(kept.reading)
        if isinstance(found, Exception):
            if self._kept.get(segment.name) is kept:
                del self._kept[segment.name]
            raise found
        return found

    def forget(self, now: float) -> None:
        """Let go of what nobody has wanted for a while (loop's clock, s)."""
        while self._kept and now - next(iter(self._kept.values())).wanted_at > KEPT_S:
            self._kept.popitem(last=False)

    def _make_room(self) -> None:
        size = sum(kept.size for kept in self._kept.values())
        while size > KEPT_BYTES and len(self._kept) > 1:
            size -= self._kept.popitem(last=False)[1].size

    async def _read(self, segment: Segment) -> list[bytes] | Exception:
        """What went wrong is given back: it is for who asked, and no fault of the task."""
        found: list[bytes] = []
        try:
            for part in list(segment.parts):
                if part.body is not None:
                    found.append(part.body)
                    continue
                message = await self._bus.js.get_msg(PARTS.name, part.sequence, direct=True)
                data = message.data or b""
                # After the stream was made anew its sequences name other messages.
                if message.subject != self._subject or len(data) - PART_HEADER_SIZE != part.size:
                    return gone()
                found.append(data[PART_HEADER_SIZE:])
        except NotFoundError:
            return gone()
        except AWAY as error:
            return error
        return found


def gone() -> Refused:
    """For what the stream has no longer, or never had."""
    return Refused(ErrorCode.NOT_FOUND, "There is no such part of the stream, or no longer.")
