"""Whose right to play is to be looked up again, and after what."""

import pytest

from bus_schemas.messages.live import PlayRightsChanged
from bus_schemas.messages.room import MemberChanged, RoomDeleted, RoomEvent, StreamStatusChanged
from bus_schemas.messages.shapes import Member, StreamStatus, User, UserRef
from bus_schemas.permissions import MemberState, RoomRole, SiteRole
from gateway.play_rights import rights_after

ANN = User(id="ann", username="Ann", role=SiteRole.USER, guest=False)


@pytest.mark.parametrize("change", ["left", "updated"])
def test_a_member_who_went_or_was_changed_is_looked_up_again(change: str) -> None:
    """In his room; one who joins has nothing to lose."""
    member = Member(user=ANN, role=RoomRole.MEMBER, state=MemberState.ACTIVE, permissions=0, online=True)
    event = MemberChanged.model_validate({"room": "r1", "at": 1, "change": change, "member": member})
    joined = event.model_copy(update={"change": "joined"})

    assert rights_after(RoomEvent(event)) == PlayRightsChanged(room="r1", user="ann")
    assert rights_after(RoomEvent(joined)) is None


def test_everybody_in_a_room_is_looked_up_when_it_ends() -> None:
    """A stream that begins is nobody's right."""
    deleted = RoomDeleted(room="r1", at=1, by=UserRef(id="ann", username="Ann"))
    began = StreamStatusChanged(room="r1", at=1, stream="s1", status=StreamStatus.LIVE)

    assert rights_after(RoomEvent(deleted)) == PlayRightsChanged(room="r1")
    assert rights_after(RoomEvent(began)) is None


@pytest.mark.parametrize(
    ("changed", "concerned"),
    [
        (PlayRightsChanged(), ["ann", "nobody", "elsewhere"]),
        (PlayRightsChanged(room="r1"), ["ann", "nobody"]),
        (PlayRightsChanged(room="r1", user="ann"), ["ann"]),
        (PlayRightsChanged(stream="s2"), ["elsewhere"]),
        (PlayRightsChanged(user="bob"), []),
    ],
)
def test_a_change_concerns_whom_all_that_it_names_fits(
    changed: PlayRightsChanged, concerned: list[str]
) -> None:
    """A viewer without a name is meant only where no user is named."""
    viewers = {
        "ann": ("r1", "s1", "ann"),
        "nobody": ("r1", "s1", None),
        "elsewhere": (None, "s2", "ann"),
    }

    found = [
        name
        for name, (room, stream, user) in viewers.items()
        if changed.concerns(room=room, stream=stream, user=user)
    ]

    assert found == concerned
