"""Error codes."""

import pytest

from bus_schemas.errors import HTTP_STATUS, ErrorCode, Refused


def test_every_code_has_its_status() -> None:
    """As DESIGN.md §7 has it."""
    assert {str(code): status for code, status in HTTP_STATUS.items()} == {
        "invalid": 422, "unauthenticated": 401, "forbidden": 403, "not_found": 404, "stream_offline": 404,
        "conflict": 409, "too_large": 413, "rate_limited": 429, "unavailable": 503,
    }  # fmt: skip


@pytest.mark.parametrize("code", ErrorCode)
def test_a_refusal_carries_code_sentence_and_status(code: ErrorCode) -> None:
    """The status is the code's, unless it is said otherwise."""
    assert Refused(code, "Why.").status == HTTP_STATUS[code]
    assert Refused(code, "Why.", status=400).status == 400
    assert str(Refused(code, "Why.")) == "Why."
