"""What all control messages share."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

TOKEN_PATTERN: Final = r"[A-Za-z0-9_-]+"  # noqa: S105  # a token of a subject, no secret
TOKEN: Final = re.compile(TOKEN_PATTERN)

Id = Annotated[str, StringConstraints(pattern=rf"^{TOKEN_PATTERN}$", min_length=1, max_length=64)]
"""An identifier that may stand as a token of a subject."""
EpochMs = Annotated[int, Field(ge=0, lt=1 << 53)]
"""Milliseconds since 1970."""


class Shape(BaseModel):
    """A frozen value of the contract; fields a newer producer adds are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class BusMessage(Shape):
    """A control message on the bus; an unknown version does not parse, and so goes to the dead letters."""

    v: Literal[1] = 1
