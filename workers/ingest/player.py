"""A connection as a player: admitted by a gateway, fed from the stream's ring, told how it ended."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final, Literal

from nats.errors import Error as NatsError
from pydantic import ValidationError

from bus_schemas.messages.base import TOKEN
from bus_schemas.messages.live import PlayAnswered, PlayAsked, PlayRightsChanged
from bus_schemas.subjects import LIVE_PLAY
from runtime.bus import Bus
from runtime.ids import new_id
from runtime.logs import get_logger
from runtime.metrics import Metrics
from runtime.tasks import Tasks
from workers.ingest.audience import Ending
from workers.ingest.broadcast import Broadcast, Broadcasts
from workers.ingest.link import Link
from workers.ingest.rtmp.events import PlayRequested

log = get_logger("player")

ASK_DEADLINE_S: Final = 2.0
"""For a gateway's answer, besides what hooks may take; and for a look at the bus."""
BEAT_S: Final = 4.0
"""Between words to the gateways that he is still there; he counts for 12 s after the last. What they answer
says whether he still may play."""
MAX_NAME: Final = 64
MAX_TOKEN: Final = 4_096
MAX_QUERY: Final = 500
Stage = Literal["begin", "beat", "end"]
_NOT_FOUND: Final = "NetStream.Play.StreamNotFound"
_FAILED: Final = "NetStream.Play.Failed"


