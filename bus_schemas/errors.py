"""Every error code a client can act on, with its HTTP status: one table for HTTP, socket and bus."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final


class ErrorCode(StrEnum):
    """The `code` of a problem document (RFC 9457) and of a socket error frame."""

    INVALID = "invalid"
    """The request cannot be read or breaks a rule; `errors` lists path and detail."""
    UNAUTHENTICATED = "unauthenticated"
    """No token, or one that is expired, forged or revoked."""
    FORBIDDEN = "forbidden"
    """Known, but not allowed."""
    NOT_FOUND = "not_found"
    """No such thing, or its existence is a secret."""
    STREAM_OFFLINE = "stream_offline"
    """The stream is known, and nobody publishes it now."""
    CONFLICT = "conflict"
    """The state moved on; `state` carries the current one where there is one."""
    TOO_LARGE = "too_large"
    """Body, frame or message over its limit."""
    RATE_LIMITED = "rate_limited"
    """Too many; `retry_after` seconds."""
    UNAVAILABLE = "unavailable"
    """A part behind is not answering; try again."""


HTTP_STATUS: Final[dict[ErrorCode, int]] = {
    ErrorCode.INVALID: 422,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.STREAM_OFFLINE: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.UNAVAILABLE: 503,
}
"""`invalid` is 422; a body that is not JSON at all is answered with 400."""


class Refused(Exception):
    """A request refused with a code a client can act on and a sentence a person can act on."""

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        status: int | None = None,
        errors: list[dict[str, str]] | None = None,
        state: dict[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status or HTTP_STATUS[code]
        self.errors = errors
        self.state = state
        self.retry_after = retry_after
