"""Batched direct reads of a stream: one request, many messages, no consumer made (NATS ADR-31)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import ServiceUnavailableError

from runtime.bus import Bus

DEADLINE_S: Final = 3.0
BATCH: Final = 256
BATCH_BYTES: Final = 4 << 20
"""What a batch of `replay` may hold, beside the message that goes over it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One message as the stream keeps it."""

    subject: str
    sequence: int
    data: bytes
    at: str
    """When the server stored it, RFC 3339, by its own clock."""
    pending: int = 0
    """Messages of the same read that follow."""


Sink = Callable[[Stored], Awaitable[None]]


async def replay(
    bus: Bus,
    stream: str,
    subject: str,
    sink: Sink,
    *,
    sequence: int = 1,
    since: str | None = None,
    deadline_s: float = DEADLINE_S,
) -> int:
    """Give `sink` what is stored on `subject` (wildcards allowed), in order; gives how many messages.

    From the stream sequence `sequence` on, or, where given, from what was stored at `since` (RFC 3339).
    The deadline is that of one batch, without what `sink` takes. Raises TimeoutError and nats' errors.
    """
    body: dict[str, Any] = {"next_by_subj": subject, "batch": BATCH, "max_bytes": BATCH_BYTES}
    body |= {"seq": max(1, sequence)} if since is None else {"start_time": since}
    count = 0
    while True:
        async with asyncio.timeout(deadline_s):
            batch, pending = await _batch(bus, stream, body)
        count += len(batch)
        for stored in batch:
            await sink(stored)
        if not batch or not pending:
            return count
        body.pop("start_time", None)
        body["seq"] = batch[-1].sequence + 1


async def after(
    bus: Bus, stream: str, subject: str, sequence: int, *, deadline_s: float = DEADLINE_S
) -> list[Stored]:
    """All messages on `subject` with a sequence above `sequence`, in order.

    Raises TimeoutError past the deadline, and nats' errors.
    """
    found: list[Stored] = []
    async with asyncio.timeout(deadline_s):
        while True:
            body = {"seq": sequence + 1, "next_by_subj": subject, "batch": BATCH}
            batch, pending = await _batch(bus, stream, body)
            found += batch
            if not batch or not pending:
                return found
            sequence = batch[-1].sequence


async def last_of_each(bus: Bus, stream: str, *patterns: str, deadline_s: float = DEADLINE_S) -> list[Stored]:
    """The newest message of every subject that matches a pattern, at most 1,024; raises like `after`."""
    if not patterns:
        return []
    async with asyncio.timeout(deadline_s):
        found, _ = await _batch(bus, stream, {"multi_last": list(patterns)})
        return found


async def exists(bus: Bus, stream: str, sequence: int, *, deadline_s: float = DEADLINE_S) -> bool:
    """Whether the stream still holds the message with this sequence; raises like `after`."""
    if sequence < 1:
        return False
    body = json.dumps({"seq": sequence}).encode()
    reply = await bus.nc.request(f"$JS.API.DIRECT.GET.{stream}", body, timeout=deadline_s)
    return "Status" not in (reply.headers or {})


async def last(bus: Bus, stream: str, subject: str, *, deadline_s: float = DEADLINE_S) -> Stored | None:
    """The newest message of one subject; raises like `after`."""
    reply = await bus.nc.request(f"$JS.API.DIRECT.GET.{stream}.{subject}", b"", timeout=deadline_s)
    headers = reply.headers or {}
    return None if "Status" in headers else _stored(headers, reply)


def _stored(headers: dict[str, str], message: Msg) -> Stored:
    return Stored(
        headers["Nats-Subject"],
        int(headers["Nats-Sequence"]),
        message.data,
        headers["Nats-Time-Stamp"],
        int(headers.get("Nats-Num-Pending", "0")),
    )


async def _batch(bus: Bus, stream: str, body: dict[str, Any]) -> tuple[list[Stored], int]:
    """One batch, and how many more there are."""
    inbox = bus.nc.new_inbox()
    answers: asyncio.Queue[Msg] = asyncio.Queue()

    async def collect(message: Msg) -> None:
        answers.put_nowait(message)

    subscription = await bus.nc.subscribe(inbox, cb=collect)
    found: list[Stored] = []
    try:
        await bus.nc.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(body).encode(), reply=inbox)
        while True:
            message = await answers.get()
            headers = message.headers or {}
            status = headers.get("Status")
            if status is None:
                found.append(_stored(headers, message))
            elif status == "204":
                return found, int(headers.get("Nats-Num-Pending", "0"))
            elif status == "404":
                return found, 0
            elif status == "503":
                raise ServiceUnavailableError
            else:
                raise NatsError(f"direct get of {stream}: status {status}")
    finally:
        if not bus.nc.is_closed:
            await subscription.unsubscribe()
