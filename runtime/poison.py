"""Failing well (DESIGN.md §3): what cannot be read is set aside, what failed is tried again, later, and not for ever.

`Poison` is the middleware around every handler of a FastStream broker; it also carries the trace of
the incoming message and counts. `take_dead` is the handler of the max-deliveries advisories: it
sets aside the messages whose worker died with their last delivery in hand.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from faststream import BaseMiddleware, ContextRepo
from faststream.exceptions import HandlerException, NackMessage, RejectMessage
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from bus_schemas.messages.room import DeadLetter
from bus_schemas.messages.server import DeliveriesExhausted
from bus_schemas.streams import STREAMS, ConsumerSpec
from bus_schemas.subjects import DLQ
from runtime import trace
from runtime.bus import Bus
from runtime.clock import now_ms
from runtime.emit import emit
from runtime.logs import get_logger
from runtime.metrics import Metrics

log = get_logger("poison")

REASON_MAX: Final = 500
"""Characters of a reason: a validation error can be as long as the message that caused it."""
DLQ_RETRY_S: Final = 1.0
"""When the dead letters themselves cannot be written, the message comes back after this."""


class Unreadable(Exception):
    """The body is not what its subject carries: no delivery will ever be better."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Deliver it again after `delay_s`."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class SetAside:
    """No further delivery: to the dead letters, for this `label` (of a metric) and this reason."""

    label: str
    reason: str


def verdict(error: Exception, deliveries: int, consumer: ConsumerSpec) -> Retry | SetAside:
    """What becomes of a message whose handling raised `error` at its n-th delivery (from 1)."""
    if isinstance(error, Unreadable):
        return SetAside("unreadable", str(error)[:REASON_MAX])
    if 0 < consumer.max_deliver <= deliveries:
        return SetAside("failed", f"{type(error).__name__}: {error}"[:REASON_MAX])
    if not consumer.backoff_s:
        return Retry(consumer.ack_wait_s)
    return Retry(consumer.backoff_s[min(deliveries, len(consumer.backoff_s)) - 1])


@dataclass(frozen=True, slots=True)
class Source:
    """Where a broker's messages come from, by the name of their consumer."""

    template: str
    consumer: ConsumerSpec


class Poison:
    """The middleware factory of one broker: `NatsBroker(middlewares=[Poison(…)])`."""

    def __init__(self, bus: Bus, metrics: Metrics, sources: Mapping[str, Source]) -> None:
        self.bus = bus
        self.metrics = metrics
        self.sources = sources

    def __call__(self, msg: Any, /, *, context: ContextRepo) -> BaseMiddleware[Any, Any]:
        """The guard of one message."""
        return _Guard(msg, context=context, poison=self)

    async def set_aside(
        self, stream: str, sequence: int, subject: str, body: bytes, deliveries: int, why: SetAside
    ) -> None:
        """Write the dead letter; twice for one message is once."""
        letter = DeadLetter(
            subject=subject,
            stream=stream,
            reason=f"{why.label}: {why.reason}",
            deliveries=deliveries,
            at=now_ms(),
            body_base64=base64.b64encode(body).decode(),
        )
        await emit(self.bus, DLQ, letter, msg_id=f"{stream}-{sequence}", stream=stream)
        self.metrics.counter("matinee_dead_letters_total").labels(stream, why.label).inc()
        log.error(
            "set aside", subject=subject, stream_sequence=sequence, deliveries=deliveries, why=why.reason
        )


class _Guard(BaseMiddleware[Any, Msg]):
    """One message's way through its handler."""

    __slots__ = ("_poison", "_started")

    def __init__(self, msg: Msg, /, *, context: ContextRepo, poison: Poison) -> None:
        super().__init__(msg, context=context)
        self._poison = poison
        self._started = 0.0

    async def on_receive(self) -> None:
        """Go on with the sender's trace."""
        self._started = time.perf_counter()
        headers = self.msg.headers
        trace.enter(headers.get(trace.HEADER) if headers else None)

    async def after_processed(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> bool | None:
        """Count; turn an error into a nack with its delay, or into a dead letter and a termination."""
        metadata = self.msg.metadata
        source = self._poison.sources[metadata.consumer]
        metrics = self._poison.metrics
        metrics.histogram("matinee_handle_seconds").labels(source.template).observe(
            time.perf_counter() - self._started
        )
        handled = metrics.counter("matinee_handled_total")
        if exc_val is None:
            handled.labels(source.template, "ok").inc()
            return False
        if isinstance(exc_val, HandlerException) or not isinstance(exc_val, Exception):
            return False  # the handler chose an answer itself, or the process stops
        deliveries = metadata.num_delivered
        decided = verdict(exc_val, deliveries, source.consumer)
        if isinstance(decided, Retry):
            handled.labels(source.template, "retried").inc()
            log.warning(
                "handler failed", subject=self.msg.subject, deliveries=deliveries, again_in_s=decided.delay_s,
                exc_info=exc_val,
            )  # fmt: skip
            raise NackMessage(delay=decided.delay_s)
        handled.labels(source.template, decided.label).inc()
        try:
            await self._poison.set_aside(
                metadata.stream,
                metadata.sequence.stream,
                self.msg.subject,
                self.msg.data,
                deliveries,
                decided,
            )
        except (NatsError, TimeoutError) as error:
            log.error("dead letter not taken", subject=self.msg.subject, error=repr(error))
            # After the last delivery this brings the advisory, and with it `take_dead`.
            raise NackMessage(delay=DLQ_RETRY_S) from error
        raise RejectMessage


async def take_dead(poison: Poison, advisory: DeliveriesExhausted) -> None:
    """Set aside the message of an advisory, and take it out of a work queue, where it would lie for ever."""
    spec = next((spec for spec in STREAMS if spec.name == advisory.stream), None)
    if spec is None:
        return
    try:
        message = await poison.bus.js.get_msg(advisory.stream, advisory.stream_seq)
    except NotFoundError:
        return
    why = SetAside("abandoned", f"consumer {advisory.consumer} never answered its last delivery")
    await poison.set_aside(
        advisory.stream,
        advisory.stream_seq,
        message.subject or "",
        message.data or b"",
        advisory.deliveries,
        why,
    )
    if spec.retention == "workqueue":
        await poison.bus.request_api(
            f"STREAM.MSG.DELETE.{advisory.stream}", {"seq": advisory.stream_seq, "no_erase": True}
        )
