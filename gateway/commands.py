"""What members ask of the workers: playback, chat, danmaku. One way for HTTP and socket alike.

A request is published under an id of its own, again and again until its deadline, until a worker
answers: workers know an id they have served, so asking twice does nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from nats.errors import Error as NatsError
from nats.js.errors import APIError

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.messages.room import (
    ChatDeleteRequested,
    ChatSubmitted,
    CommandReply,
    DanmakuMode,
    DanmakuSize,
    DanmakuSubmitted,
    PlaybackAction,
    PlaybackChanged,
    PlaybackRequested,
)
from bus_schemas.messages.shapes import ChatMessage, PlaybackState
from bus_schemas.permissions import PLAYBACK_PERMISSION, Permission
from bus_schemas.streams import ROOMS
from bus_schemas.subjects import CHAT_DELETE, CHAT_SUBMIT, DANMAKU_SUBMIT, ROOM_COMMAND, Subject
from gateway.membership import Membership, require
from gateway.rate_limits import RateLimits
from gateway.ws.frames import PlaybackCommand
from gateway.ws.replies import Replies, outcome
from runtime.bus import Bus
from runtime.clock import now_ms
from runtime.emit import emit
from runtime.ids import new_id
from runtime.kv import Bucket
from runtime.settings import LimitSettings

Request = TypeVar("Request", PlaybackRequested, ChatSubmitted, ChatDeleteRequested, DanmakuSubmitted)

DEADLINE_S: Final = 6.0
"""From asking to `unavailable`: over a restart of a worker or of NATS."""
PUBLISH_S: Final = 1.5
RETRY_S: Final = 0.25
ASK_AGAIN_S: Final = 2.5
"""Without an answer for so long the request is published again: its message may have died with a server."""


class Commands:
    """Checks what a member may, asks the worker, gives its answer; raises `Refused`."""

    def __init__(
        self,
        bus: Bus,
        replies: Replies,
        limits: RateLimits,
        settings: LimitSettings,
        slowest_rtt: Callable[[str], Awaitable[float]],
    ) -> None:
        self._bus = bus
        self._replies = replies
        self._limits = limits
        self._settings = settings
        self._slowest_rtt = slowest_rtt
        self._states = Bucket(bus.js, ROOMS)

    async def state(self, room: str) -> PlaybackState:
        """The room's playback state now; a room that never played has the first one."""
        entry = await self._states.get(room)
        return PlaybackChanged.model_validate_json(entry.value).state if entry else PlaybackState()

    async def playback(self, member: Membership, command: PlaybackCommand) -> PlaybackState:
        """Change the room's playback; `conflict` carries the state that the command did not know."""
        require(member, PLAYBACK_PERMISSION[command.action])
        room = member.room.id
        self._limits.take_now("playback", f"{room}.{member.user.id}", self._settings.commands_per_second)
        request_id = new_id()
        request = PlaybackRequested(
            id=request_id,
            room=room,
            action=PlaybackAction(command.action),
            position=command.position,
            rate=command.rate,
            item=command.item,
            mode=command.mode,
            revision=command.revision,
            by=member.ref,
            rtt_ms=min(60_000.0, await self._slowest_rtt(room)),
            wait=member.room.settings.wait == "wait",
            reply_subject=self._replies.subject(request_id),
        )
        reply = await self._ask(ROOM_COMMAND, request)
        if reply.state is None:
            raise _unanswered()
        return reply.state

    async def chat(
        self, member: Membership, *, client_id: str, text: str, reply_to: str | None = None
    ) -> ChatMessage:
        """Say something; the answer means filtered, numbered and stored."""
        require(member, Permission.SEND_CHAT)
        room = member.room.id
        self._limits.take_now("chat", f"{room}.{member.user.id}", self._settings.chat_per_second)
        request_id = new_id()
        request = ChatSubmitted(
            id=request_id,
            room=room,
            client_id=client_id,
            user=member.ref,
            text=text,
            reply_to=reply_to,
            at=now_ms(),
            reply_subject=self._replies.subject(request_id),
        )
        reply = await self._ask(CHAT_SUBMIT, request)
        if reply.message is None:
            raise _unanswered()
        return reply.message

    async def danmaku(
        self,
        member: Membership,
        *,
        client_id: str,
        text: str,
        color: str,
        mode: DanmakuMode,
        size: DanmakuSize,
    ) -> None:
        """Send a line over the picture."""
        require(member, Permission.SEND_DANMAKU)
        room = member.room.id
        self._limits.take_now("danmaku", f"{room}.{member.user.id}", self._settings.danmaku_per_second)
        request_id = new_id()
        request = DanmakuSubmitted(
            id=request_id,
            room=room,
            client_id=client_id,
            user=member.ref,
            text=text,
            color=color,
            mode=mode,
            size=size,
            at=now_ms(),
            reply_subject=self._replies.subject(request_id),
        )
        await self._ask(DANMAKU_SUBMIT, request)

    async def delete_message(self, member: Membership, message: str) -> None:
        """Take a message away."""
        require(member, Permission.DELETE_CHAT)
        request_id = new_id()
        request = ChatDeleteRequested(
            id=request_id,
            room=member.room.id,
            message_id=message,
            by=member.ref,
            reply_subject=self._replies.subject(request_id),
        )
        await self._ask(CHAT_DELETE, request)

    async def _ask(self, subject: Subject[Request], request: Request) -> CommandReply:
        """Publish until answered; raises `Refused`: what the worker says, or unavailable at the deadline."""
        with self._replies.expect(request.id) as answer:
            try:
                async with asyncio.timeout(DEADLINE_S):
                    attempt = 0
                    while not answer.done():
                        try:
                            async with asyncio.timeout(PUBLISH_S):
                                # Each attempt is a message of its own: a work queue forgets what it delivered.
                                await emit(
                                    self._bus,
                                    subject,
                                    request,
                                    msg_id=f"{request.id}-{attempt}",
                                    room=request.room,
                                )
                            attempt += 1
                            wait = ASK_AGAIN_S
                        except (NatsError, APIError, TimeoutError):
                            wait = RETRY_S
                        await asyncio.wait({answer}, timeout=wait)
                    return outcome(answer.result())
            except TimeoutError:
                raise _unanswered() from None


def _unanswered() -> Refused:
    return Refused(
        ErrorCode.UNAVAILABLE, "Nobody answered in time: it may or may not have been done.", retry_after=1
    )
