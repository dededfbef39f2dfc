"""Whom a room waits for, where its settings say `wait` (DESIGN.md §5). Pure: time is an argument.

A hold is for members who report that they buffer what the room plays; never for one who never reported,
never for more than half of the members, and at most for `HOLD_MS`, or `FIRST_LOAD_MS` where one of them has
not shown the item yet. A room that loads altogether waits too: nobody is kept from anything.

What a member has been waited for is his debt, which shrinks with time. Whoever owes much is not waited for,
so one who buffers for ever, or says so, costs the room one hold, and later at most a tenth of its time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bus_schemas.messages.room import Presence, PresentMember, WaitDebt
from bus_schemas.messages.shapes import Hold, UserRef

HOLD_MS: Final = 10_000
FIRST_LOAD_MS: Final = 60_000
WORTH_MS: Final = 5_000
"""A hold is not begun for somebody with less than this left: it would help nobody."""
LEAST_CHARGE_MS: Final = 1_000
"""What a hold costs at least: who buffers for a moment again and again stops the room five times, not fifty."""
LEAK: Final = 0.1
FRESH_MS: Final = 60_000
"""A report older than this says nothing: players report each few seconds."""
DEBTS_KEPT: Final = 64
NAMED_MAX: Final = 100
"""Members a hold is for; no room waits for more."""


@dataclass(frozen=True, slots=True)
class Laggard:
    """Somebody who buffers what the room plays."""

    user: UserRef
    first: bool
    """He has not shown this item yet."""


@dataclass(frozen=True, slots=True)
class Watch:
    """How the members of a room do."""

    members: int = 0
    laggards: tuple[Laggard, ...] = ()


def watch(presences: Iterable[Presence], item: str | None, now_ms: int) -> Watch:
    """From all gateways' entries; of somebody at several gateways the newest report counts."""
    found: dict[str, PresentMember] = {}
    beyond = 0
    for presence in presences:
        beyond += presence.guests_beyond
        for member in presence.members:
            other = found.get(member.user.id)
            if other is None or member.reported_at > other.reported_at:
                found[member.user.id] = member
    laggards = (
        Laggard(UserRef(id=member.user.id, username=member.user.username), first=member.loaded != item)
        for member in found.values()
        if member.buffering
        and member.reported_at > 0
        and now_ms - member.reported_at <= FRESH_MS
        and member.item in {None, item}
    )
    return Watch(len(found) + beyond, tuple(sorted(laggards, key=lambda one: one.user.id)))


def begun(seen: Watch, debts: Sequence[WaitDebt], now_ms: int) -> Hold | None:
    """The hold that is due now, if one is."""
    left = {one.user.id: _left(one, debts, now_ms) for one in seen.laggards}
    wanted = [one for one in seen.laggards if left[one.user.id] >= WORTH_MS]
    if not _bearable(wanted, seen):
        return None
    longest = max(left[one.user.id] for one in wanted)
    return Hold(since=now_ms, until=now_ms + int(longest), members=tuple(one.user for one in wanted))


def continued(hold: Hold, seen: Watch, debts: Sequence[WaitDebt], now_ms: int) -> Hold | None:
    """The hold for those who buffer still, and for others who began; it grows no longer by them."""
    held = {member.id for member in hold.members}
    wanted = [one for one in seen.laggards if one.user.id in held or _left(one, debts, now_ms) >= WORTH_MS]
    if now_ms >= hold.until or not _bearable(wanted, seen):
        return None
    longest = FIRST_LOAD_MS if any(one.first for one in wanted) else HOLD_MS
    until = min(hold.until, hold.since + longest)
    if now_ms >= until:
        return None
    return Hold(since=hold.since, until=until, members=tuple(one.user for one in wanted))


def charged(
    debts: Sequence[WaitDebt], members: Iterable[UserRef], elapsed_ms: float, now_ms: int
) -> tuple[WaitDebt, ...]:
    """The debts once these have been waited for so long; what is paid back is forgotten.

    A clock that went back meanwhile makes no debt less.
    """
    owed = {debt.user: amount for debt in debts if (amount := _owed(debt, now_ms)) > 0}
    for member in members:
        charge = max(elapsed_ms, LEAST_CHARGE_MS)
        owed[member.id] = min(float(HOLD_MS), owed.get(member.id, 0.0) + charge)
    kept = sorted(owed.items(), key=lambda pair: -pair[1])[:DEBTS_KEPT]
    return tuple(WaitDebt(user=user, ms=ms, at=now_ms) for user, ms in kept if ms > 0)


def _bearable(wanted: Sequence[Laggard], seen: Watch) -> bool:
    if not wanted or len(wanted) > NAMED_MAX:
        return False
    loading = len(wanted) >= seen.members and all(one.first for one in wanted)
    return loading or 2 * len(wanted) <= seen.members


def _left(one: Laggard, debts: Sequence[WaitDebt], now_ms: int) -> float:
    owed = max((_owed(debt, now_ms) for debt in debts if debt.user == one.user.id), default=0.0)
    # The first load is waited for once: with any debt on this item there is only the rest of a hold.
    return float(FIRST_LOAD_MS) if one.first and owed <= 0 else HOLD_MS - owed


def _owed(debt: WaitDebt, now_ms: int) -> float:
    return debt.ms - max(0, now_ms - debt.at) * LEAK
