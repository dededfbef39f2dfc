"""Coming into a room: where somebody left off if that can be proved, else with all of it (DESIGN.md §8)."""

from __future__ import annotations

from typing import Final, cast

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.messages.room import DanmakuPosted
from bus_schemas.socket_frames import FrameId, JoinedHead, Resumed
from bus_schemas.streams import ROOM_EVENTS
from bus_schemas.subjects import ROOM_EVENT
from gateway.membership import Membership
from gateway.ws.channel import Channel, Seat
from gateway.ws.events import Marks, RoomEventFrame, render
from gateway.ws.frames import answer
from gateway.ws.parts import RoomParts
from gateway.ws.reader import you
from runtime import direct
from runtime.clock import now_ms

RESUMED_MAX: Final = 20_000
"""More events than this are not replayed one by one."""
ATTEMPTS: Final = 5


async def resume(
    parts: RoomParts,
    channel: Channel,
    seat: Seat,
    *,
    frame_id: FrameId | None,
    after: int,
    epoch: FrameId,
    now: float,
) -> bool:
    """Send `resumed` and exactly what was missed, and admit; False where that cannot be proved.

    What is kept in memory is whole by itself. Beyond it the stream is read, and then must still hold the
    event at `after`: messages go oldest first, so nothing above it can have gone before.
    """
    if str(epoch) != parts.hub.epoch:
        return False
    known = channel.since(after) if after <= channel.position else None
    if known is None:
        known = await _from_stream(parts, channel, after)
    if known is None or len(known) > RESUMED_MAX:
        return False
    newest = known[-1].seq if known else after
    seat.outgoing.send(
        answer(
            frame_id,
            Resumed(
                type="resumed",
                room=channel.room,
                after=after,
                seq=newest,
                epoch=parts.hub.epoch,
                now=now_ms(),
            ),
        )
    )
    channel.admit(seat, Marks(after=newest), known, now)
    return True


async def _from_stream(parts: RoomParts, channel: Channel, after: int) -> list[RoomEventFrame] | None:
    bus = parts.services.ctx.bus
    for _ in range(ATTEMPTS):
        stored = await direct.after(bus, ROOM_EVENTS.name, ROOM_EVENT.at(room=channel.room), after)
        if not await direct.exists(bus, ROOM_EVENTS.name, after) and not await _reaches(parts, after):
            return None
        newest = stored[-1].sequence if stored else after
        rest = channel.since(newest)
        if rest is not None:
            events = (render(channel.room, message.sequence, message.data) for message in stored)
            return [event for event in events if event is not None] + rest
    return None


async def _reaches(parts: RoomParts, after: int) -> bool:
    """Whether the stream has everything above `after` although not that event itself."""
    state = (await parts.services.ctx.bus.request_api(f"STREAM.INFO.{ROOM_EVENTS.name}"))["state"]
    return int(state["first_seq"]) <= after + 1 and after <= int(state["last_seq"])


async def welcome(
    parts: RoomParts,
    channel: Channel,
    seat: Seat,
    member: Membership,
    *,
    frame_id: FrameId | None,
    now: float,
) -> None:
    """Send `joined` and admit; raises what the database and the bus raise."""
    for _ in range(ATTEMPTS):
        snapshot = await parts.snapshots.read(channel)
        later = channel.since(snapshot.seq)
        if later is not None:
            break
    else:
        raise Refused(ErrorCode.UNAVAILABLE, "The room is too busy to come in: try again.", retry_after=1)
    seq, marks = snapshot.seq, snapshot.marks
    missed = []
    for event in later:
        if not marks.cover(event):
            missed.append(event)
        elif not missed:
            seq = event.seq
    head = JoinedHead(
        type="joined",
        room=channel.room,
        you=you(member),
        danmaku=cast("list[DanmakuPosted]", channel.recent_danmaku(now_ms())),  # As JSON has them.
        seq=seq,
        epoch=parts.hub.epoch,
        now=now_ms(),
    )
    if frame_id is not None:
        head["id"] = frame_id
    seat.outgoing.push([snapshot.joined(head, member.permissions)])
    channel.admit(seat, marks, missed, now)
