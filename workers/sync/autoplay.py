"""What follows an item, and what comes before it. Pure; the same answer for the same playlist, everywhere.

A shuffle round plays each item once. Its order is no list made ahead, which every change of the playlist would
break, but a rule: of the items not played in this round, the one whose hash with the round's first item is least.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bus_schemas.messages.shapes import PlaybackMode

PLAYED_KEPT: Final = 5_000
"""Items of a shuffle round: whoever adds, picks and removes without end makes no state without end."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An item as far as its place in the playlist goes."""

    id: str
    parent: str | None = None
    position: int = 0
    duration: float | None = None
    live: bool = False
    folder: bool = False
    """It holds others, and is not played itself."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where to go, and the shuffle round once there."""

    entry: Entry | None
    played: tuple[str, ...] = ()


def depth_first(entries: Iterable[Entry]) -> list[Entry]:
    """The playlist in playing order: siblings by position, each followed by what is below it; folders left out.

    An entry whose parent is not there stands at the top; nothing is lost and nothing comes twice.
    """
    entries = list(entries)
    known = {entry.id for entry in entries}
    below: dict[str | None, list[Entry]] = defaultdict(list)
    for entry in entries:
        below[entry.parent if entry.parent in known else None].append(entry)
    for siblings in below.values():
        siblings.sort(key=lambda entry: (entry.position, entry.id), reverse=True)
    ordered: list[Entry] = []
    waiting = below[None]
    while waiting:
        entry = waiting.pop()
        if not entry.folder:
            ordered.append(entry)
        waiting.extend(below.get(entry.id, ()))
    return ordered


def first_below(entries: Iterable[Entry], folder: str) -> Entry | None:
    """The item a folder begins with; None where there is none in it."""
    entries = list(entries)
    parents = {entry.id: entry.parent for entry in entries}
    for entry in depth_first(entries):
        above = entry.parent
        for _ in range(len(parents)):
            if above == folder:
                return entry
            above = parents.get(above) if above is not None else None
    return None


def at_end(
    playlist: Sequence[Entry], current: str | None, mode: PlaybackMode, played: tuple[str, ...]
) -> Step:
    """What follows when `current` has ended by itself."""
    if mode is PlaybackMode.REPEAT_ONE:
        return Step(_find(playlist, current), played)
    return following(playlist, current, mode, played)


def following(
    playlist: Sequence[Entry], current: str | None, mode: PlaybackMode, played: tuple[str, ...]
) -> Step:
    """What `next` leads to; after an item that is gone, or none, the first one."""
    if not playlist:
        return Step(None)
    if mode is PlaybackMode.SHUFFLE:
        return _shuffled(playlist, current, played)
    index = _index(playlist, current) + 1
    if index == len(playlist):
        return Step(playlist[0] if mode is PlaybackMode.REPEAT_ALL else None)
    return Step(playlist[index])


def preceding(
    playlist: Sequence[Entry], current: str | None, mode: PlaybackMode, played: tuple[str, ...]
) -> Step:
    """What `previous` leads to: back along the shuffle round; before an item that is gone, the last one."""
    if mode is PlaybackMode.SHUFFLE:
        before = played[: played.index(current)] if current in played else played
        while before:
            if entry := _find(playlist, before[-1]):
                return Step(entry, before)
            before = before[:-1]
        return Step(None)
    index = _index(playlist, current)
    if index > 0:
        return Step(playlist[index - 1])
    if index == 0:
        return Step(playlist[-1] if mode is PlaybackMode.REPEAT_ALL else None)
    return Step(playlist[-1] if playlist else None)


def chosen(entry: Entry, mode: PlaybackMode, played: tuple[str, ...]) -> Step:
    """Somebody picked this one: it counts as played in the round."""
    if mode is not PlaybackMode.SHUFFLE:
        return Step(entry)
    return Step(entry, (*(item for item in played if item != entry.id), entry.id)[-PLAYED_KEPT:])


def _shuffled(playlist: Sequence[Entry], current: str | None, played: tuple[str, ...]) -> Step:
    done = {*played, current}
    left = [entry for entry in playlist if entry.id not in done]
    if left:
        first = played[0] if played else current
        entry = min(left, key=lambda one: _rank(first, one.id))
        begun = played or ((current,) if current is not None else ())
        return Step(entry, (*begun, entry.id)[-PLAYED_KEPT:])
    # A new round; the item just played does not open it, unless it is alone.
    others = [entry for entry in playlist if entry.id != current] or list(playlist)
    entry = min(others, key=lambda one: _rank(current, one.id))
    return Step(entry, (entry.id,))


def _rank(seed: str | None, item: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{item}".encode(), digest_size=8).digest()


def _index(playlist: Sequence[Entry], item: str | None) -> int:
    return next((index for index, entry in enumerate(playlist) if entry.id == item), -1)


def _find(playlist: Sequence[Entry], item: str | None) -> Entry | None:
    return next((entry for entry in playlist if entry.id == item), None)
