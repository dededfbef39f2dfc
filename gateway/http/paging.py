"""Lists page by cursor: `?limit=&after=` → `{items, next}`; a cursor is opaque to clients."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from pydantic import Field

from bus_schemas.errors import ErrorCode, Refused
from bus_schemas.messages.base import Shape

T = TypeVar("T")

LIMIT_MAX: Final = 200


class PageQuery(Shape):
    """How many, and after which cursor."""

    limit: int = Field(default=50, ge=1, le=LIMIT_MAX)
    after: str | None = Field(default=None, max_length=200)

    def position(self) -> tuple[int, str] | None:
        """The cursor read; raises `Refused` invalid for one that is none of ours."""
        return None if not self.after else read_cursor(self.after)


class Page(Shape, Generic[T]):
    """One page; `next` is the cursor of the following one, null at the end."""

    items: tuple[T, ...]
    next: str | None


def cursor(number: int, item: str) -> str:
    """The cursor of a row ordered by a number, then by an id."""
    return base64.urlsafe_b64encode(f"{number}.{item}".encode()).decode().rstrip("=")


def read_cursor(text: str) -> tuple[int, str]:
    """The number and the id in it; raises `Refused` invalid."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        number, _, item = raw.partition(".")
        value = int(number)
        if "\0" in item or abs(value) >= 1 << 62:
            raise ValueError(text)
    except (ValueError, binascii.Error, UnicodeDecodeError) as exc:
        raise Refused(
            ErrorCode.INVALID, "Some values are not right.",
            errors=[{"path": "after", "detail": "no cursor of this list"}],
        ) from exc  # fmt: skip
    return value, item


def cut(
    rows: Sequence[T], limit: int, key: Callable[[T], tuple[int, str]]
) -> tuple[tuple[T, ...], str | None]:
    """The page and its `next`, from one row more than the page wants."""
    page = tuple(rows[:limit])
    return page, cursor(*key(page[-1])) if len(rows) > limit else None
