"""Saying on the bus that who may play has changed: members put out, rooms closed, streams made private.

Said after the database has it. Whoever serves viewers looks again at once; gateways look again every few
seconds all the same, so what gets lost is only late.
"""

from __future__ import annotations

from nats.errors import Error as NatsError

from bus_schemas.messages.live import PlayRightsChanged
from bus_schemas.messages.room import MemberChanged, RoomDeleted, RoomEvent, SettingsChanged
from bus_schemas.subjects import LIVE_RIGHTS
from runtime.bus import Bus
from runtime.emit import emit
from runtime.logs import get_logger

log = get_logger("play_rights")


def rights_after(event: RoomEvent) -> PlayRightsChanged | None:
    """Whose right to play a room's event may have changed; None: nobody's. Pure."""
    what = event.root
    if isinstance(what, MemberChanged) and what.change != "joined":
        return PlayRightsChanged(room=what.room, user=what.member.user.id)
    if isinstance(what, (SettingsChanged, RoomDeleted)):
        return PlayRightsChanged(room=what.room)
    return None


async def tell_rights(bus: Bus, changed: PlayRightsChanged) -> None:
    """Let all who serve viewers look again at those whom everything that is named fits; never fails."""
    try:
        await emit(bus, LIVE_RIGHTS, changed)
    except NatsError as error:
        log.warning("a change of rights was not told", change=changed.model_dump(), error=repr(error))
