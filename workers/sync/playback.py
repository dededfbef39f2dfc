"""The playback of one room as a state machine (DESIGN.md §5). Pure: time is an argument.

`apply` gives the next playback, or why not; the table at the end of this file says what each action
wants and does. Every accepted command raises the revision by one. A room that holds for somebody who
buffers stands still (`playing` is false) and has a `hold`; what it is after is `wants_to_play`.
Positions are seconds; of a live item, program date-time in seconds since 1970, or 0 as long as it has not been
played: it stands at no moment then. Times are epoch ms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from bus_schemas.errors import ErrorCode
from bus_schemas.limits import LIVE_POSITION_MIN_S, RATE_MAX, RATE_MIN
from bus_schemas.messages.room import PastPlayback, PlaybackAction, PlaybackChanged, WaitDebt
from bus_schemas.messages.shapes import Hold, PlaybackMode, PlaybackState
from bus_schemas.streams import PARTS
from workers.sync import waiting
from workers.sync.waiting import Watch

END_SLACK_S: Final = 0.05
"""This near its end an item counts as played: schedules fire to the ms, durations are rounded."""
SHORTEST_MS: Final = 1_000
"""An item lasts so long at least: one of no length, repeated, would keep a room changing without end."""
DVR_WINDOW_S: Final = PARTS.max_age_s
"""How far back in a live item anything is kept."""
DVR_MARGIN_S: Final = 12.0
"""A room does not go into the last of it: whole segments leave, and a player needs what it has begun to load."""
AT_EDGE_S: Final = 0.5
"""This near to where a live room plays by its settings it is taken to be there."""
FAR_AHEAD_MS: Final = 10_000
"""No start is scheduled so far ahead: what is was set by a clock that has been put back since."""
HISTORY_KEPT: Final = 10
"""Changes that can be undone."""


@dataclass(frozen=True, slots=True)
class Target:
    """The item a command leads to, as the playlist has it."""

    item: str
    duration: float | None = None
    """Seconds, where known; None too for a live item."""
    live: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """What is asked, with all that has to be known to decide it."""

    action: PlaybackAction
    position: float | None = None
    rate: float | None = None
    mode: PlaybackMode | None = None
    revision: int | None = None
    target: Target | None = None
    """Of select, next, previous and deadline: where it leads; None: nowhere."""
    played: tuple[str, ...] = ()
    """Of the same: the shuffle round once it is there."""
    rtt_ms: float = 0.0
    """The slowest member's round trip."""
    live_delay_ms: int = 0
    """How far behind the publisher the room plays live items."""
    old_live_delay_ms: int | None = None
    """Of reconcile: how far it was until now, where that was changed."""
    watch: Watch | None = None
    """How the members do, in a room that waits; None: it does not."""
    by_member: bool = False
    """Somebody's wish, which may be undone."""
    past: PastPlayback | None = None
    """Of undo: where it leads back to, the item being `target`."""
    history: tuple[PastPlayback, ...] = ()
    """Of undo: what can be undone after it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: a code a client can act on, a sentence for a person."""

    code: ErrorCode
    detail: str


@dataclass(frozen=True, slots=True)
class Lead:
    """Bounds of the time between a play or seek and the moment it takes effect, ms."""

    least_ms: int = 300
    most_ms: int = 1_500

    def of(self, rtt_ms: float) -> int:
        """Twice the slowest round trip, within the bounds: so the last member hears of it in time."""
        return int(min(max(2 * rtt_ms, self.least_ms), self.most_ms))


