"""Identifiers."""

from bus_schemas.messages.base import TOKEN
from runtime.ids import new_id, new_secret


def test_an_id_is_a_token_and_another_each_time() -> None:
    """It may stand in a subject and in a URL."""
    ids = {new_id() for _ in range(1_000)}

    assert len(ids) == 1_000
    assert all(TOKEN.fullmatch(one) and len(one) == 14 for one in ids)
    assert len(new_secret()) == 34
