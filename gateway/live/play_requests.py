"""RTMP players: ingest workers, who have no database and no Redis, ask whether one may play, and say when he went."""

from __future__ import annotations

import asyncio
from typing import Final

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from pydantic import ValidationError

from bus_schemas.errors import Refused
from bus_schemas.messages.live import PlayAnswered, PlayAsked
from bus_schemas.subjects import LIVE_PLAY
from bus_schemas.viewers import Protocol
from gateway.http.problems import AWAY
from gateway.live.admission import Admission
from gateway.live.rights import PlayRights
from gateway.live.sessions import Sessions
from gateway.live.viewer_session import Session
from runtime.bus import Bus
from runtime.logs import get_logger
from runtime.tasks import Tasks

log = get_logger("live.play_requests")

QUEUE = "gateway"
"""Of all gateways one answers."""
BEAT_S: Final = 3.0
"""How long a beat may take: the worker waits no longer, and the next one comes soon."""


async def answer_plays(
    bus: Bus, tasks: Tasks, admission: Admission, sessions: Sessions, rights: PlayRights
) -> Subscription:
    """Answer until unsubscribed. What cannot be looked up stays unanswered, which denies."""

    async def on_asked(message: Msg) -> None:
        try:
            asked = PlayAsked.model_validate_json(message.data)
        except ValidationError as error:
            log.warning("a play request does not parse", subject=message.subject, error=str(error))
            return
        # Apart, because a hook may take its time.
        tasks.spawn("play-request", _handle(message, asked, admission, sessions, rights))

    return await bus.nc.subscribe(LIVE_PLAY.pattern, queue=QUEUE, cb=on_asked)


async def _handle(
    message: Msg, asked: PlayAsked, admission: Admission, sessions: Sessions, rights: PlayRights
) -> None:
    if asked.stage == "end":
        await sessions.end_elsewhere(_session(asked))
        return
    try:
        if asked.stage == "beat":
            async with asyncio.timeout(BEAT_S):
                answer = await _on_beat(asked, sessions, rights)
        else:
            answer = await _on_begin(asked, admission, sessions)
    except Refused as refused:
        answer = PlayAnswered(stream=asked.stream, allowed=False, detail=refused.detail)
    except AWAY as error:
        # Beats come by the hundred.
        say = log.debug if asked.stage == "beat" else log.warning
        say("a play request cannot be looked up", stream=asked.stream, error=repr(error))
        return
    if not message.reply:
        return
    try:
        await message.respond(answer.model_dump_json().encode())
    except NatsError as error:
        log.warning("a play request was not answered", stream=asked.stream, error=repr(error))


async def _on_begin(asked: PlayAsked, admission: Admission, sessions: Sessions) -> PlayAnswered:
    row, user = await admission.admit(asked.stream, asked.token or None)
    if asked.session:
        await sessions.begin_elsewhere(row, _session(asked))
    return PlayAnswered(stream=asked.stream, allowed=True, user=user, room=row.room)


async def _on_beat(asked: PlayAsked, sessions: Sessions, rights: PlayRights) -> PlayAnswered:
    # First of all he is there, also where nobody can look his right up: who may not go on says his end himself.
    if asked.session:
        await sessions.beat_elsewhere(_session(asked))
    if not await rights.may_play(asked.stream, asked.user):
        return PlayAnswered(
            stream=asked.stream, allowed=False, detail="You may not play this stream any more."
        )
    return PlayAnswered(stream=asked.stream, allowed=True, user=asked.user)


def _session(asked: PlayAsked) -> Session:
    now = asyncio.get_running_loop().time()
    session = Session(asked.session, asked.stream, Protocol.RTMP, asked.address, now, now, inferred=False)
    session.facts = {
        "client_id": asked.session,
        "ip": asked.address,
        "vhost": "__defaultVhost__",
        "app": "live",
        "stream": asked.stream,
        "param": f"?{asked.query}" if asked.query else "",
        "stream_url": f"/live/{asked.stream}",
        "stream_id": asked.stream,
        "pageUrl": "",
        "protocol": Protocol.RTMP.value,
    }
    return session