@dataclass(frozen=True, slots=True)
class Playback:
    """What a room plays."""

    item: str | None = None
    playing: bool = False
    position: float = 0.0
    """Where the item stands at `at`, and until then."""
    rate: float = 1.0
    at: int = 0
    revision: int = 0
    live: bool = False
    mode: PlaybackMode = PlaybackMode.SEQUENTIAL
    duration: float | None = None
    played: tuple[str, ...] = ()
    """Items of this shuffle round so far, the current one included; empty in other modes."""
    hold: Hold | None = None
    """Whom the room waits for before it plays on; only while it does not play."""
    debts: tuple[WaitDebt, ...] = ()
    """Whom it has waited for on this item."""
    history: tuple[PastPlayback, ...] = ()
    """How it stood in front of each of the last changes by members, oldest first."""

    @classmethod
    def of(cls, change: PlaybackChanged) -> Playback:
        """From the wire."""
        state = change.state
        return cls(
            item=state.item, playing=state.playing, position=state.position, rate=state.rate, at=state.at,
            revision=state.revision, live=state.live, mode=state.mode, duration=change.duration,
            played=change.order, hold=state.hold, debts=change.debts, history=change.history,
        )  # fmt: skip

    def state(self) -> PlaybackState:
        """As all members see it."""
        return PlaybackState(
            item=self.item, playing=self.playing, position=self.position, rate=self.rate, at=self.at,
            revision=self.revision, live=self.live, mode=self.mode, hold=self.hold,
            undoable=len(self.history),
        )  # fmt: skip

    @property
    def wants_to_play(self) -> bool:
        """It plays, or would if it waited for nobody."""
        return self.playing or self.hold is not None

    def position_at(self, now_ms: int) -> float:
        """Seconds into the item at `now_ms`; before `at` players hold, at the end they stay."""
        if not self.playing:
            return self.position
        return self._within(self.position + max(0, now_ms - self.at) / 1000 * self.rate)

    def due_at(self) -> int | None:
        """When the room goes on by itself: its hold ends, or its item; None where neither is to come."""
        return self.hold.until if self.hold is not None else self.ends_at()

    def ends_at(self) -> int | None:
        """When the item ends if nothing is done; None where it does not, or nobody knows."""
        if not self.playing or self.live or self.duration is None:
            return None
        rest_ms = math.ceil(max(0.0, self.duration - self.position) / self.rate * 1000)
        short = self.duration / self.rate * 1000 < SHORTEST_MS
        return self.at + (SHORTEST_MS if short else rest_ms)

    def _within(self, position: float) -> float:
        end = self.duration if not self.live and self.duration is not None else math.inf
        return round(min(max(position, 0.0), end), 6)


def apply(playback: Playback, command: Command, now_ms: int, lead: Lead) -> Playback | Refusal:
    """The playback after the command, taken at `now_ms`; or why it stays as it is."""
    rule = TRANSITIONS[command.action]
    if command.revision is not None and command.revision != playback.revision:
        return Refusal(
            ErrorCode.CONFLICT,
            f"The playback moved on: based on revision {command.revision}, now it is {playback.revision}.",
        )
    if command.position is not None and not (math.isfinite(command.position) and command.position >= 0):
        return Refusal(ErrorCode.INVALID, "A position is a number of seconds, 0 or more.")
    if command.rate is not None and not RATE_MIN <= command.rate <= RATE_MAX:
        return Refusal(ErrorCode.INVALID, f"A rate is from {RATE_MIN:g} to {RATE_MAX:g}.")
    if missing := next((name for name in rule.wants if getattr(command, name) is None), None):
        return Refusal(ErrorCode.INVALID, f"A {command.action} needs a {missing}.")
    if rule.needs_item and playback.item is None:
        return Refusal(ErrorCode.CONFLICT, "Nothing is selected: select an item first.")
    changed = rule.change(playback, command, now_ms, now_ms + lead.of(command.rtt_ms))
    if isinstance(changed, Refusal):
        return changed
    changed = _settled(playback, changed, command, now_ms)
    history = changed.history
    if command.by_member and command.action is not PlaybackAction.UNDO:
        history = (*playback.history, _past(playback, now_ms))[-HISTORY_KEPT:]
    return replace(changed, revision=playback.revision + 1, history=history)


def _settled(before: Playback, changed: Playback, command: Command, now_ms: int) -> Playback:
    """The holds put right: one that is over is charged, one that play runs into begins."""
    if changed.item != before.item:
        return replace(changed, debts=(), hold=None)
    if before.hold is None:
        begins = command.action is PlaybackAction.PLAY and not before.playing and not changed.live
        hold = waiting.begun(command.watch, before.debts, now_ms) if command.watch and begins else None
        return _holding(changed, hold, changed.position, now_ms) if hold is not None else changed
    still = {member.id for member in changed.hold.members} if changed.hold is not None else set()
    gone = [member for member in before.hold.members if member.id not in still]
    # Whoever plays on without them need not do so again in a moment.
    overruled = changed.playing and command.by_member
    elapsed = waiting.HOLD_MS if overruled else now_ms - before.hold.since
    return replace(changed, debts=waiting.charged(before.debts, gone, elapsed, now_ms)) if gone else changed


def _holding(playback: Playback, hold: Hold, position: float, now_ms: int) -> Playback:
    return replace(playback, playing=False, hold=hold, position=position, at=now_ms)


