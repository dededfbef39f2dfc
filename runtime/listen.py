"""Messages of a plain subject, handed on as the client parses them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from runtime.logs import get_logger

log = get_logger("listen")


class _Listener:
    """Stands in for the `future` that the client gives a message to, again and again.

    With a callback each message would pass a queue and wake a task, which for media costs more than all that is
    done with it.
    """

    def __init__(self, subject: str, on_message: Callable[[Msg], None]) -> None:
        self._subject = subject
        self._on_message = on_message

    def cancelled(self) -> bool:
        """Never: the subscription ends by `unsubscribe`."""
        return False

    def set_result(self, message: Msg) -> None:
        """Take a message; whatever comes of it, the reader of the whole connection goes on."""
        try:
            self._on_message(message)
        except Exception:
            log.exception("a message was not taken", subject=self._subject)


async def listen(nc: Client, subject: str, on_message: Callable[[Msg], None]) -> Subscription:
    """Subscribe; `on_message` is called in the client's reader, so it must be quick and never wait.

    Nothing is queued: a bound is the listener's own. Raises nats' errors.
    """
    listener = _Listener(subject, on_message)
    return await nc.subscribe(subject, future=cast("asyncio.Future[Msg]", listener))
