"""What a room is told of how its members keep to it: who buffers, who is how far off. Pure: the time is an argument.

Players report every few seconds, and nearly always the same: only what is another thing than the room was
last told is news. That somebody buffers, or no longer does, is told at the next look; a drift only when it
moved by more than `DRIFT_MOVED_MS`. One member is news so often and no oftener, a room has so much news at a
look and no more, whatever its members report: those who were told of longest ago come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bus_schemas.messages.room import PresentMember
from bus_schemas.messages.shapes import SyncReport

DRIFT_MOVED_MS: Final = 50.0
DRIFT_EVERY_S: Final = 3.0
BUFFERING_EVERY_S: Final = 1.0
AT_ONCE_MAX: Final = 10
"""Members told of at one look."""
UNTOLD: Final = (SyncReport(), float("-inf"))
"""What a room takes of somebody it was told nothing of."""


class SyncNews:
    """What one room was told, and what it is to be told; times in seconds, monotonic."""

    __slots__ = ("_told", "pending")

    def __init__(self) -> None:
        self._told: dict[str, tuple[SyncReport, float]] = {}
        self.pending = False
        """Whether there may be news: to be looked at by `due`."""

    def reported(self, user: str, drift_ms: float | None, *, buffering: bool) -> None:
        """A player's report came in."""
        told = self._told.get(user, UNTOLD)[0]
        if told.buffering is not buffering or _moved(told.drift_ms, drift_ms):
            self.pending = True

    def said(self, user: str, sync: SyncReport, now: float) -> None:
        """We have told the room of him."""
        self._told[user] = (sync, now)

    def heard(self, user: str, sync: SyncReport, now: float) -> None:
        """The room was told of him, by whomever; if it is another thing than we would say, there is news."""
        self.said(user, sync, now)
        self.pending = True

    def due(self, members: Mapping[str, PresentMember], now: float) -> list[PresentMember]:
        """Of these, whom the room is to be told of now; `pending` stays set while there is more."""
        self._told = {user: told for user, told in self._told.items() if user in members}
        self.pending = False
        found: list[tuple[bool, float, PresentMember]] = []
        for user, member in members.items():
            told, at = self._told.get(user, UNTOLD)
            turned = told.buffering is not member.buffering
            if not turned and not _moved(told.drift_ms, member.drift_ms):
                continue
            if now - at < (BUFFERING_EVERY_S if turned else DRIFT_EVERY_S):
                self.pending = True
                continue
            found.append((not turned, at, member))
        found.sort(key=lambda one: one[:2])
        if len(found) > AT_ONCE_MAX:
            self.pending = True
        return [member for *_, member in found[:AT_ONCE_MAX]]


def shown(member: PresentMember) -> SyncReport:
    """How he does, as the room is told it."""
    drift_ms = None if member.drift_ms is None else round(member.drift_ms, 1)
    return SyncReport(drift_ms=drift_ms, buffering=member.buffering)


def _moved(told: float | None, now: float | None) -> bool:
    if told is None or now is None:
        return told is not now
    return abs(told - now) > DRIFT_MOVED_MS
