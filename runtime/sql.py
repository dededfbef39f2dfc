"""SQL in files: each statement stands under a line `-- name: what_it_does`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"^-- name: ([a-z_]+)\n", re.MULTILINE)


def queries(path: Path) -> dict[str, str]:
    """The statements of a file by name; ValueError on a name given twice or on SQL before the first."""
    before, *pieces = _NAME.split(path.read_text("utf-8"))
    if any(line and not line.startswith("--") for line in before.splitlines()):
        raise ValueError(f"{path.name}: SQL before the first name")
    statements: dict[str, str] = {}
    for name, statement in zip(pieces[::2], pieces[1::2], strict=True):
        if name in statements:
            raise ValueError(f"{path.name}: {name} stands twice")
        statements[name] = statement.strip().rstrip(";")
    return statements
