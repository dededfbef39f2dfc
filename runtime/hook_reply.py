"""What is said to a hook and how its answer is read: SRS's names, JSON, HMAC. Pure.

SRS's convention: HTTP 200 with the body `0`, or a JSON object whose `code` is 0, allows; anything else
denies. The object may change what was asked about: `stream` renames it, `title` and `limits` set its options.
"""

from __future__ import annotations

import hmac
from http import HTTPStatus
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, StrictInt, StringConstraints, ValidationError

from bus_schemas.limits import TITLE_MAX
from bus_schemas.messages.base import Id
from bus_schemas.messages.live import StreamLimits

HookAction = Literal["on_publish", "on_unpublish", "on_play", "on_stop"]

ANSWER_MAX: Final = 64 << 10
"""Bytes of an answer; one with more denies."""
DETAIL_MAX: Final = 200
SIGNATURE_HEADER: Final = "X-Matinee-Signature"
"""`sha256=` and the HMAC-SHA256 in hexadecimal, keyed with `hooks.secret`, of the timestamp header's value,
a dot, and the body."""
TIMESTAMP_HEADER: Final = "X-Matinee-Timestamp"
"""Milliseconds since 1970; inside what is signed, so that an old request cannot be sent again."""


class HookDeniedError(Exception):
    """A hook does not allow it, or did not say that it does: a sentence for who asked, and the counter's label."""

    def __init__(self, detail: str, outcome: Literal["denied", "invalid", "timeout", "unreachable"]) -> None:
        super().__init__(detail)
        self.detail = detail
        self.outcome = outcome


class HookAnswer(BaseModel):
    """What an allowing answer says; nothing but `code` is wanted."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    code: StrictInt
    stream: Id | None = None
    """Another stream in place of the one asked about."""
    title: Annotated[str, StringConstraints(strip_whitespace=True, max_length=TITLE_MAX)] | None = None
    limits: StreamLimits | None = None
    """In place of the key's own; 0 leaves the site's."""
    message: str = ""
    """Why not, for who asked."""

    def then(self, later: HookAnswer) -> HookAnswer:
        """Both answers; where both say something the later one counts."""
        return self.model_copy(update=later.model_dump(exclude_none=True, exclude={"limits"})).model_copy(
            update={"limits": later.limits or self.limits}
        )


ALLOWED: Final = HookAnswer(code=0)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """The value of `SIGNATURE_HEADER`."""
    signed = timestamp.encode() + b"." + body
    return "sha256=" + hmac.digest(secret.encode(), signed, "sha256").hex()


def read_answer(status: int, body: bytes) -> HookAnswer:
    """An allowing answer; raises `HookDeniedError` for every other, and for what cannot be read."""
    if status != HTTPStatus.OK:
        raise HookDeniedError(f"the hook answered with status {status}", "invalid")
    if len(body) > ANSWER_MAX:
        raise HookDeniedError(f"the hook's answer has more than {ANSWER_MAX >> 10} KB", "invalid")
    if body.strip() == b"0":
        return ALLOWED
    try:
        answer = HookAnswer.model_validate_json(body)
    except ValidationError as error:
        raise HookDeniedError("the hook's answer cannot be read", "invalid") from error
    if answer.code != 0:
        said = "".join(letter for letter in answer.message if letter.isprintable())[:DETAIL_MAX].strip()
        raise HookDeniedError(said or f"the hook denies it (code {answer.code})", "denied")
    return answer
