"""Where a room is at a moment: `web/src/sync/timeline.ts` in Python, held to it by tests/data/sync_vectors.json."""

from __future__ import annotations

from dataclasses import dataclass

from bus_schemas.limits import LIVE_POSITION_MIN_S


@dataclass(frozen=True, slots=True)
class State:
    """The room's playback state as a client has it: seconds, epoch ms (`PlaybackState` of the contract)."""

    item: str | None = "a"
    playing: bool = False
    position: float = 0.0
    rate: float = 1.0
    at: float = 0.0
    revision: int = 0
    live: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    """The state, and how far behind the publisher a live item plays."""

    state: State
    live_delay_ms: float = 3_000.0


def position_at(timeline: Timeline, server_ms: float) -> float:
    """The position in seconds at a server time; before `at` it stands still."""
    state = timeline.state
    if state.live and state.position < LIVE_POSITION_MIN_S:
        return (server_ms - timeline.live_delay_ms) / 1000
    if not state.playing:
        return state.position
    return state.position + (max(0.0, server_ms - state.at) / 1000) * state.rate


def holding(timeline: Timeline, server_ms: float) -> bool:
    """Whether players wait for a scheduled start."""
    return timeline.state.playing and server_ms < timeline.state.at


def jumps(before: Timeline | None, after: Timeline, server_ms: float) -> bool:
    """Whether going from one state to the next moves the position, rather than letting it run on."""
    if before is None or before.state.item != after.state.item:
        return True
    return abs(position_at(before, server_ms) - position_at(after, server_ms)) > 1
