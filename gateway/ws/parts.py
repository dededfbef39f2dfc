"""What the rooms' side of a gateway consists of, for HTTP and socket alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from gateway.commands import Commands
from gateway.db.messages import Messages
from gateway.live.sessions import Sessions
from gateway.services import Services
from gateway.ws.hub import Hub
from gateway.ws.presence import PresenceBoard
from gateway.ws.replies import Replies
from gateway.ws.snapshot import Snapshots
from gateway.ws.waiting_room import WaitingRoom


@dataclass(frozen=True, slots=True)
class RoomParts:
    """Built when the application starts."""

    services: Services
    replies: Replies
    hub: Hub
    presence: PresenceBoard
    waiting: WaitingRoom
    commands: Commands
    messages: Messages
    snapshots: Snapshots


ROOM_PARTS: Final = web.AppKey("room_parts", RoomParts)


def build(services: Services, sessions: Sessions) -> RoomParts:
    """The parts, connected to each other; nothing runs yet."""
    ctx = services.ctx
    replies = Replies(ctx.bus, ctx.node)
    hub = Hub(ctx.bus, ctx.tasks, ctx.metrics)
    presence = PresenceBoard(
        ctx.bus, ctx.node, ctx.tasks, lambda room, user: services.members.find(services.pool, room, user)
    )
    hub.on_open.append(presence.open)
    hub.on_close.append(presence.close)
    hub.on_event.append(presence.heard)
    commands = Commands(ctx.bus, replies, services.limits, ctx.settings.limits, presence.slowest_rtt)
    messages = Messages()
    snapshots = Snapshots(services, commands, presence, messages, sessions)
    return RoomParts(services, replies, hub, presence, WaitingRoom(), commands, messages, snapshots)
