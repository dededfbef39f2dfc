"""Folders of a playlist: who is below whom, and what may go where. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

FOLDER_DEPTH_MAX: Final = 8
"""Folders within folders: deeper is no order any more, and every walk is bounded by it."""


@dataclass(frozen=True, slots=True)
class Node:
    """An item as far as its place in the tree goes."""

    id: str
    parent: str | None
    folder: bool
    added_by: str = ""


class Tree:
    """All items of a room."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes = {node.id: node for node in nodes}
        self._below: dict[str, list[str]] = defaultdict(list)
        for node in self.nodes.values():
            if node.parent is not None:
                self._below[node.parent].append(node.id)

    def with_all_below(self, item: str) -> list[Node]:
        """The item, and everything in it, parents first."""
        found = [self.nodes[item]] if item in self.nodes else []
        for node in found:  # grows as it is walked
            found += [self.nodes[child] for child in self._below.get(node.id, ())]
        return found

    def depth(self, item: str | None) -> int:
        """How many folders the item is in, itself included; 0 for the top."""
        depth = 0
        while item is not None and depth <= len(self.nodes):
            depth += 1
            item = self.nodes[item].parent if item in self.nodes else None
        return depth

    def why_not_in(self, parent: str | None, *, item: str | None = None, folder: bool = False) -> str | None:
        """What is wrong with this parent for an item (None: a new one, a folder or not); None if nothing is."""
        if parent is None:
            return None
        if parent not in self.nodes:
            return "There is no such folder in this playlist."
        if not self.nodes[parent].folder:
            return "Only a folder holds items."
        moved = self.with_all_below(item) if item is not None else []
        if any(node.id == parent for node in moved):
            return "A folder cannot go into itself."
        base = self.depth(item)
        height = max((self.depth(node.id) - base + 1 for node in moved if node.folder), default=int(folder))
        if self.depth(parent) + height > FOLDER_DEPTH_MAX:
            return f"Folders are nested {FOLDER_DEPTH_MAX} deep at most."
        return None
