"""Answers of workers to what this gateway asked of them: one subscription, futures by id."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from pydantic import ValidationError

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.messages.room import CommandReply
from bus_schemas.subjects import REPLY
from runtime.bus import Bus
from runtime.logs import get_logger

log = get_logger("ws.replies")


class Replies:
    """`reply.{node}.*`: the first answer to an id counts, later ones and unknown ids do not."""

    def __init__(self, bus: Bus, node: str) -> None:
        self._bus = bus
        self._node = node
        self._waiting: dict[str, asyncio.Future[CommandReply]] = {}
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Listen; the client library subscribes again after a reconnect."""
        pattern = REPLY.template.format(node=self._node, id="*")
        self._subscription = await self._bus.nc.subscribe(pattern, cb=self._on_reply)

    async def stop(self) -> None:
        """Listen no more; whoever waits is told `unavailable`."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(_unavailable())
        if self._subscription is not None and not self._bus.nc.is_closed:
            await self._subscription.unsubscribe()

    def subject(self, reply_id: str) -> str:
        """Where the answer to this id is to be sent."""
        return REPLY.at(node=self._node, id=reply_id)

    @contextmanager
    def expect(self, reply_id: str) -> Iterator[asyncio.Future[CommandReply]]:
        """The answer that will come to this id, as long as the block lasts."""
        future: asyncio.Future[CommandReply] = asyncio.get_running_loop().create_future()
        self._waiting[reply_id] = future
        try:
            yield future
        finally:
            del self._waiting[reply_id]
            if future.done() and not future.cancelled():
                future.exception()  # Looked at, so that one nobody waited for is no warning.

    async def _on_reply(self, message: Msg) -> None:
        future = self._waiting.get(REPLY.token(message.subject, "id"))
        if future is None or future.done():
            return
        try:
            future.set_result(CommandReply.model_validate_json(message.data))
        except ValidationError as exc:
            log.error("reply that cannot be read", subject=message.subject, error=str(exc)[:300])


def outcome(reply: CommandReply) -> CommandReply:
    """The reply of a worker that did it; raises `Refused` as one that did not says."""
    if reply.ok:
        return reply
    try:
        code = ErrorCode(reply.code or "")
    except ValueError:
        code = ErrorCode.UNAVAILABLE
    state = reply.state.model_dump(mode="json") if reply.state is not None else None
    raise Refused(code, reply.detail or "It was not done.", state=state, retry_after=reply.retry_after)


def _unavailable() -> Refused:
    return Refused(ErrorCode.UNAVAILABLE, "This server is going away: ask another one.", retry_after=1)
