"""What may stand in a name, and what is taken out of a title."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from gateway.names import RoomName, Title, Username, clean_text, is_control

NAME = TypeAdapter(RoomName)
USER = TypeAdapter(Username)


@pytest.mark.parametrize(
    "name", ["Movie night", "x", "夜の映画", "Robert'); DROP TABLE rooms;--", "<b>&amp;</b>", "👩‍👩‍👧"]
)
def test_a_name_stays_as_it_was_typed(name: str) -> None:
    """Any script, SQL and HTML included."""
    assert NAME.validate_python(name) == name


def test_space_around_a_name_goes() -> None:
    """And only around it."""
    assert NAME.validate_python("  a  b ") == "a  b"


@pytest.mark.parametrize(
    "name", ["", " ", "\u200b", "\u2060\u200d", "a\u0000", "a\nb", "\u202ea", "a\u2028b", "n" * 65, 7]
)
def test_what_cannot_be_seen_or_controls_is_no_name(name: object) -> None:
    """Blank names, control characters, direction marks, and more than 64 characters."""
    with pytest.raises(ValidationError):
        NAME.validate_python(name)


@pytest.mark.parametrize("name", ["x", " x ", "x" * 33])
def test_a_username_has_2_to_32_characters(name: str) -> None:
    """Space around it does not count."""
    with pytest.raises(ValidationError):
        USER.validate_python(name)


@given(st.text())
def test_clean_text_has_no_control_characters_and_cleans_once(text: str) -> None:
    """Whatever goes in; cleaning what is clean changes nothing."""
    cleaned = clean_text(text)

    assert not any(is_control(character) for character in cleaned)
    assert clean_text(cleaned) == cleaned


def test_a_title_loses_its_control_characters() -> None:
    """A title comes from files as often as from people: it is cleaned, not refused."""
    assert TypeAdapter(Title).validate_python("\u0007The\u0000 Film\n") == "The Film"
