"""What the NATS server itself says, as far as Matinee listens."""

from __future__ import annotations

from typing import Literal

from bus_schemas.messages.base import Shape


class DeliveriesExhausted(Shape):
    """Advisory: a message was delivered `max_deliver` times, and nobody answered the last one."""

    type: Literal["io.nats.jetstream.advisory.v1.max_deliver"]
    stream: str
    consumer: str
    stream_seq: int
    deliveries: int
