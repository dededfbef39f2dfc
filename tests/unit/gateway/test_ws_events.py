"""Room events as clients get them."""

import json

import pytest

from bus_schemas.messages.room import ChatPosted, PlaybackChanged
from bus_schemas.messages.shapes import ChatMessage, PlaybackState, UserRef
from bus_schemas.permissions import Permission
from gateway.ws.events import Marks, RoomEventFrame, render, render_danmaku
from gateway.ws.outgoing import Worth

ADA = UserRef(id="u1", username="Ada")


def event(kind: str, seq: int = 5, **body: object) -> RoomEventFrame:
    found = render("r1", seq, json.dumps({"type": kind, **body}).encode())
    assert found is not None
    return found


def test_an_event_gets_its_number_and_loses_what_is_internal() -> None:
    """Clients see type, room, seq and the event's own fields, and none of the bus's."""
    changed = PlaybackChanged(
        room="r1", at=9, state=PlaybackState(revision=2), by=ADA, commands=("c1",), order=("i1",)
    )

    found = render("r1", 7, changed.model_dump_json().encode())

    assert found is not None
    assert (found.seq, found.kind, found.worth) == (7, "playback", Worth.STATE)
    client = json.loads(found.wire[4:])
    assert client == found.body
    assert (client["type"], client["room"], client["seq"], client["at"]) == ("playback", "r1", 7, 9)
    assert client["state"]["revision"] == 2
    assert not {"v", "commands", "order"} & client.keys()


def test_chat_is_kept_for_slow_readers() -> None:
    """Only a state is outdone by the next one."""
    message = ChatMessage(id="m1", user=ADA, text="<b>as typed</b>", at=1)

    found = render("r1", 1, ChatPosted(room="r1", at=1, message=message).model_dump_json().encode())

    assert found is not None
    assert found.worth is Worth.KEPT
    assert found.body["message"]["text"] == "<b>as typed</b>"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"{}", b'{"type":1}', b"\xff\xfe"])
def test_what_is_no_event_is_no_frame(body: bytes) -> None:
    """A deleted key has an empty body; garbage on the bus reaches nobody."""
    assert render("r1", 1, body) is None


def test_danmaku_have_no_number() -> None:
    """A danmaku is of the moment; anything else on its subject is none."""
    found = render_danmaku("r1", b'{"type":"danmaku","room":"r1","text":"wow","at":3,"v":1}')

    assert found is not None
    assert found[0] == {"type": "danmaku", "room": "r1", "text": "wow", "at": 3}
    assert json.loads(found[1][2:]) == found[0]
    assert render_danmaku("r1", b'{"type":"chat"}') is None


@pytest.mark.parametrize(
    ("what", "covered"),
    [
        (event("chat", 4, message={"id": "m9"}), True),
        (event("chat", 5, message={"id": "m1"}), True),
        (event("chat", 5, message={"id": "m2"}), False),
        (event("playback", 5, state={"revision": 3}), True),
        (event("playback", 5, state={"revision": 4}), False),
        (event("playlist", 5, version=2), True),
        (event("playlist", 5, version=3), False),
        (event("member", 5, change="joined"), False),
        (event("chat_deleted", 5, message_id="m1"), False),
        (event("playlist", 5), False),
    ],
)
def test_a_snapshot_covers_what_it_contains(what: RoomEventFrame, covered: bool) -> None:
    """An event is for a newcomer only if it says more than his snapshot did."""
    marks = Marks(after=4, revision=3, playlist=2, messages=frozenset({"m1"}))

    assert marks.cover(what) is covered


@pytest.mark.parametrize(
    ("what", "wanted"),
    [
        (event("member", change="updated", member={"state": "pending"}), Permission.APPROVE_MEMBER),
        (event("member", change="left", member={"state": "pending"}), Permission.APPROVE_MEMBER),
        (event("member", change="left", member={"state": "banned"}), Permission.VIEW_MEMBER_LIST),
        (event("member", change="updated", member={"state": "active"}), Permission.VIEW_MEMBER_LIST),
        (event("member", member="garbage"), Permission.VIEW_MEMBER_LIST),
        (event("playlist", version=3), Permission.VIEW_PLAYLIST),
        (event("chat", message={"id": "m1"}), Permission(0)),
    ],
)
def test_who_waits_is_the_business_of_those_who_may_let_him_in(
    what: RoomEventFrame, wanted: Permission
) -> None:
    """Each event wants the right to see what it is about."""
    assert what.wanted == wanted
