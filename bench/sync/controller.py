"""Keeps one player on the room's line: `web/src/sync/controller.ts` in Python, held to it by vectors.

The browser's controller is the original, its comments say why; whoever changes one changes both.
All times are server milliseconds, all positions seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from bench.sync.timeline import Timeline, holding, jumps, position_at

DEAD_ZONE_S: Final = 0.02
SETTLED_S: Final = 0.005
LANDING_ZONE_S: Final = 0.008
GENTLE_S: Final = 0.12
GENTLE_RATE: Final = 0.06
FIRM_S: Final = 3.0
FIRM_RATE: Final = 0.15
LANDING_S: Final = 0.4
LANDING_RATE: Final = 0.25
SETTLE_MS: Final = 2_000.0
COOL_DOWN_MS: Final = 4_000.0
MAX_SEEKS: Final = 3
_CORRECTION_S: Final = 0.8
_LANDING_CORRECTION_S: Final = 0.4
_RATE_STEP: Final = 0.005
_RATE_FLOOR: Final = 0.01
_PLAY_RETRY_MS: Final = 1_000.0
_STILL_TOLERANCE_S: Final = 0.03
_STILL_TRIES: Final = 2
_MEASURE_MS: Final = 200.0
_LANDING_LIMIT_MS: Final = 10_000.0
_LIVE_MARGIN_S: Final = 0.15
_NOT_YET_LIMIT_MS: Final = 15_000.0
_AIM_S: Final = 0.1
_FIRST_AIM_S: Final = 0.25
_WAIT_S: Final = 1.0

Phase = Literal["idle", "following", "paused", "holding", "waiting", "not_yet", "gone", "ended", "gave_up"]


@dataclass(slots=True)
class PlayerStatus:
    """What a player is doing now; positions on the room's axis, s."""

    position: float | None = None
    paused: bool = False
    seeking: bool = False
    buffering: bool = False
    ended: bool = False
    ready_state: int = 4
    rate: float = 1.0
    earliest: float = 0.0
    latest: float = math.inf


class Action(NamedTuple):
    """One thing to do: `value` is the rate, or where to seek to."""

    kind: Literal["rate", "seek", "play", "pause"]
    value: float | None = None


@dataclass(slots=True)
class Decision:
    """What to do, and how it stands; `error` is position minus target, s."""

    actions: list[Action] = field(default_factory=list)
    phase: Phase = "idle"
    error: float | None = None


@dataclass(slots=True)
class _Learning:
    what: Literal["seek", "start"]
    commanded: bool
    since: float
    ready_since: float | None = None


@dataclass(slots=True)
class _Aim:
    to: float
    since: float
    landed: bool = False