def _past(playback: Playback, now_ms: int) -> PastPlayback:
    return PastPlayback(
        at=now_ms, item=playback.item, playing=playback.wants_to_play, position=playback.position_at(now_ms),
        rate=playback.rate, live=playback.live, mode=playback.mode, duration=playback.duration,
    )  # fmt: skip


def _edge(command: Command, at_ms: int) -> float:
    """Program date-time that a live room plays at `at_ms`."""
    return round((at_ms - command.live_delay_ms) / 1000, 6)


def _earliest(at_ms: int) -> float:
    """Program date-time of the first moment that a room may play at `at_ms`."""
    return at_ms / 1000 - DVR_WINDOW_S + DVR_MARGIN_S


def _resumed(playback: Playback, command: Command, at: int) -> float:
    """Where a live item plays on: where the room stood; what is not kept any more, or never was begun, at the edge."""
    position, edge = playback.position_at(at), _edge(command, at)
    return min(position, edge) if position >= max(_earliest(at), LIVE_POSITION_MIN_S) else edge


def _play(playback: Playback, command: Command, now_ms: int, at: int) -> Playback:
    if command.position is not None:
        position = _sought(playback, command, at)
    elif playback.live:
        position = _resumed(playback, command, at)
    else:
        # Pressed while it plays already: the same timeline, only anchored anew.
        position = playback.position_at(at)
    if not playback.live and playback.duration is not None and position >= playback.duration - END_SLACK_S:
        position = 0.0
    return replace(playback, playing=True, position=position, at=at, hold=None)


def _pause(playback: Playback, command: Command, now_ms: int, at: int) -> Playback:
    return replace(playback, playing=False, position=playback.position_at(now_ms), at=now_ms, hold=None)


def _seek(playback: Playback, command: Command, now_ms: int, at: int) -> Playback:
    return replace(playback, position=_sought(playback, command, at), at=at)


def _sought(playback: Playback, command: Command, at: int) -> float:
    position = command.position or 0.0
    if playback.live:
        return min(max(position, _earliest(at)), _edge(command, at))
    return playback._within(position)


def _rate(playback: Playback, command: Command, now_ms: int, at: int) -> Playback | Refusal:
    assert command.rate is not None
    if playback.live and command.rate != 1:
        return Refusal(ErrorCode.INVALID, "A live item plays at rate 1.")
    # A start that is still ahead stays where it was: whoever waits for it keeps waiting.
    ahead = playback.playing and now_ms < playback.at <= now_ms + FAR_AHEAD_MS
    anchor = playback.at if ahead else now_ms
    return replace(playback, rate=command.rate, position=playback.position_at(now_ms), at=anchor)


def _select(playback: Playback, command: Command, now_ms: int, at: int) -> Playback | Refusal:
    if command.target is None:
        return Refusal(ErrorCode.NOT_FOUND, "The playlist has no such item.")
    return _stand_on(playback, command, command.target, playing=False, at=now_ms)


def _step(playback: Playback, command: Command, now_ms: int, at: int) -> Playback | Refusal:
    if command.target is None:
        return Refusal(ErrorCode.NOT_FOUND, f"There is no {command.action} item.")
    playing = playback.wants_to_play
    return _stand_on(playback, command, command.target, playing=playing, at=at if playing else now_ms)


def _mode(playback: Playback, command: Command, now_ms: int, at: int) -> Playback:
    assert command.mode is not None
    shuffling = command.mode is PlaybackMode.SHUFFLE and playback.item is not None
    begun = playback.played or ((playback.item,) if playback.item is not None else ())
    return replace(playback, mode=command.mode, played=begun if shuffling else ())


def _deadline(playback: Playback, command: Command, now_ms: int, at: int) -> Playback | Refusal:
    due_at = playback.due_at()
    if due_at is None or now_ms < due_at - END_SLACK_S * 1000:
        return Refusal(ErrorCode.CONFLICT, "Neither the item nor a hold ends now.")
    if playback.hold is not None:
        return replace(playback, playing=True, at=at, hold=None)
    if command.target is None:
        assert playback.duration is not None
        return replace(playback, playing=False, position=playback.duration, at=now_ms)
    return _stand_on(playback, command, command.target, playing=True, at=at)


