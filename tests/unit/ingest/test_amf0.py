"""AMF0 both ways, and its limits."""

from typing import Any

import pytest

from workers.ingest.rtmp import amf0
from workers.ingest.rtmp.errors import AmfError

TABLE: list[tuple[Any, str]] = [
    (1.5, "003ff8000000000000"),
    (True, "0101"),
    (False, "0100"),
    ("live", "0200046c697665"),
    (None, "05"),
    ({"a": 1.0}, "03000161003ff0000000000000000009"),
    ({}, "03000009"),
    ([1.0, "x"], "0a00000002003ff000000000000002000178"),
]


@pytest.mark.parametrize(("value", "data"), TABLE)
def test_values_read_and_write_the_same(value: Any, data: str) -> None:
    """The table holds both ways."""
    assert amf0.decode(bytes.fromhex(data)) == [value]
    assert amf0.encode(value).hex() == data


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("06", None),
        ("0d", None),
        ("0800000009000161003ff0000000000000000009", {"a": 1.0}),
        ("0b3ff00000000000000000", 1.0),
        ("0c0000000178", "x"),
        ("0f0000000178", "x"),
        ("10000454797065000161050000 09".replace(" ", ""), {"a": None}),
    ],
    ids=[
        "undefined",
        "unsupported",
        "ECMA array with a wrong count",
        "date",
        "long string",
        "XML",
        "typed object",
    ],
)
def test_forms_that_are_only_read(data: str, value: Any) -> None:
    """What encoders may send and we never do."""
    assert amf0.decode(bytes.fromhex(data)) == [value]


def test_a_long_string_has_a_long_size() -> None:
    """Above 65,535 bytes the other string form is written."""
    text = "x" * 70_000

    assert amf0.decode(amf0.encode(text)) == [text]


def test_an_ecma_array_says_how_many() -> None:
    """The form of onMetaData."""
    data = amf0.encode_ecma_array({"width": 160, "height": 120})

    assert data[:5] == b"\x08\x00\x00\x00\x02"
    assert amf0.decode(data) == [{"width": 160.0, "height": 120.0}]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00", b"\x02\x00\x05ab", b"\x03\x00\x01a", b"\x07\x00\x01", b"\x11\x0a", b"\x0a\xff\xff\xff\xff",
        b"\x03\x00\x01a" * 20, b"\x05" * 2_000, b"\x0a\x00\x00\x00\x01" * 20 + b"\x05",
    ],
    ids=["cut number", "cut string", "cut object", "reference", "cut AMF3", "huge array", "deep", "many", "deep array"],
)  # fmt: skip
def test_what_is_not_amf0_or_too_much_is_the_peers_fault(data: bytes) -> None:
    """Cut off, unknown, nested or numerous beyond the limits: one kind of error."""
    with pytest.raises(AmfError):
        amf0.decode(data)


def test_a_type_without_a_word_is_our_fault() -> None:
    """Writing bytes is a ValueError."""
    with pytest.raises(ValueError, match="no word for bytes"):
        amf0.encode(b"x")