class Controller:
    """State, measured position and time in; at most a few actions out."""

    def __init__(self) -> None:
        self._timeline: Timeline | None = None
        self._jump = False
        self._still_tries = 0
        self._settle_until = 0.0
        self._settle_seek_used = False
        self._cool_until = 0.0
        self._seeks = 0
        self._gave_up = False
        self._correcting = 0
        self._last_play = -math.inf
        self._not_yet_since: float | None = None
        self._learning: _Learning | None = None
        self._was_paused = True
        self._last_hold = False
        self._aim: _Aim | None = None
        self._measured = False
        self.seek_cost = 0.2
        self.start_lead = 0.04

    def set_timeline(self, timeline: Timeline | None, now: float) -> None:
        """Take the room's state; call again whenever it changes."""
        before = self._timeline
        self._timeline = timeline
        if timeline is None:
            return
        if before is not None and before == timeline:
            return
        if jumps(before, timeline, now):
            self._jump = True
            self._aim = None
            self._forgive(now)
        if before is None or before.state.revision != timeline.state.revision:
            self._still_tries = 0
            self._correcting = 0
            if before is None or before.state.playing != timeline.state.playing:
                self._forgive(now)

    def reset(self, now: float) -> None:
        """The media was replaced."""
        self._jump = True
        self._aim = None
        self._learning = None
        self._was_paused = True
        self._not_yet_since = None
        self._forgive(now)

    def resync(self, now: float) -> None:
        """A person asked for another try: one seek at once."""
        self._jump = True
        self._aim = None
        self._forgive(now)

    def start_at(self, now: float) -> float | None:
        """Server time at which `play()` should be called, where a start lies ahead; or None."""
        if self._timeline is None:
            return None
        if self._aim is not None:
            return now + self._time_to(self._aim, position_at(self._timeline, now)) * 1000
        return self._timeline.state.at - self.start_lead * 1000 if holding(self._timeline, now) else None

    def decide(self, player: PlayerStatus, now: float) -> Decision:
        """What to do now."""
        timeline = self._timeline
        if timeline is None or timeline.state.item is None:
            return Decision()
        state = timeline.state
        if self._gave_up:
            return Decision([] if player.paused else [Action("pause")], "gave_up")
        target = position_at(timeline, now)
        error = None if player.position is None else player.position - target
        self._learn(player, error, now)
        hold = state.playing and now < state.at - self.start_lead * 1000
        if self._last_hold and not hold:
            self._forgive(now)
        self._last_hold = hold
        if not state.playing or hold:
            return self._still(player, position_at(timeline, now if state.playing else state.at), now, hold)
        if not state.live and player.ended and target >= player.latest - 0.25:
            return Decision([], "ended")
        if player.paused:
            return self._start(player, target, error, now)
        self._aim = None
        self._was_paused = False
        if self._jump and error is not None and player.ready_state >= 1 and not player.seeking:
            self._jump = False
            if abs(error) > GENTLE_S:
                return self._obey(player, target, error, now)
        if player.seeking or player.buffering or player.ready_state < 3 or error is None:
            return Decision(self._rate(player, state.rate), "waiting", error)
        if self._learning is not None:
            return Decision(self._rate(player, state.rate), "following", error)
        return self._correct(player, target, error, now)

    def _still(self, player: PlayerStatus, place: float, now: float, hold: bool) -> Decision:
        actions: list[Action] = []
        self._aim = None
        phase: Phase = "holding" if hold else "paused"
        if not player.paused:
            actions.append(Action("pause"))
        self._was_paused = True
        actions += self._rate(player, self._pace())
        error = None if player.position is None else player.position - place
        if player.position is None or error is None or player.seeking or player.ready_state < 1:
            return Decision(actions, phase, error)
        to = min(max(place, player.earliest), player.latest)
        late = self._late(now) if hold else 0.0
        tries = 1 if late > 0 else _STILL_TRIES
        if abs(player.position - to) > _STILL_TOLERANCE_S and self._still_tries < tries:
            self._still_tries += 1
            self._cool_until = min(self._cool_until, now)
            actions.append(Action("seek", min(to + late * self._pace(), player.latest)))
        self._jump = False
        return Decision(actions, phase if hold else self._standing(player, place, error), error)

    def _late(self, now: float) -> float:
        at = self._timeline.state.at if self._timeline is not None else now
        return max(0.0, (now - at) / 1000 + self.seek_cost + self.start_lead)

    def _standing(self, player: PlayerStatus, place: float, error: float) -> Phase:
        if self._timeline is None or not self._timeline.state.live or abs(error) <= GENTLE_S:
            return "paused"
        if place < player.earliest - _STILL_TOLERANCE_S:
            return "gone"
        return "not_yet" if place > player.latest + _STILL_TOLERANCE_S else "paused"

    def _start(self, player: PlayerStatus, target: float, error: float | None, now: float) -> Decision:
        if player.ready_state < 1 or error is None:
            return Decision([], "waiting", error)
        if target < player.earliest - DEAD_ZONE_S:
            if self._not_yet_since is None:
                self._not_yet_since = now
            if now - self._not_yet_since < _NOT_YET_LIMIT_MS:
                return Decision([], "not_yet", error)
        else:
            self._not_yet_since = None
        actions = self._rate(player, self._pace())
        self._jump = False
        if self._aim is None and not player.seeking and GENTLE_S < error <= _WAIT_S * self._pace():
            self._aim = _Aim(target + error, now, landed=True)
        elif self._aim is None and not player.seeking and abs(error) > GENTLE_S:
            ahead = self.seek_cost + self.start_lead + (_AIM_S if self._measured else _FIRST_AIM_S)
            self._aim = _Aim(self._reach(player, target + ahead * self._pace()), now)
            actions.append(Action("seek", self._aim.to))
            return Decision(actions, "holding", error)
        aim = self._aim
        if aim is not None:
            if not aim.landed and not player.seeking and player.ready_state >= 3:
                aim.landed = True
                self._measured = True
                self.seek_cost += 0.7 * (min((now - aim.since) / 1000, 2.0) - self.seek_cost)
            if self._time_to(aim, target) > 0:
                return Decision(actions, "holding", error)
            self._aim = None
            self._landing("start" if aim.landed else "seek", True, now)
        elif self._was_paused:
            self._landing("seek" if player.seeking else "start", True, now)
        if now - self._last_play >= _PLAY_RETRY_MS or self._was_paused:
            self._last_play = now
            actions.append(Action("play"))
        if self._was_paused:
            self._forgive(now)
        self._was_paused = False
        return Decision(actions, "following", error)

    def _time_to(self, aim: _Aim, target: float) -> float:
        return (aim.to - target) / self._pace() - self.start_lead

    def _obey(self, player: PlayerStatus, target: float, error: float, now: float) -> Decision:
        self._landing("seek", True, now)
        self._cool_until = now + COOL_DOWN_MS
        to = self._reach(player, target + self.seek_cost * self._pace())
        return Decision([*self._rate(player, self._pace()), Action("seek", to)], "following", error)

    def _correct(self, player: PlayerStatus, target: float, error: float, now: float) -> Decision:
        off = abs(error)
        if off <= GENTLE_S:
            self._seeks = 0
        if error > 0 and target < player.earliest - 1:
            return Decision(self._rate(player, self._pace()), "gone", error)
        settling = now < self._settle_until and not self._settle_seek_used
        displaced = off > FIRM_S
        wants_seek = displaced or (off > LANDING_S and settling)
        reachable = error > 0 or player.latest - (player.position or 0.0) > _LIVE_MARGIN_S
        if wants_seek and reachable and (now >= self._cool_until or settling):
            if self._seeks >= MAX_SEEKS:
                self._gave_up = True
                return Decision([Action("pause")], "gave_up", error)
            self._seeks += 1
            self._settle_seek_used = True
            self._cool_until = now + COOL_DOWN_MS
            self._landing("seek", displaced, now)
            self._correcting = 0
            to = self._reach(player, target + self.seek_cost * self._pace())
            return Decision([*self._rate(player, self._pace()), Action("seek", to)], "following", error)
        wanted = self._pace() * (1 + self._nudge(error, reachable, now < self._settle_until))
        return Decision(self._rate(player, wanted), "following", error)

    def _nudge(self, error: float, reachable: bool, landing: bool) -> float:
        off = abs(error)
        side = 1 if error > 0 else -1
        if self._correcting != 0 and (off <= SETTLED_S or side != self._correcting):
            self._correcting = 0
        quiet = LANDING_ZONE_S if landing else DEAD_ZONE_S
        if self._correcting == 0 and off > quiet:
            self._correcting = side
        if self._correcting == 0 or (error < 0 and not reachable):
            return 0.0
        limit = LANDING_RATE if landing else FIRM_RATE if off > GENTLE_S else GENTLE_RATE
        wanted = max(_RATE_FLOOR, min(limit, off / (_LANDING_CORRECTION_S if landing else _CORRECTION_S)))
        # Half up, as JavaScript rounds.
        return -side * math.floor(wanted / _RATE_STEP + 0.5) * _RATE_STEP

    def _rate(self, player: PlayerStatus, wanted: float) -> list[Action]:
        return [] if abs(player.rate - wanted) < _RATE_STEP / 2 else [Action("rate", wanted)]

    def _pace(self) -> float:
        return self._timeline.state.rate if self._timeline is not None else 1.0

    def _reach(self, player: PlayerStatus, to: float) -> float:
        live = self._timeline is not None and self._timeline.state.live
        end = player.latest - _LIVE_MARGIN_S if live else player.latest
        return max(player.earliest, min(to, end))

    def _landing(self, what: Literal["seek", "start"], commanded: bool, now: float) -> None:
        self._learning = _Learning(what, commanded, now)

    def _learn(self, player: PlayerStatus, error: float | None, now: float) -> None:
        landing = self._learning
        if landing is None:
            return
        if player.paused or player.seeking or player.buffering or player.ready_state < 3 or error is None:
            landing.ready_since = None
            if now - landing.since > _LANDING_LIMIT_MS:
                self._learning = None
            return
        if landing.ready_since is None:
            landing.ready_since = now
            if landing.commanded:
                self._settle_until = now + SETTLE_MS
        if now - landing.ready_since < _MEASURE_MS:
            return
        self._learning = None
        if abs(error) > 2:
            return
        if landing.what == "seek":
            self._measured = True
            self.seek_cost = min(max(self.seek_cost - 0.7 * error, 0.0), 2.0)
        else:
            self.start_lead = min(max(self.start_lead - 0.7 * error, 0.0), 0.3)

    def _forgive(self, now: float) -> None:
        self._settle_until = now + SETTLE_MS
        self._settle_seek_used = False
        self._cool_until = 0.0
        self._seeks = 0
        self._gave_up = False
        self._correcting = 0
