"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path, typer.Option("--data", envvar="MATINEE_DATA", help="Data directory of the embedded servers.")
]
