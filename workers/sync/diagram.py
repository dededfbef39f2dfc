"""The diagram of the playback's states, drawn by trying every row of the table on each of them. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import product
from typing import Final

from bus_schemas.messages.room import PastPlayback, PlaybackAction
from bus_schemas.messages.shapes import Hold, PlaybackMode, UserRef
from workers.sync.playback import TRANSITIONS, Command, Lead, Playback, Target, apply
from workers.sync.waiting import HOLD_MS, Laggard, Watch

NOW: Final = 1_790_000_000_000
_BOB: Final = UserRef(id="bob", username="Bob")
_PAUSED: Final = Playback(item="a", position=10.0, at=NOW - 20_000, duration=30.0)
_STATES: Final[tuple[Playback, ...]] = (
    Playback(),
    _PAUSED,
    replace(_PAUSED, playing=True),
    replace(_PAUSED, hold=Hold(since=NOW - HOLD_MS, until=NOW, members=(_BOB,))),
)
_TARGETS: Final = (None, Target("a", 30.0), Target("b", 50.0))
_WATCHES: Final = (None, Watch(2, ()), Watch(2, (Laggard(_BOB, first=False),)))


def name(playback: Playback) -> str:
    """Which of the four states it is in."""
    if playback.hold is not None:
        return "holding"
    if playback.playing:
        return "playing"
    return "nothing" if playback.item is None else "paused"


def edges() -> dict[tuple[str, str], set[str]]:
    """From one state to another: the actions that may lead there."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for before, action in product(_STATES, TRANSITIONS):
        for command in _commands(action):
            after = apply(before, command, NOW, Lead())
            if isinstance(after, Playback):
                found[name(before), name(after)].add(action.value)
    return found


def mermaid() -> str:
    """The diagram for docs/playback.md."""
    lines = ["stateDiagram-v2", "    [*] --> nothing"]
    for (before, after), actions in sorted(edges().items()):
        lines.append(f"    {before} --> {after}: {', '.join(sorted(actions))}")
    return "\n".join(lines) + "\n"


def _commands(action: PlaybackAction) -> list[Command]:
    whole = Command(action, position=5.0, rate=2.0, mode=PlaybackMode.SHUFFLE, revision=0)
    pasts: list[PastPlayback | None] = [None]
    if action is PlaybackAction.UNDO:
        past = PastPlayback(
            at=NOW - 60_000, item="b", playing=True, position=1.0, rate=1.0, live=False,
            mode=PlaybackMode.SEQUENTIAL, duration=50.0,
        )  # fmt: skip
        paused = past.model_copy(update={"playing": False})
        pasts = [past, paused, paused.model_copy(update={"item": None})]
    return [
        replace(whole, target=target, watch=watch, past=past)
        for target, watch, past in product(_TARGETS, _WATCHES, pasts)
    ]