class PlayRefusedError(Exception):
    """A player is not let in: the RTMP status code and a sentence for him."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


@dataclass(frozen=True, slots=True)
class PlayerSurroundings:
    """What all players of a process share."""

    bus: Bus
    tasks: Tasks
    metrics: Metrics
    broadcasts: Broadcasts
    hooks_s: float
    """How long hooks may take to allow a play."""


class Player:
    """Acts on what the connection says of its play; one play at a time."""

    def __init__(self, link: Link, around: PlayerSurroundings) -> None:
        self._link = link
        self._around = around
        self._request: PlayRequested | None = None
        self._broadcast: Broadcast | None = None
        self._session = ""
        self._user: str | None = None
        self._room: str | None = None
        self._began = 0.0
        self._beat: asyncio.Task[None] | None = None

    @property
    def stream_id(self) -> int:
        """The message stream he plays on."""
        return self._request.stream_id if self._request is not None else 0

    @property
    def playing(self) -> bool:
        """Whether he gets media now."""
        return self._broadcast is not None

    @property
    def stream(self) -> str:
        """The id of the stream he plays, if he does."""
        return self._broadcast.stream if self._broadcast is not None else ""

    def ask(self, request: PlayRequested) -> None:
        """The peer wants to play."""
        self._request = request
        self._link.pause("admission")
        self._around.tasks.spawn(f"play:{self._link.id}", self._admit(request))

    def stop(self) -> None:
        """The peer wants no more, or is gone."""
        broadcast, self._broadcast = self._broadcast, None
        self._request = None
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        if broadcast is not None:
            lasted_s = round(asyncio.get_running_loop().time() - self._began)
            over = self._asked(broadcast.stream, "end", duration_s=lasted_s)
            self._around.tasks.spawn(f"play-end:{self._link.id}", self._tell(over))
            log.info(
                "stopped",
                connection=self._link.id,
                stream=broadcast.stream,
                drops=broadcast.audience.drops(self),
            )
            broadcast.audience.remove(self)
            self._link.became(None)

    def rights_changed(self, changed: PlayRightsChanged) -> None:
        """Somebody's right to play has changed: if it may be his, ask again."""
        broadcast = self._broadcast
        if broadcast is not None and changed.concerns(
            room=self._room, stream=broadcast.stream, user=self._user
        ):
            self._around.tasks.spawn(f"play-rights:{self._link.id}", self._say_beat(broadcast.stream))

    def send(self, chunks: bytes) -> None:
        """Write these."""
        self._link.send(chunks)

    def waiting(self) -> int:
        """Bytes written that the socket did not take yet."""
        return self._link.unsent()

    def over(self, ending: Ending) -> None:
        """Nothing more comes: the stream is over, or he took nothing for too long."""
        request, link = self._request, self._link
        if request is None or link.closing:
            return
        self.stop()
        if ending is Ending.STALLED:
            link.connection.refuse(request, _FAILED, "you take too little: the connection is too slow")
        elif ending is Ending.DENIED:
            link.connection.refuse(request, _FAILED, "you may not play this stream any more")
        else:
            link.connection.end_play(request, "the stream is over")
        link.write()
        link.close(f"play {ending.value}", ending.value)

    async def _admit(self, request: PlayRequested) -> None:
        link = self._link
        try:
            async with asyncio.timeout(2 * ASK_DEADLINE_S + self._around.hooks_s):
                broadcast = await self._open(request)
        except PlayRefusedError as refused:
            self._refuse(request, refused)
        except (NatsError, TimeoutError) as error:
            log.warning("player not admitted", connection=link.id, error=repr(error))
            sentence = "the server cannot look the stream up now, try again"
            self._refuse(request, PlayRefusedError(_FAILED, sentence))
        else:
            if link.closing or self._request is not request:
                await self._tell(self._asked(broadcast.stream, "end"))
                return
            link.connection.accept(request)
            link.write()
            self._broadcast = broadcast
            self._began = asyncio.get_running_loop().time()
            self._beat = self._around.tasks.spawn(f"play-beat:{link.id}", self._go_on(broadcast.stream))
            link.became(broadcast.stream)
            log.info("plays", connection=link.id, peer=link.address, stream=broadcast.stream)
            broadcast.audience.add(self)
        finally:
            link.resume("admission")

    async def _open(self, request: PlayRequested) -> Broadcast:
        """The stream, where he may play it and somebody publishes it; raises `PlayRefusedError`."""
        stream = request.stream
        if len(stream) > MAX_NAME or len(request.token) > MAX_TOKEN or not TOKEN.fullmatch(stream):
            raise PlayRefusedError(_NOT_FOUND, "there is no such stream")
        self._session = new_id()
        query = request.query[:MAX_QUERY].encode("utf-8", "replace").decode()
        asked = self._asked(stream, "begin", token=request.token, query=query)
        deadline_s = ASK_DEADLINE_S + self._around.hooks_s
        reply = await self._around.bus.nc.request(
            LIVE_PLAY.at(stream=stream), asked.model_dump_json().encode(), timeout=deadline_s
        )
        try:
            answer = PlayAnswered.model_validate_json(reply.data)
        except ValidationError as error:
            log.error("a gateway's answer does not parse", stream=stream, error=str(error))
            raise PlayRefusedError(_FAILED, "the server cannot look the stream up now") from error
        if not answer.allowed:
            raise PlayRefusedError(_FAILED, answer.detail or "you may not play this stream")
        self._user, self._room = answer.user, answer.room
        broadcast = None
        try:
            broadcast = await self._around.broadcasts.open(stream)
        finally:
            if broadcast is None:
                # Counted already, and hooks may have been asked.
                await self._tell(self._asked(stream, "end"))
        if broadcast is None:
            raise PlayRefusedError(_NOT_FOUND, "nobody publishes this stream now")
        return broadcast

    def _asked(self, stream: str, stage: Stage, **more: Any) -> PlayAsked:
        return PlayAsked(
            stream=stream, stage=stage, session=self._session, address=self._link.address, **more
        )

    async def _go_on(self, stream: str) -> None:
        """Say that he still plays, until cancelled."""
        while True:
            await asyncio.sleep(BEAT_S)
            await self._say_beat(stream)

    async def _say_beat(self, stream: str) -> None:
        """Say that he still plays; where a gateway answers that he may not any more, he does not."""
        beat = self._asked(stream, "beat", user=self._user)
        try:
            reply = await self._around.bus.nc.request(
                LIVE_PLAY.at(stream=stream), beat.model_dump_json().encode(), timeout=ASK_DEADLINE_S
            )
            answer = PlayAnswered.model_validate_json(reply.data)
        except (NatsError, TimeoutError, ValidationError) as error:
            # Who plays goes on while nobody can be asked.
            log.debug("a beat was not answered", connection=self._link.id, error=repr(error))
            return
        if not answer.allowed and beat.session == self._session and self.playing:
            log.info("may not play any more", connection=self._link.id, stream=stream)
            self.over(Ending.DENIED)

    async def _tell(self, said: PlayAsked) -> None:
        try:
            await self._around.bus.nc.publish(
                LIVE_PLAY.at(stream=said.stream), said.model_dump_json().encode()
            )
        except NatsError as error:
            log.debug("gateways not told of a player", connection=self._link.id, error=repr(error))

    def _refuse(self, request: PlayRequested, refused: PlayRefusedError) -> None:
        link = self._link
        if link.closing or self._request is not request:
            return
        self._request = None
        link.connection.refuse(request, refused.code, refused.description)
        link.write()
        link.close(f"play refused: {refused.description}", "refused")
