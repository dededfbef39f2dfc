"""One file of vectors for the two copies of the sync core: `python -m bench.sync.vectors` writes it anew.

Each case is a list of calls with what comes out of them. Inputs come from the table of situations below,
answers from the Python copy; `web/tests/sync_vectors.test.ts` holds the browser's core to the same file.
A player's fields stand there only where they differ from a player that stands well.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from bench.sync.clock import Clock, SleepDetector, TimeSample
from bench.sync.controller import Controller, Decision, PlayerStatus
from bench.sync.timeline import State, Timeline, holding, jumps, position_at

FILE: Final = Path(__file__).parents[2] / "tests" / "data" / "sync_vectors.json"
_T0: Final = 1_700_000_000_000.0

Json = dict[str, Any]

_PLAYING: Final = State(playing=True, position=100.0, at=_T0, revision=1)
_LIVE: Final = State(playing=True, position=_T0 / 1000 - 3, at=_T0, revision=1, live=True)

TIMELINES: Final[dict[str, State]] = {
    "playing": _PLAYING,
    "faster": replace(_PLAYING, rate=1.5),
    "slower": replace(_PLAYING, rate=0.5),
    "ahead": replace(_PLAYING, at=_T0 + 900),
    "paused": replace(_PLAYING, playing=False),
    "nothing": replace(_PLAYING, item=None),
    "live": _LIVE,
    "live, undated": replace(_LIVE, position=0.0),
    "live, paused": replace(_LIVE, playing=False),
}
ERRORS: Final = (0.0, 0.007, -0.007, 0.019, -0.021, 0.06, -0.119, 0.121, -0.5, 0.99, -1.01, 2.5, -40.0)
CONDITIONS: Final[dict[str, Json]] = {
    "well": {},
    "paused": {"paused": True},
    "seeking": {"seeking": True, "ready_state": 1},
    "buffering": {"buffering": True, "ready_state": 2},
    "no data": {"ready_state": 0},
    "at its edge": {"edge": 0.1},
    "too fast": {"rate": 1.06},
    "at the end": {"edge": 0.1, "ended": True},
    "no longer kept": {"begins": 5.0},
}


def _wire(status: PlayerStatus) -> Json:
    """What differs from a player that stands well (`PlayerStatus()`)."""
    plain = asdict(PlayerStatus())
    return {name: value for name, value in asdict(status).items() if value != plain[name]}


def _answer(decision: Decision) -> Json:
    return {
        "actions": [list(action) for action in decision.actions],
        "phase": decision.phase,
        "error": decision.error,
    }


class _Case:
    """Calls to one controller, written down with their answers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.controller = Controller()
        self.calls: list[Json] = []

    def line(self, state: State | None, now: float, live_delay_ms: float = 3_000.0) -> None:
        timeline = None if state is None else Timeline(state, live_delay_ms)
        self.controller.set_timeline(timeline, now)
        self.calls.append(
            {
                "call": "setTimeline",
                "now": now,
                "state": None if state is None else asdict(state),
                "live_delay_ms": live_delay_ms,
                "start_at": self.controller.start_at(now),
            }
        )

    def simple(self, call: str, now: float) -> None:
        {"reset": self.controller.reset, "resync": self.controller.resync}[call](now)
        self.calls.append({"call": call, "now": now})

    def decide(self, status: PlayerStatus, now: float) -> Decision:
        decision = self.controller.decide(status, now)
        self.calls.append(
            {
                "call": "decide",
                "now": now,
                "player": _wire(status),
                "answer": _answer(decision),
                "start_at": self.controller.start_at(now),
                "seek_cost": self.controller.seek_cost,
                "start_lead": self.controller.start_lead,
            }
        )
        return decision

    def written(self) -> Json:
        return {"name": self.name, "calls": self.calls}


def _status(state: State, now: float, error: float, condition: Json) -> PlayerStatus:
    given = dict(condition)
    edge, begins = given.pop("edge", None), given.pop("begins", None)
    position = position_at(Timeline(state), now) + error
    status = PlayerStatus(position=position, **given)
    if state.live:
        status.earliest, status.latest = position - 60, position + 2
    if edge is not None:
        status.latest = position + edge
    if begins is not None:
        status.earliest = position + begins
    return status


def _table() -> Iterator[Json]:
    """Every timeline × condition × error: once at the beginning, once when long under way."""
    for line, state in TIMELINES.items():
        for condition, given in CONDITIONS.items():
            case = _Case(f"{line}; {condition}")
            now = _T0 + 50
            for error in ERRORS:
                case.simple("reset", now)
                case.line(replace(state, revision=len(case.calls)), now)
                case.decide(_status(state, now, error, given), now)
                for step in range(2):
                    now += 800
                    case.decide(_status(state, now, error / (1 + step % 2), given), now)
                now = _T0 + 50
            yield case.written()


