"""Publishing control messages: the type checker holds subject and payload together."""

from __future__ import annotations

import re
from typing import Final, TypeVar

from pydantic import BaseModel

from bus_schemas.messages.base import TOKEN_PATTERN
from bus_schemas.messages.room import CommandReply
from bus_schemas.subjects import REPLY, Subject
from runtime import trace
from runtime.bus import Bus

M = TypeVar("M", bound=BaseModel)

MSG_ID = "Nats-Msg-Id"
STREAM = "Nats-Expected-Stream"
_REPLY: Final = re.compile(REPLY.pattern.replace(".", r"\.").replace("*", TOKEN_PATTERN))


def headers_for(subject: Subject[M], msg_id: str | None = None) -> dict[str, str]:
    """What every control message carries: the trace, its stream, and an id where doubles would hurt."""
    headers = {trace.HEADER: trace.current()}
    if subject.stream is not None:
        headers[STREAM] = subject.stream
    if msg_id is not None:
        headers[MSG_ID] = msg_id
    return headers


async def emit(bus: Bus, subject: Subject[M], message: M, *, msg_id: str | None = None, **tokens: str) -> int:
    """Publish; for a stream wait for its acknowledgement and give the sequence, else give 0."""
    body = message.model_dump_json().encode()
    headers = headers_for(subject, msg_id)
    where = subject.at(**tokens)
    if subject.stream is None:
        await bus.nc.publish(where, body, headers=headers)
        return 0
    return (await bus.js.publish(where, body, headers=headers)).seq


async def answer(bus: Bus, reply_subject: str | None, reply: CommandReply) -> None:
    """Answer a command where its sender waits, if it said where; a place that is no reply subject gets nothing."""
    if reply_subject is not None and _REPLY.fullmatch(reply_subject):
        await bus.nc.publish(
            reply_subject, reply.model_dump_json(exclude_none=True).encode(), headers=headers_for(REPLY)
        )
