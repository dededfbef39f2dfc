"""Sockets in front of a room: their people wait to be let in, get nothing of it, and learn at once what comes of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bus_schemas.permissions import MemberState
from bus_schemas.socket_frames import Kicked
from gateway.membership import TURNED_AWAY, Membership
from gateway.ws.frames import text_frame
from gateway.ws.reader import you_frame

if TYPE_CHECKING:
    # A session knows its parts, of which this is one.
    from gateway.ws.session import Session


class WaitingRoom:
    """Who waits at this gateway, by room and user. Whoever enters a session holds the room open for it."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[str, set[Session]]] = {}

    def enter(self, room: str, session: Session) -> None:
        """The session's user waits."""
        users = self._rooms.setdefault(room, {})
        users.setdefault(session.principal.user.id, set()).add(session)

    def exit(self, room: str, session: Session) -> None:
        """The session waits no more; harmless for one that did not."""
        users = self._rooms.get(room, {})
        user = session.principal.user.id
        sessions = users.get(user, set())
        sessions.discard(session)
        if not sessions:
            users.pop(user, None)
        if not users:
            self._rooms.pop(room, None)

    def users(self, room: str) -> list[str]:
        """Ids of those who wait here for this room."""
        return list(self._rooms.get(room, ()))

    def sessions(self, room: str, users: Iterable[str] | None = None) -> list[Session]:
        """The sessions of these users that wait for this room, or all that do."""
        waiting = self._rooms.get(room, {})
        return [one for user in (waiting if users is None else users) for one in waiting.get(user, ())]

    def tell(self, room: str, user: str, member: Membership | None, gone: str = TURNED_AWAY) -> None:
        """What he is now: let in, still waiting, or gone for this reason. One who was let in joins by himself."""
        for session in self.sessions(room, [user]):
            if member is not None and member.state is not MemberState.BANNED:
                session.outgoing.send(you_frame(room, member))
                if member.state is MemberState.PENDING:
                    continue
            else:
                reason = gone if member is None else member.state.value
                session.outgoing.send(text_frame(Kicked(type="kicked", room=room, reason=reason)))
            session.drop(room)