def _stories() -> Iterator[Json]:
    """Longer lives of one controller, drawn by lot: commands, stalls, seeks that land, give-ups."""
    for seed in range(16):
        lot = random.Random(seed)
        case = _Case(f"story {seed}")
        state = lot.choice(list(TIMELINES.values()))
        now, error, status = _T0, 0.0, PlayerStatus()
        case.line(state, now)
        for _ in range(80):
            now += lot.choice((16.0, 100.0, 100.0, 100.0, 700.0, 5_000.0))
            if lot.random() < 0.06:
                state = replace(
                    lot.choice(list(TIMELINES.values())), revision=state.revision + 1,
                    at=now + lot.choice((0.0, 400.0, -2_000.0)), position=round(lot.uniform(0, 3_000), 3),
                )  # fmt: skip
                case.line(state, now, lot.choice((3_000.0, 1_200.0)))
            if lot.random() < 0.02:
                case.simple(lot.choice(("reset", "resync")), now)
            if lot.random() < 0.15:
                error = lot.choice((1, -1)) * 10 ** lot.uniform(-3, 1)
            status = _status(state, now, error, {"rate": status.rate, "paused": status.paused})
            status.seeking = lot.random() < 0.05
            status.buffering = lot.random() < 0.05
            status.ready_state = 1 if status.seeking else 2 if status.buffering else 4
            status.ended = lot.random() < 0.03
            if lot.random() < 0.04:
                status.position = None
            for action in case.decide(status, now).actions:
                if action.kind == "seek":
                    error = lot.uniform(-0.3, 0.3)
                elif action.kind == "rate" and action.value is not None:
                    status.rate = action.value
                else:
                    status.paused = action.kind == "pause"
        yield case.written()


def _hopeless() -> Json:
    """A player that lands elsewhere after every seek, until it is given up, and a person's wish for another try."""
    case, now = _Case("a player whose seeks do not help"), _T0 + 60_000
    case.line(_PLAYING, now)
    for _ in range(40):
        case.decide(_status(_PLAYING, now, -5.0, {}), now)
        now += 1_000
    case.decide(_status(_PLAYING, now, -5.0, {"paused": True}), now)
    case.simple("resync", now)
    case.decide(_status(_PLAYING, now, -5.0, {"paused": True}), now)
    return case.written()


def _clocks() -> Iterator[Json]:
    """Exchanges over networks of every kind, with clocks that are wrong by up to an hour and drift."""
    for seed, (skew, ppm, base, jitter) in enumerate(
        [
            (0, 0, 20, 2),
            (3_600_000, 60, 100, 50),
            (-3_600_000, -80, 300, 150),
            (17.5, 30, 1, 1),
            (0, 900, 40, 5),
        ]
    ):
        lot = random.Random(seed)
        clock, true = Clock(), 0.0
        calls: list[Json] = []

        def local(at: float, skew: float = skew, ppm: float = ppm) -> float:
            return _T0 + at * (1 + ppm * 1e-6) + skew

        for number in range(60):
            up, down = (base / 2 + lot.uniform(-jitter, jitter) / 2 for _ in range(2))
            sample = TimeSample(
                local(true), _T0 + true + up, _T0 + true + up + 0.2, local(true + up + 0.2 + down)
            )
            if number % 19 == 18:
                sample = (
                    replace(sample, t3=sample.t0 - 5) if number % 2 else replace(sample, t1=sample.t1 - 1e9)
                )
            if number == 45:
                clock.reset()
                calls.append({"call": "reset"})
            used = clock.add(sample)
            true += clock.next_in
            calls.append(
                {
                    "call": "add", "sample": asdict(sample), "used": used, "next_in": clock.next_in,
                    "delay": clock.delay, "drift": clock.drift, "samples": clock.samples,
                    "at": local(true), "server": clock.server_at(local(true)),
                }
            )  # fmt: skip
        yield {"name": f"clock {seed}", "calls": calls}


def _sleeps() -> list[Json]:
    detector = SleepDetector()
    looks = [(0, 0), (100, 100), (200, 5_200), (300, 5_300), (400, 4_350), (500, 2_000), (600, 2_900)]
    calls: list[Json] = []
    for monotonic, wall in looks:
        calls.append({"monotonic": monotonic, "wall": wall, "slept": detector.look(monotonic, wall)})
    return calls


def _lines() -> Iterator[Json]:
    for name, state in TIMELINES.items():
        for later in (-500.0, 0.0, 450.0, 900.0, 3_723_456.0):
            line, moved = Timeline(state), Timeline(replace(state, position=state.position + 1.5, revision=2))
            now = _T0 + later
            written: Json = {
                "name": name, "state": asdict(state), "now": now, "position": position_at(line, now),
                "holding": holding(line, now), "jumps_to_self": jumps(line, line, now),
                "jumps_to_moved": jumps(line, moved, now), "jumps_from_none": jumps(None, line, now),
                "moved": asdict(moved.state),
            }  # fmt: skip
            yield written


def generate() -> Json:
    """The content of the file."""
    parts: dict[str, Callable[[], Any]] = {
        "controller": lambda: [*_table(), *_stories(), _hopeless()],
        "clock": lambda: list(_clocks()),
        "sleep": _sleeps,
        "timeline": lambda: list(_lines()),
    }
    return {name: make() for name, make in parts.items()}


def main() -> None:
    """Write the file."""
    rounded = json.dumps(generate(), separators=(",", ":"), sort_keys=True, allow_nan=False)
    FILE.write_text(rounded.replace('{"calls"', '\n{"calls"') + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
