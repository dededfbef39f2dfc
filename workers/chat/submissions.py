"""Handling of what members submit: filter, store, publish, answer, in that order.

A worker may die after any line. The submission then comes again: the store knows the message by its
client_id, the bus knows the event by the message's id, and the answer is given again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from bus_schemas.errors import ErrorCode
from bus_schemas.messages.room import (
    ChatDeleted,
    ChatDeleteRequested,
    ChatPosted,
    ChatSubmitted,
    CommandReply,
    DanmakuPosted,
    DanmakuSubmitted,
    RoomEvent,
)
from runtime.metrics import Metrics
from workers.chat import rules
from workers.chat.rules import Filter, Refusal
from workers.chat.store import Messages, RoomGone

Answer = Callable[[str | None, CommandReply], Awaitable[None]]


class Room(Protocol):
    """The ears of a room's members."""

    async def event(self, room: str, event: RoomEvent, msg_id: str) -> None:
        """Append to the room's events; the same `msg_id` twice is once."""

    async def danmaku(self, room: str, danmaku: DanmakuPosted, msg_id: str) -> None:
        """Fly over the picture; the same `msg_id` twice is once."""


class Submissions:
    """The handlers of a chat worker."""

    def __init__(
        self,
        messages: Messages,
        room: Room,
        answer: Answer,
        words: Filter,
        metrics: Metrics,
        now_ms: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._messages = messages
        self._room = room
        self._answer = answer
        self._filter = words
        self._metrics = metrics
        self._now_ms = now_ms
        self._new_id = new_id

    async def on_chat(self, submitted: ChatSubmitted) -> None:
        """A message on its way to the room."""
        client_id = rules.client_id(submitted.client_id)
        text = self._filter.chat(submitted.text)
        if isinstance(client_id, Refusal):
            return await self._refuse("chat", submitted, client_id)
        if isinstance(text, Refusal):
            return await self._refuse("chat", submitted, text)
        try:
            stored = await self._messages.add(self._new_id(), submitted, text, self._now_ms())
        except RoomGone:
            return await self._refuse(
                "chat", submitted, Refusal(ErrorCode.NOT_FOUND, "There is no such room.")
            )
        message = stored.message
        if not stored.posted:
            posted = ChatPosted(
                room=submitted.room, at=message.at, message=message, client_id=submitted.client_id
            )
            await self._room.event(submitted.room, RoomEvent(posted), message.id)
        await self._answer(submitted.reply_subject, CommandReply(id=submitted.id, ok=True, message=message))
        if not stored.posted:
            await self._messages.mark_posted(message.id)
        self._count("chat", "resent" if stored.posted else "posted")
        return None

    async def on_delete(self, asked: ChatDeleteRequested) -> None:
        """A message is to go; whether the asker may was decided at the edge."""
        if not await self._messages.remove(asked.room, asked.message_id):
            return await self._refuse(
                "delete", asked, Refusal(ErrorCode.NOT_FOUND, "There is no such message.")
            )
        deleted = ChatDeleted(room=asked.room, at=self._now_ms(), message_id=asked.message_id, by=asked.by)
        await self._room.event(asked.room, RoomEvent(deleted), f"deleted-{asked.message_id}")
        await self._answer(asked.reply_subject, CommandReply(id=asked.id, ok=True))
        self._count("delete", "deleted")
        return None

    async def on_danmaku(self, submitted: DanmakuSubmitted) -> None:
        """A danmaku on its way over the picture; nothing of it is stored."""
        client_id = rules.client_id(submitted.client_id)
        text = self._filter.danmaku(submitted.text)
        color = rules.color(submitted.color)
        if isinstance(client_id, Refusal):
            return await self._refuse("danmaku", submitted, client_id)
        if isinstance(text, Refusal):
            return await self._refuse("danmaku", submitted, text)
        if isinstance(color, Refusal):
            return await self._refuse("danmaku", submitted, color)
        posted = DanmakuPosted(
            room=submitted.room,
            user=submitted.user,
            text=text,
            color=color,
            mode=submitted.mode,
            size=submitted.size,
            at=submitted.at,
        )
        # Hashed: a client_id is free text, a header is not.
        name = f"{submitted.room}\0{submitted.user.id}\0{client_id}"
        await self._room.danmaku(
            submitted.room, posted, hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
        )
        await self._answer(submitted.reply_subject, CommandReply(id=submitted.id, ok=True))
        self._count("danmaku", "posted")
        return None

    async def _refuse(
        self, kind: str, asked: ChatSubmitted | ChatDeleteRequested | DanmakuSubmitted, why: Refusal
    ) -> None:
        self._count(kind, why.code)
        reply = CommandReply(id=asked.id, ok=False, code=why.code, detail=why.detail)
        await self._answer(asked.reply_subject, reply)

    def _count(self, kind: str, outcome: str) -> None:
        self._metrics.counter("matinee_chat_messages_total").labels(kind, outcome).inc()
