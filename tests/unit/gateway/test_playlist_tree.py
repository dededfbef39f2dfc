"""Folders of a playlist."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.playlist_tree import FOLDER_DEPTH_MAX, Node, Tree

TREE = Tree(
    [
        Node("film", None, folder=False),
        Node("shows", None, folder=True),
        Node("one", "shows", folder=True),
        Node("pilot", "one", folder=False),
        Node("other", None, folder=True),
    ]
)


def test_a_folder_goes_with_all_that_is_in_it() -> None:
    """Parents first; an item alone is itself; what is not there is nothing."""
    assert [node.id for node in TREE.with_all_below("shows")] == ["shows", "one", "pilot"]
    assert [node.id for node in TREE.with_all_below("film")] == ["film"]
    assert TREE.with_all_below("nothing") == []


@pytest.mark.parametrize(
    ("parent", "item", "fault"),
    [
        (None, "one", None),
        ("other", "shows", None),
        ("shows", None, None),
        ("nothing", None, "no such folder"),
        ("film", "pilot", "Only a folder"),
        ("shows", "shows", "into itself"),
        ("one", "shows", "into itself"),
    ],
)
def test_what_may_go_where(parent: str | None, item: str | None, fault: str | None) -> None:
    """Into folders that are there, never into itself or what is in it."""
    why_not = TREE.why_not_in(parent, item=item)

    assert (why_not is None) == (fault is None)
    assert fault is None or (why_not is not None and fault in why_not)


def chain(depth: int, prefix: str = "f") -> list[Node]:
    return [
        Node(f"{prefix}{n}", f"{prefix}{n - 1}" if n > 1 else None, folder=True) for n in range(1, depth + 1)
    ]


def test_folders_are_nested_so_deep_and_no_deeper() -> None:
    """A file fits into the deepest folder, another folder does not, and neither do folders that hold some."""
    full = Tree(chain(FOLDER_DEPTH_MAX))
    two = Tree([*chain(FOLDER_DEPTH_MAX - 1), *chain(2, "g")])

    assert full.why_not_in(f"f{FOLDER_DEPTH_MAX}") is None
    assert full.why_not_in(f"f{FOLDER_DEPTH_MAX}", folder=True) is not None
    assert two.why_not_in(f"f{FOLDER_DEPTH_MAX - 1}", item="g1") is not None
    assert two.why_not_in(f"f{FOLDER_DEPTH_MAX - 2}", item="g1") is None


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=60))
def test_no_series_of_moves_makes_a_circle(moves: list[tuple[int, int]]) -> None:
    """Whatever is allowed leaves a tree of bounded depth with everything in it."""
    parents: dict[str, str | None] = {f"n{n}": None for n in range(16)}
    for item, parent in moves:
        tree = Tree(Node(name, above, folder=True) for name, above in parents.items())
        if tree.why_not_in(f"n{parent}", item=f"n{item}") is None:
            parents[f"n{item}"] = f"n{parent}"

    tree = Tree(Node(name, above, folder=True) for name, above in parents.items())
    assert max(tree.depth(name) for name in parents) <= FOLDER_DEPTH_MAX
    reached = [
        node.id for name, above in parents.items() if above is None for node in tree.with_all_below(name)
    ]
    assert sorted(reached) == sorted(parents)
