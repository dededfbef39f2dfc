"""Subjects are made of safe tokens only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.messages.base import TOKEN
from bus_schemas.messages.room import PlaybackAction, PlaybackRequested
from bus_schemas.subjects import REPLY, ROOM_COMMAND, SUBJECTS, consumed_by


def test_a_subject_is_its_template_filled() -> None:
    """And its tokens can be read back."""
    subject = REPLY.at(node="gw1", id="C-m_3")

    assert subject == "reply.gw1.C-m_3"
    assert (REPLY.token(subject, "node"), REPLY.token(subject, "id")) == ("gw1", "C-m_3")
    assert REPLY.pattern == "reply.*.*"


@pytest.mark.parametrize(
    "token", ["", "*", ">", "a.b", "a b", "a\n", "a\r\nPUB x", "ü", "$JS", "{room}", "a\x00"]
)
def test_a_token_cannot_smuggle_anything_in(token: str) -> None:
    """Dots, wildcards, breaks: ids come from outside."""
    with pytest.raises(ValueError, match="bad token"):
        ROOM_COMMAND.at(room=token)
    with pytest.raises(ValueError, match="room"):
        PlaybackRequested(id="x", room=token, action=PlaybackAction.PLAY)


@given(st.text(max_size=20))
def test_whatever_the_token(token: str) -> None:
    """Either a subject of as many tokens as the template has, or a ValueError."""
    try:
        subject = ROOM_COMMAND.at(room=token)
    except ValueError:
        assert not TOKEN.fullmatch(token)
    else:
        assert subject.split(".") == ["room", token, "command"]


def test_templates_are_unique() -> None:
    """One address, one meaning."""
    patterns = [subject.pattern for subject in SUBJECTS]

    assert len(patterns) == len(set(patterns))


def test_who_consumes_what() -> None:
    """The question the wiring test asks."""
    assert "room.{room}.command" in consumed_by("sync")
    assert consumed_by("nobody") == frozenset()
