"""What a socket's owner is told of himself in a room. Pure."""

from __future__ import annotations

from bus_schemas.socket_frames import You, YouChanged
from gateway.membership import Membership
from gateway.ws.frames import text_frame


def you(member: Membership) -> You:
    """`{user, role, state, permissions}` of the reader himself."""
    return You(
        user=member.user,
        role=member.role,
        state=member.state,
        permissions=str(int(member.permissions)),
    )


def you_frame(room: str, member: Membership) -> bytes:
    """`you`, by itself."""
    return text_frame(YouChanged(type="you", room=room, **you(member)))