def _reconcile(playback: Playback, command: Command, now_ms: int, at: int) -> Playback | Refusal:
    if playback.item is not None and command.target is None:
        return replace(
            playback, item=None, playing=False, position=0.0, at=now_ms, live=False, duration=None, played=(),
            hold=None,
        )  # fmt: skip
    changed = _follow_delay(playback, command, at) if playback.live and playback.playing else playback
    if command.target is not None and not playback.live:
        changed = replace(changed, duration=command.target.duration)
    if playback.hold is not None and command.watch is None:
        changed = replace(changed, playing=True, at=at, hold=None)
    return changed if changed != playback else Refusal(ErrorCode.CONFLICT, "The playback fits its playlist.")


def _follow_delay(playback: Playback, command: Command, at: int) -> Playback:
    """A live room that plays as its settings say does so when they change; one that was rewound stays there."""
    position, edge = playback.position_at(at), _edge(command, at)
    old = command.old_live_delay_ms
    there = old is not None and abs(position - (at - old) / 1000) <= AT_EDGE_S
    moves = abs(position - edge) > END_SLACK_S and (there or position > edge)
    return replace(playback, position=edge, at=at) if moves else playback


def _buffering(playback: Playback, command: Command, now_ms: int, at: int) -> Playback | Refusal:
    nothing = Refusal(ErrorCode.CONFLICT, "There is nobody else to wait for.")
    if command.watch is None and playback.hold is not None:
        return replace(playback, playing=True, at=at, hold=None)  # the room waits no longer
    if command.watch is None or playback.live or not playback.wants_to_play:
        return nothing
    if playback.hold is None:
        hold = waiting.begun(command.watch, playback.debts, now_ms)
        if hold is None:
            return nothing
        return _holding(playback, hold, playback.position_at(now_ms), now_ms)
    hold = waiting.continued(playback.hold, command.watch, playback.debts, now_ms)
    if hold is None:
        return replace(playback, playing=True, at=at, hold=None)
    return nothing if hold == playback.hold else replace(playback, hold=hold)


def _undo(playback: Playback, command: Command, now_ms: int, at: int) -> Playback | Refusal:
    past = command.past
    if past is None or (past.item is not None and command.target is None):
        return Refusal(ErrorCode.CONFLICT, "There is nothing to undo.")
    start = at if past.playing else now_ms
    position = past.position
    if past.live:
        # What played on stays as far behind the edge as it was; nothing leaves what can be rewound to.
        played_on = (start - past.at) / 1000 if past.playing else 0.0
        if position >= LIVE_POSITION_MIN_S:
            position = min(max(position + played_on, _earliest(start)), _edge(command, start))
    back = replace(
        playback, item=past.item, playing=past.playing, rate=past.rate, at=start, live=past.live,
        mode=past.mode, played=command.played, hold=None, history=command.history,
        duration=command.target.duration if command.target is not None and not past.live else None,
    )  # fmt: skip
    return replace(back, position=back._within(position))


def _stand_on(playback: Playback, command: Command, target: Target, *, playing: bool, at: int) -> Playback:
    return replace(
        playback,
        item=target.item,
        playing=playing,
        position=_edge(command, at) if target.live and playing else 0.0,
        rate=1.0 if target.live else playback.rate,
        at=at,
        live=target.live,
        duration=None if target.live else target.duration,
        played=command.played,
        hold=None,
    )


Change = Callable[[Playback, Command, int, int], Playback | Refusal]
"""From the playback, the command, now, and the moment a scheduled start would take effect."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    needs_item: bool
    wants: tuple[str, ...]
    """Fields of the command that must be there."""
    change: Change


TRANSITIONS: Final[dict[PlaybackAction, Rule]] = {
    #                              an item  fields          what it does
    PlaybackAction.PLAY:      Rule(True,    (),             _play),
    PlaybackAction.PAUSE:     Rule(True,    (),             _pause),
    PlaybackAction.SEEK:      Rule(True,    ("position",),  _seek),
    PlaybackAction.RATE:      Rule(False,   ("rate",),      _rate),
    PlaybackAction.SELECT:    Rule(False,   (),             _select),
    PlaybackAction.NEXT:      Rule(False,   (),             _step),
    PlaybackAction.PREVIOUS:  Rule(False,   (),             _step),
    PlaybackAction.MODE:      Rule(False,   ("mode",),      _mode),
    PlaybackAction.UNDO:      Rule(False,   (),             _undo),
    PlaybackAction.DEADLINE:  Rule(True,    ("revision",),  _deadline),
    PlaybackAction.RECONCILE: Rule(False,   (),             _reconcile),
    PlaybackAction.BUFFERING: Rule(True,    (),             _buffering),
}  # fmt: skip
