"""What a room hears of its streams."""

import pytest

from bus_schemas.messages.live import LiveEvent, StopReason, StreamDescribed, StreamStarted, StreamStopped
from bus_schemas.messages.room import StreamStatusChanged
from bus_schemas.messages.shapes import StreamStatus
from gateway.live.status import status_change

STARTED = StreamStarted(stream="s1", epoch=5, at=7, node="n1", room="r1")


def test_a_publisher_makes_the_stream_live() -> None:
    """The room hears of it at the time of the event."""
    assert status_change(LiveEvent(STARTED)) == StreamStatusChanged(
        room="r1", at=7, stream="s1", status=StreamStatus.LIVE
    )


@pytest.mark.parametrize(
    "reason",
    [StopReason.UNPUBLISHED, StopReason.LOST, StopReason.KICKED, StopReason.LIMIT, StopReason.CODEC],
)
def test_whatever_ends_it_makes_it_offline(reason: StopReason) -> None:
    """Members need not know why."""
    change = status_change(LiveEvent(StreamStopped(stream="s1", epoch=5, at=9, reason=reason, room="r1")))

    assert change is not None
    assert change.status is StreamStatus.OFFLINE


@pytest.mark.parametrize(
    "event",
    [
        StreamStopped(stream="s1", epoch=5, at=9, reason=StopReason.REPLACED, room="r1"),
        STARTED.model_copy(update={"room": None}),
        StreamDescribed(stream="s1", epoch=5, at=9, generation=0),
    ],
)
def test_what_changes_nothing_for_a_room_is_not_said(
    event: StreamStarted | StreamStopped | StreamDescribed,
) -> None:
    """A takeover goes on, a stream outside rooms has no members, figures are no news."""
    assert status_change(LiveEvent(event)) is None


def test_a_stream_put_in_anothers_place_is_told_to_its_own_room() -> None:
    """The event of a renamed publish names no room; the database does."""
    event = LiveEvent(StreamStarted(stream="s2", epoch=7, at=1, node="n1"))

    told = status_change(event, "r2")

    assert told is not None
    assert (told.room, told.stream) == ("r2", "s2")
