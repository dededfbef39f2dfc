"""What may be said."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.limits import CHAT_MAX, DANMAKU_MAX
from workers.chat import rules
from workers.chat.rules import Filter, Refusal

PLAIN = Filter()


@pytest.mark.parametrize(
    "text",
    [
        "hello", "  as typed  ", "two\nlines\tand a tab", "<script>alert(1)</script>", "'; DROP TABLE messages; --",
        "👩‍👩‍👧‍👦 e\u0301 ج\u200eab", "a" * CHAT_MAX,
    ],
)  # fmt: skip
def test_text_stays_as_typed(text: str) -> None:
    """Plain text is plain text: what looks like markup or SQL is only what somebody typed."""
    assert PLAIN.chat(text) == text


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("a\x00b\x07c\x1b[31m\x7f\x9f", "abc[31m"),
        ("one\r\ntwo\rthree\u2028four\x85five", "one\ntwo\nthree\nfour\nfive"),
        ("safe\u202egnp.exe\u2066", "safegnp.exe"), ("half \ud83d a pair", "half  a pair"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_removed(typed: str, stored: str) -> None:
    """Control characters, what turns the direction of others, halves of characters; all breaks are one."""
    assert PLAIN.chat(typed) == stored


@pytest.mark.parametrize(
    "text", ["", " \n\t ", "\x00\x01", "\u200b\u2060\ufeff", "\u202e", "\u00a0", "\u0301"]
)
def test_nothing_to_read_is_refused(text: str) -> None:
    """However many characters it has."""
    assert isinstance(PLAIN.chat(text), Refusal)
    assert isinstance(PLAIN.danmaku(text), Refusal)


def test_length_counts_after_cleaning() -> None:
    """What is removed counts for nothing; one character too many does."""
    assert PLAIN.chat("\x00" * 5_000 + "a" * CHAT_MAX) == "a" * CHAT_MAX
    assert isinstance(PLAIN.chat("a" * (CHAT_MAX + 1)), Refusal)
    assert PLAIN.danmaku("a" * DANMAKU_MAX) == "a" * DANMAKU_MAX
    assert isinstance(PLAIN.danmaku("a" * (DANMAKU_MAX + 1)), Refusal)


def test_a_danmaku_is_one_line() -> None:
    """It crosses the picture."""
    assert PLAIN.danmaku("  one\ntwo\t three ") == "one two three"


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("darn it", "**** it"), ("DARN! Darned", "****! Darned"), ("a darn good day", "a ********* day"),
        ("这是坏话吗", "这是**吗"), ("dar\x00n", "****"),
    ],
)  # fmt: skip
def test_blocked_words_become_asterisks(typed: str, shown: str) -> None:
    """Whole words where a script has them, whatever their case; the longest first; cleaning comes before."""
    assert Filter(["darn", "darn good", "坏话", " "]).chat(typed) == shown


def test_a_blocked_word_is_text_and_no_pattern() -> None:
    """An operator may block `c++` or `.*`."""
    assert Filter([".*", "c(+"]).chat("abc .* c(+") == "abc ** ***"


@pytest.mark.parametrize(("value", "stored"), [("#FFcc00", "#ffcc00"), ("#000000", "#000000")])
def test_a_colour(value: str, stored: str) -> None:
    """Six hexadecimal digits."""
    assert rules.color(value) == stored


@pytest.mark.parametrize(
    "value", ["", "red", "#fff", "#ffcc000", "#ffcc00;background:url(x)", "#gggggg", "#ffcc00\n"]
)
def test_what_is_no_colour(value: str) -> None:
    """It would end in somebody's style sheet."""
    assert isinstance(rules.color(value), Refusal)


@pytest.mark.parametrize("value", ["", "x" * 65, "a\nb", "a\x00"])
def test_what_is_no_client_id(value: str) -> None:
    """1 to 64 printable characters."""
    assert isinstance(rules.client_id(value), Refusal)
    assert rules.client_id("x" * 64) == "x" * 64


@given(st.text(max_size=300))
def test_whatever_is_typed(text: str) -> None:
    """What is stored has no control character but break and tab, is clean already, and fits the wire."""
    stored = PLAIN.chat(text)

    if isinstance(stored, str):
        assert all(c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"} for c in stored)
        assert PLAIN.chat(stored) == stored
        stored.encode()
