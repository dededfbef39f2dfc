"""Codes of invitations and their links."""

import re

from bus_schemas.messages.base import TOKEN
from runtime.invitation_codes import digest_of, new_code, room_link, site_link


def test_a_code_is_long_new_and_fits_an_address() -> None:
    """22 characters of an alphabet that needs no escaping."""
    codes = {new_code() for _ in range(200)}

    assert len(codes) == 200
    assert all(len(code) == 22 and TOKEN.fullmatch(code) for code in codes)


def test_links_lead_to_the_room_and_to_the_account_page() -> None:
    """With the code as the one parameter."""
    assert room_link("https://watch.example", "r1", "abc") == "https://watch.example/r/r1?invitation=abc"
    assert site_link("https://watch.example", "abc") == "https://watch.example/account?invitation=abc"


def test_what_is_stored_is_not_the_code() -> None:
    """SHA-256, of any text that somebody may send."""
    assert re.fullmatch(rb"(?s).{32}", digest_of("abc"))
    assert digest_of("abc") != digest_of("abC")
    assert len(digest_of("\ud800")) == 32
