"""One socket: its frames in, its rooms, its answers out (DESIGN.md §8).

Frames are taken one after the other. What needs a worker goes on a lane, so that one command and one
chat message of a connection are under way at a time and the rest follow in their order; clock samples
and pings wait for nothing but a `join` in front of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import WSMsgType, web

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.limits import SOCKET_FRAME_MAX
from bus_schemas.messages.shapes import ChatMessage, PlaybackState, User
from bus_schemas.permissions import MemberState, Permission
from bus_schemas.socket_frames import (
    CLOSE_ABUSIVE,
    CLOSE_NOT_TEXT,
    CLOSE_TOO_LARGE,
    CLOSE_UNAUTHENTICATED,
    Ack,
    FrameId,
    Kicked,
    PlayToken,
    Pong,
    TimeAnswer,
)
from gateway.auth.principal import Principal
from gateway.db.streams import StreamRow
from gateway.http.problems import as_refused
from gateway.membership import Membership, check_active, join, membership, no_such_room, waiting
from gateway.ws import entry, frames
from gateway.ws.channel import Channel
from gateway.ws.frames import (
    AnyFrame,
    Auth,
    Chat,
    Danmaku,
    FrameError,
    Join,
    Leave,
    Ping,
    Playback,
    Report,
    Time,
    answer,
    text_frame,
)
from gateway.ws.lane import Lane
from gateway.ws.liveness import Due, Liveness
from gateway.ws.outgoing import Outgoing
from gateway.ws.parts import RoomParts
from gateway.ws.reader import you_frame
from runtime.clock import now_ms
from runtime.logs import get_logger

log = get_logger("ws.session")

ROOMS_MAX: Final = 32
"""Rooms of one socket."""
JOINS_PER_SECOND: Final = 40
"""Of one socket: all its rooms at once, when it comes back."""
ABUSE_MAX: Final = 500
"""Frames over the rate, or that are no frames, each good one making up for one: beyond it the socket is closed."""
CLOSE_S: Final = 10.0
"""A reader that does not take its close frame for so long is cut off."""


class RoomSeat:
    """This socket's place in one room."""

    __slots__ = ("channel", "member", "outgoing", "permissions", "session")

    def __init__(self, session: Session, channel: Channel, member: Membership) -> None:
        self.session = session
        self.channel = channel
        self.outgoing = session.outgoing
        self.member = member
        self.permissions: Permission = member.permissions

    @property
    def user(self) -> User:
        """Whose seat it is."""
        return self.member.user

    @property
    def rtt_ms(self) -> float:
        """The socket's round trip."""
        return self.session.rtt_ms

    @property
    def waits(self) -> bool:
        """Whether the room waits for those who buffer."""
        return self.member.room.settings.wait == "wait"

    def change(self, member: Membership) -> bool:
        """Take another membership; whether it allows something else, or is another role."""
        before = (self.permissions, self.member.role, self.member.state)
        self.member = member
        self.permissions = member.permissions
        return before != (self.permissions, member.role, member.state)


