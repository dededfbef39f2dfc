"""Who is in one room over all gateways, and who tells the room of it. Pure: the time is an argument.

Every gateway with members in a room writes an entry (`PRESENCE`, `{room}.{gateway}`) and reads those of
the others, so all of them work from the same picture: *present* is the union of the entries, *announced*
is what the room's own member events have said so far. Where the two differ somebody has to say so:

- that a user came: of the gateways that have him, the one whose name sorts first;
- that a user went: the gateway that had him last, as long as it keeps an entry (an empty one will do);
  if it died or drained away, of the gateways that are left the one whose name sorts first.

The picture is the same everywhere but for the milliseconds an entry travels, and differences are looked
at only each half second, so one gateway speaks. If two do, or one dies with the word on its lips, the
members hear it twice or a moment later: an event says how things are, so twice is as good as once.

Above `ANNOUNCED_MAX` present only the count is told; once there are fewer again, what changed is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from bus_schemas.messages.room import Presence, PresentMember
from bus_schemas.messages.shapes import User

ANNOUNCED_MAX: Final = 200
LISTED_MAX: Final = 200
"""Users an entry names; the rest are counted."""
TOLD_MAX: Final = 2 * ANNOUNCED_MAX
"""Of a crowd's comers and goers no more than this are told of afterwards."""
ENTRY_LIFE_S: Final = 30.0
GRACE_S: Final = 3.0
"""A gateway that went took its members' sockets with it: they are given time to come back elsewhere."""
SAY_AGAIN_S: Final = 2.0


@dataclass(slots=True)
class Entry:
    """What one gateway says."""

    presence: Presence
    heard: float


@dataclass(frozen=True, slots=True)
class Announcement:
    """What this gateway is to tell the room."""

    user: User
    change: Literal["joined", "left"]


@dataclass(slots=True)
class Roster:
    """One room as gateway `node` sees it; times in seconds, monotonic."""

    node: str
    entries: dict[str, Entry] = field(default_factory=dict)
    announced: dict[str, User] = field(default_factory=dict)
    _holders: dict[str, str] = field(default_factory=dict)
    """Which gateway had a user last."""
    _gone: dict[str, float] = field(default_factory=dict)
    """Since when a gateway has no entry."""
    _said: dict[tuple[str, str], float] = field(default_factory=dict)
    _told_count: int = -1

    def begin(self, presences: list[Presence], now: float) -> None:
        """Take the entries there were before: whoever is in them is taken for announced.

        An entry of our own name was left by a process that died: whoever does not come back was ours.
        """
        for presence in presences:
            if presence.gateway != self.node:
                self.hear(presence, now)
        for presence in presences:
            for member in presence.members:
                self._holders.setdefault(member.user.id, presence.gateway)
        self.announced = {member.user.id: member.user for one in presences for member in one.members}

    def hear(self, presence: Presence, now: float) -> None:
        """A gateway's newest entry."""
        before = self.entries.get(presence.gateway)
        self.entries[presence.gateway] = Entry(presence, now)
        self._gone.pop(presence.gateway, None)
        for member in presence.members:
            self._holders[member.user.id] = presence.gateway
        if before is not None:
            self._take_for_told(before.presence, {member.user.id for member in presence.members})

    def hear_gone(self, gateway: str, now: float) -> None:
        """A gateway took its entry away."""
        entry = self.entries.pop(gateway, None)
        if entry is not None:
            self._gone[gateway] = now
            self._take_for_told(entry.presence, set())

    def _take_for_told(self, before: Presence, still: set[str]) -> None:
        """Whoever was in an entry may have been shown to a newcomer, announced or not: that he went has to be said."""
        for member in before.members:
            if member.user.id not in still and len(self.announced) < TOLD_MAX:
                self.announced.setdefault(member.user.id, member.user)

    def expire(self, now: float) -> None:
        """Entries not renewed are those of gateways that died."""
        for gateway, entry in list(self.entries.items()):
            if gateway != self.node and now - entry.heard > ENTRY_LIFE_S:
                self.hear_gone(gateway, now - GRACE_S)

    def present(self) -> dict[str, PresentMember]:
        """Users by id; one at several gateways counts once, and buffers if he does anywhere."""
        found: dict[str, PresentMember] = {}
        for gateway in sorted(self.entries):
            for member in self.entries[gateway].presence.members:
                other = found.get(member.user.id)
                found[member.user.id] = member if other is None else _merged(other, member)
        return found

    def ours(self) -> dict[str, PresentMember]:
        """Of those present and announced, whom this gateway speaks for while they are here: as `due` has it."""
        return {
            user: member
            for user, member in self.present().items()
            if user in self.announced and self._first_to_have(user) == self.node
        }

    def count(self) -> int:
        """How many are present, those that no entry names included."""
        return len(self.present()) + sum(entry.presence.guests_beyond for entry in self.entries.values())

    def rtt_ms(self) -> float:
        """The slowest member's round trip."""
        return max((entry.presence.rtt_ms for entry in self.entries.values()), default=0.0)

    def heard_said(self, user: User, change: str) -> None:
        """The room was told that the user came or went, by whomever."""
        if change == "joined":
            self.announced[user.id] = user
            self._said.pop((user.id, "joined"), None)
        elif change == "left":
            self.announced.pop(user.id, None)
            self._said.pop((user.id, "left"), None)

    def due(self, now: float) -> list[Announcement]:
        """What this gateway has to say now; it is asked again until the room's events show that it was heard."""
        present = self.present()
        if self.count() > ANNOUNCED_MAX:
            return []
        found = [
            Announcement(member.user, "joined")
            for user, member in present.items()
            if user not in self.announced and self._first_to_have(user) == self.node
        ]
        found += [
            Announcement(user, "left")
            for user_id, user in self.announced.items()
            if user_id not in present and self._speaks_for(user_id, now)
        ]
        fresh = [
            one
            for one in found
            if now - self._said.get((one.user.id, one.change), -SAY_AGAIN_S) >= SAY_AGAIN_S
        ]
        for one in fresh:
            self._said[one.user.id, one.change] = now
        if not found:
            self._said.clear()
            self._holders = {
                user: g for user, g in self._holders.items() if user in present or user in self.announced
            }
            self._gone = {gateway: at for gateway, at in self._gone.items() if now - at < ENTRY_LIFE_S}
        return fresh

    def changed_count(self) -> int | None:
        """The count, if it is another one than when last asked."""
        count = self.count()
        if count == self._told_count:
            return None
        self._told_count = count
        return count

    def _first_to_have(self, user: str) -> str:
        return min(
            gateway
            for gateway, entry in self.entries.items()
            if any(member.user.id == user for member in entry.presence.members)
        )

    def _speaks_for(self, user: str, now: float) -> bool:
        holder = self._holders.get(user, "")
        if holder in self.entries:
            return holder == self.node
        if now - self._gone.get(holder, now - GRACE_S) < GRACE_S:
            return False
        return min(self.entries, default=self.node) == self.node


def _merged(one: PresentMember, other: PresentMember) -> PresentMember:
    drifts = [drift for drift in (one.drift_ms, other.drift_ms) if drift is not None]
    newest = max(one, other, key=lambda member: member.reported_at)
    return newest.model_copy(
        update={
            "connections": one.connections + other.connections,
            "drift_ms": max(drifts, key=abs, default=None),
            "buffering": one.buffering or other.buffering,
        }
    )
