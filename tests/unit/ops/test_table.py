"""Tables at the terminal."""

from ops.table import table


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    """Lines end where their text ends."""
    assert table(("ROOM", "N"), [("longer", 1), ("r", 20)]) == "ROOM    N\nlonger  1\nr       20"


def test_a_name_from_outside_cannot_steer_the_terminal() -> None:
    """Escape sequences and line breaks in a room's name are dropped."""
    assert table(("NAME",), [("a\x1b[2J\nb\x9bc",)]) == "NAME\na[2Jbc"
