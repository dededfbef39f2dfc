"""Answers ingest workers, who have no database: may this RTMP player play that stream?"""

from __future__ import annotations

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from pydantic import ValidationError

from bus_schemas.errors import Refused
from bus_schemas.messages.live import PlayAnswered, PlayAsked
from bus_schemas.subjects import LIVE_PLAY
from gateway.http.problems import AWAY
from gateway.live.admission import Admission
from runtime.bus import Bus
from runtime.logs import get_logger

log = get_logger("live.play_requests")

QUEUE = "gateway"
"""Of all gateways one answers."""


async def answer_plays(bus: Bus, admission: Admission) -> Subscription:
    """Answer until unsubscribed. What cannot be looked up stays unanswered, which denies."""

    async def on_asked(message: Msg) -> None:
        try:
            asked = PlayAsked.model_validate_json(message.data)
        except ValidationError as error:
            log.warning("a play request does not parse", subject=message.subject, error=str(error))
            return
        try:
            await admission.admit(asked.stream, asked.token or None)
            answer = PlayAnswered(stream=asked.stream, allowed=True)
        except Refused as refused:
            answer = PlayAnswered(stream=asked.stream, allowed=False, detail=refused.detail)
        except AWAY as error:
            log.warning("a play request cannot be looked up", stream=asked.stream, error=repr(error))
            return
        try:
            await message.respond(answer.model_dump_json().encode())
        except NatsError as error:
            log.warning("a play request was not answered", stream=asked.stream, error=repr(error))

    return await bus.nc.subscribe(LIVE_PLAY.pattern, queue=QUEUE, cb=on_asked)
