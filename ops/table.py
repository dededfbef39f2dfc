"""Rows as aligned columns for a terminal."""

from collections.abc import Sequence

_NO_CONTROL = dict.fromkeys((*range(32), 127, *range(128, 160)))


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lines with each column as wide as its widest cell; names from outside cannot move the cursor."""
    cells = [[str(cell).translate(_NO_CONTROL) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)
