"""W3C trace context: one `traceparent` follows a request from the edge over the bus and back."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from typing import Final

HEADER: Final = "traceparent"
_FORM: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def enter(incoming: str | None) -> str:
    """Go on with the caller's trace in this context, or begin one; a malformed header begins one."""
    if incoming and _FORM.fullmatch(incoming):
        trace_id, flags = incoming[3:35], incoming[53:55]
    else:
        trace_id, flags = secrets.token_hex(16), "01"
    value = f"00-{trace_id}-{secrets.token_hex(8)}-{flags}"
    _current.set(value)
    return value


def current() -> str:
    """The `traceparent` of this context, begun if there is none."""
    return _current.get() or enter(None)


def trace_id() -> str | None:
    """The trace id of this context, if any."""
    value = _current.get()
    return value[3:35] if value else None
