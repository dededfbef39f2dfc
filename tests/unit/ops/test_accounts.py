"""Accounts as an operator makes them."""

import argon2
import pytest

from ops import accounts
from ops.errors import OperatorError
from runtime.settings import AuthSettings


@pytest.mark.parametrize("name", ["al", "Ünï", "a b", "x" * 32])
def test_a_fitting_name_is_taken(name: str) -> None:
    """2 to 32 characters of any script."""
    accounts.check_username(name)


@pytest.mark.parametrize("name", ["", "a", "x" * 33, " al", "al ", "a\nb", "a\u202eb", "a\x00b"])
def test_a_name_out_of_range_is_refused(name: str) -> None:
    """Too short, too long, spaces around it, controls and text direction marks."""
    with pytest.raises(OperatorError):
        accounts.check_username(name)


@pytest.mark.parametrize("length", [7, 257])
def test_a_password_out_of_range_is_refused(length: int) -> None:
    """8 to 256 characters."""
    with pytest.raises(OperatorError):
        accounts.check_password("x" * length)


def test_names_that_look_the_same_are_the_same() -> None:
    """Case and compatibility forms do not make another name."""
    assert accounts.username_key("Ａlice") == accounts.username_key("ALICE") == "alice"


def test_the_hash_is_argon2id_by_the_settings() -> None:
    """The parameters stand in the encoded form."""
    auth = AuthSettings(argon2_memory_kib=8192, argon2_passes=1)

    encoded = accounts.password_hash("correct horse", auth)

    assert encoded.startswith("$argon2id$v=19$m=8192,t=1,p=1$")
    assert argon2.PasswordHasher().verify(encoded, "correct horse")


def test_an_unknown_role_is_told_which_there_are() -> None:
    """root, admin, user."""
    with pytest.raises(OperatorError, match="root, admin, user"):
        accounts.check_role("king")