class Session:
    """A socket from its handshake to its end."""

    def __init__(
        self,
        parts: RoomParts,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport,
        principal: Principal,
        *,
        number: int,
        on_slow: Callable[[Session], None],
    ) -> None:
        self.parts = parts
        self.principal = principal
        self.number = number
        self.outgoing = Outgoing(transport, lambda: on_slow(self))
        self.seats: dict[str, RoomSeat] = {}
        self.waits_for: set[str] = set()
        """Rooms whose approval it waits for."""
        self.close_code: int | None = None
        self._ws = ws
        self._transport = transport
        self._services = parts.services
        self._commands = Lane(parts.services.ctx.tasks, "socket-commands")
        self._chat = Lane(parts.services.ctx.tasks, "socket-chat")
        self._faults = 0
        self._counter = parts.services.ctx.metrics.counter("matinee_socket_frames_total")
        self._frames_per_second = parts.services.ctx.settings.limits.frames_per_second
        self._loop_time = asyncio.get_running_loop().time
        settings = parts.services.ctx.settings.gateway
        self._liveness = Liveness(self._loop_time(), ping_s=settings.ping_s, grace_s=settings.token_grace_s)

    @property
    def rtt_ms(self) -> float:
        """The round trip, as this gateway measured it."""
        return self._liveness.rtt_ms

    async def run(self) -> None:
        """Take frames until either side closes."""
        self.ping(self._loop_time())
        try:
            while True:
                message = await self._ws.receive()
                if message.type is WSMsgType.TEXT:
                    self._liveness.heard()
                    await self._take(message.data)
                elif message.type is WSMsgType.PONG:
                    self._liveness.pong(message.data, self._loop_time())
                elif message.type is WSMsgType.PING:
                    self._liveness.heard()
                    self.outgoing.send(frames.frame(message.data, WSMsgType.PONG))
                elif message.type is WSMsgType.BINARY:
                    self.close(CLOSE_NOT_TEXT, "frames are JSON text")
                else:
                    return
        finally:
            self._commands.clear()
            self._chat.clear()
            for room in [*self.seats, *self.waits_for]:
                self.drop(room)

    def close(self, code: int, reason: str) -> None:
        """Say why and close; what is under way is finished, what waits is not begun."""
        if self.close_code is not None:
            return
        self.close_code = code
        self._services.ctx.tasks.spawn("socket-close", self._close(code, reason))

    async def _close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._ws.close(code=code, message=reason.encode())
        except (TimeoutError, ConnectionError):
            self._transport.abort()

    def tend(self, now: float, wall_ms: int) -> None:
        """Ping, and close what is over: called each second (seconds, monotonic; epoch ms)."""
        match self._liveness.due(now, wall_ms, self.principal.expires_at):
            case Due.EXPIRED:
                self.close(CLOSE_UNAUTHENTICATED, "the token has expired")
            case Due.DEAD:
                self.close_code = self.close_code or 1006
                self._transport.abort()
            case Due.PING:
                self.ping(now)

    def ping(self, now: float) -> None:
        """Ask whether somebody is there; the answer measures the round trip."""
        self.outgoing.send(frames.frame(self._liveness.ping(now), WSMsgType.PING))

    async def _take(self, text: str) -> None:
        received = now_ms()
        if len(text) > frames.FRAME_CHARS_MAX and len(text.encode()) > SOCKET_FRAME_MAX:
            self.close(CLOSE_TOO_LARGE, f"a frame has at most {SOCKET_FRAME_MAX} bytes")
            return
        try:
            frame = frames.parse(text)
        except FrameError as exc:
            self._counter.labels("none", exc.why.code.value).inc()
            self._fault()
            self.outgoing.send(frames.error(exc.frame_id, exc.why))
            return
        try:
            self._services.limits.take_now("frames", str(self.number), self._frames_per_second)
        except Refused as exc:
            self._fault()
            self._fail(frame, exc)
            return
        self._faults = max(0, self._faults - 1)
        await self._dispatch(frame, received)

    def _fault(self) -> None:
        self._faults += 1
        if self._faults > ABUSE_MAX:
            self.close(CLOSE_ABUSIVE, "too many frames, or too many that are none")

    async def _dispatch(self, frame: AnyFrame, received: int) -> None:
        match frame:
            case Time():
                self.outgoing.send(
                    answer(frame.id, TimeAnswer(type="time", t0=frame.t0, t1=received, t2=now_ms()))
                )
            case Ping():
                self.outgoing.send(answer(frame.id, Pong(type="pong")))
            case Report():
                self._report(frame)
            case Playback():
                self._queue(self._commands, frame, lambda: self._playback(frame))
            case Chat():
                self._queue(self._chat, frame, lambda: self._say(frame))
            case Danmaku():
                self._queue(self._chat, frame, lambda: self._fly(frame))
            case Join():
                await self._answer(frame, lambda: self._join(frame))
            case Leave():
                self.drop(frame.room)
                self._ack(frame.id)
            case Auth():
                await self._answer(frame, lambda: self._renew(frame))
        self._counter.labels(frame.type, "taken").inc()

    def _queue(self, lane: Lane, frame: AnyFrame, work: Callable[[], Awaitable[None]]) -> None:
        if not lane.offer(lambda: self._answer(frame, work)):
            self._fault()
            self._fail(
                frame,
                Refused(ErrorCode.RATE_LIMITED, "Too much at once: wait for the answers.", retry_after=1),
            )

    async def _answer(self, frame: AnyFrame, work: Callable[[], Awaitable[None]]) -> None:
        """Do what the frame asks; whatever goes wrong, its sender is told."""
        try:
            await work()
        except Exception as exc:  # the edge: the client gets an answer, the socket stays
            why = as_refused(exc)
            if why is None:
                log.error("frame failed", type=frame.type, exc_info=exc)
                why = Refused(ErrorCode.UNAVAILABLE, "Something went wrong here.", retry_after=1)
            self._fail(frame, why)

    def _fail(self, frame: AnyFrame, why: Refused) -> None:
        self._counter.labels(frame.type, why.code.value).inc()
        self.outgoing.send(frames.error(frame.id, why, room=getattr(frame, "room", None)))

    def _ack(
        self,
        frame_id: FrameId | None,
        *,
        state: PlaybackState | None = None,
        message: ChatMessage | None = None,
    ) -> None:
        if frame_id is None:
            return
        ack = Ack(type="ack", id=frame_id)
        if state is not None:
            ack["state"] = state
        if message is not None:
            ack["message"] = message
        self.outgoing.send(text_frame(ack))

    async def _join(self, frame: Join) -> None:
        room = frame.room
        self._services.limits.take_now("join", str(self.number), JOINS_PER_SECOND)
        if self.outgoing.behind:
            raise Refused(ErrorCode.RATE_LIMITED, "Read first what you were sent.", retry_after=1)
        if room not in self.seats and room not in self.waits_for and self._rooms_held() >= ROOMS_MAX:
            raise Refused(ErrorCode.CONFLICT, f"A socket may be in {ROOMS_MAX} rooms.")
        member = await join(self._services, room, self.principal, frame.password, frame.invitation)
        self.drop(room)
        if member.state is MemberState.PENDING:
            member = await self._wait(room)
        channel = await self.parts.hub.hold(room)
        seat = RoomSeat(self, channel, member)
        self.seats[room] = seat
        self.parts.presence.enter(room, seat)
        try:
            await self.parts.presence.tell(room)
            resumed = (
                frame.after is not None
                and frame.epoch is not None
                and await entry.resume(
                    self.parts,
                    channel,
                    seat,
                    frame_id=frame.id,
                    after=frame.after,
                    epoch=frame.epoch,
                    now=self._loop_time(),
                )
            )
            if resumed:
                self.tell_you(seat)
            else:
                await entry.welcome(
                    self.parts, channel, seat, member, frame_id=frame.id, now=self._loop_time()
                )
        except BaseException:
            self.drop(room)
            raise
        if self._ws.closed:
            self.drop(room)
            return
        self.send_play_tokens(seat, await self._services.streams.of_room(self._services.pool, room))

    async def _wait(self, room: str) -> Membership:
        """Wait in front of the room: the membership of one who was let in just now.

        Raises `Refused` forbidden for everybody else, who is told `you` as soon as he is let in.
        """
        await self.parts.hub.hold(room)
        self.waits_for.add(room)
        self.parts.waiting.enter(room, self)
        # From here on his approval is heard; one that came before is read.
        member = await self._services.members.find(self._services.pool, room, self.principal.user.id)
        if member is not None and member.state is MemberState.PENDING:
            if self._ws.closed:
                self.drop(room)
            self.outgoing.send(you_frame(room, member))
            raise waiting()
        self.drop(room)
        if member is None:
            raise no_such_room()
        check_active(member)
        return member

    def _rooms_held(self) -> int:
        return len(self.seats) + len(self.waits_for)

    async def begin_anew(self, seat: RoomSeat) -> None:
        """The room's events have a new beginning: send `joined` once more."""
        room = seat.channel.room
        if self.seats.get(room) is not seat:
            return
        seat.channel.dismiss(seat)
        await entry.welcome(self.parts, seat.channel, seat, seat.member, frame_id=None, now=self._loop_time())
        if self.seats.get(room) is not seat:
            seat.channel.dismiss(seat)

    def drop(self, room: str) -> None:
        """This socket is in the room no more, nor in front of it."""
        if room in self.waits_for:
            self.waits_for.discard(room)
            self.parts.waiting.exit(room, self)
            self.parts.hub.release(room, self._loop_time())
        seat = self.seats.pop(room, None)
        if seat is not None:
            seat.channel.dismiss(seat)
            self.parts.presence.exit(room, seat)
            self.parts.hub.release(room, self._loop_time())

    def put_out(self, room: str, reason: str) -> None:
        """Tell that it is over, and why."""
        if room in self.seats:
            self.outgoing.send(text_frame(Kicked(type="kicked", room=room, reason=reason)))
            self.drop(room)

    def tell_you(self, seat: RoomSeat) -> None:
        """Say what the member may do now."""
        self.outgoing.send(you_frame(seat.channel.room, seat.member))

    def send_play_tokens(self, seat: RoomSeat, streams: list[StreamRow]) -> None:
        """A token for each of the room's streams that wants one, to those who may see what is played."""
        if not seat.permissions & Permission.VIEW_PLAYLIST:
            return
        room = seat.channel.room
        for stream in streams:
            if stream.restricted:
                token, expires_at = self._services.tokens.issue_play(stream.id, seat.user.id)
                given = PlayToken(
                    type="play_token", room=room, stream=stream.id, token=token, expires_at=expires_at
                )
                self.outgoing.send(text_frame(given))

    async def _member(self, room: str) -> Membership:
        """Who the sender is in the room; on this socket, else as HTTP would find him."""
        seat = self.seats.get(room)
        return seat.member if seat is not None else await membership(self._services, room, self.principal)

    async def _playback(self, frame: Playback) -> None:
        state = await self.parts.commands.playback(await self._member(frame.room), frame)
        self._ack(frame.id, state=state)

    async def _say(self, frame: Chat) -> None:
        message = await self.parts.commands.chat(
            await self._member(frame.room),
            client_id=frame.client_id,
            text=frame.text,
            reply_to=frame.reply_to,
        )
        self._ack(frame.id, message=message)

    async def _fly(self, frame: Danmaku) -> None:
        await self.parts.commands.danmaku(
            await self._member(frame.room),
            client_id=frame.client_id,
            text=frame.text,
            color=frame.color,
            mode=frame.mode,
            size=frame.size,
        )
        self._ack(frame.id)

    def _report(self, frame: Report) -> None:
        seat = self.seats.get(frame.room)
        if seat is None:
            self._fail(frame, Refused(ErrorCode.FORBIDDEN, "Join the room first."))
            return
        self.parts.presence.report(
            frame.room, seat, drift_ms=frame.drift_ms, buffering=frame.buffering, item=frame.item
        )
        self._ack(frame.id)

    async def _renew(self, frame: Auth) -> None:
        principal = await self._services.tokens.verify(frame.token)
        if principal.user.id != self.principal.user.id:
            raise Refused(ErrorCode.FORBIDDEN, "The token is somebody else's: open another socket.")
        self.principal = principal
        self._ack(frame.id)
