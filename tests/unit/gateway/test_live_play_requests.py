"""What ingest workers are told of their players, whatever the database does."""

from typing import Any, cast

import pytest

from bus_schemas.messages.live import PlayAsked
from gateway.live.play_requests import _on_beat


class Gateway:
    """Sessions and rights; notes in which order they were asked. `allows` is an answer or an error."""

    def __init__(self, allows: bool | Exception) -> None:
        self.asked: list[str] = []
        self._allows = allows

    async def beat_elsewhere(self, session: Any) -> None:
        self.asked.append(f"beat of {session.id}")

    async def may_play(self, stream: str, user: str | None) -> bool:
        self.asked.append(f"may {user} play {stream}")
        if isinstance(self._allows, Exception):
            raise self._allows
        return self._allows


BEAT = PlayAsked(stream="s1", stage="beat", session="viewer", user="ann", address="10.0.0.1")


async def test_a_player_is_there_though_nobody_can_look_his_right_up() -> None:
    """He goes on, so he is counted on; his worker gets no answer, which ends nothing."""
    gateway = Gateway(ConnectionError("the database is away"))

    with pytest.raises(ConnectionError):
        await _on_beat(BEAT, cast("Any", gateway), cast("Any", gateway))

    assert gateway.asked == ["beat of viewer", "may ann play s1"]


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_beat_is_answered_with_whether_he_still_may(allowed: bool) -> None:
    """Whose right has ended is told so in words."""
    gateway = Gateway(allowed)

    answer = await _on_beat(BEAT, cast("Any", gateway), cast("Any", gateway))

    assert answer.allowed is allowed
    assert bool(answer.detail) is not allowed
