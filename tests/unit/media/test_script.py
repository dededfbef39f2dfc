"""FLV script tags."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.script import ScriptError, read_numbers
from workers.ingest.rtmp import amf0


def pair(name: bytes, value: bytes) -> bytes:
    """A property."""
    return len(name).to_bytes(2, "big") + name + value


def number(value: float) -> bytes:
    """An AMF0 number."""
    return b"\x00" + struct.pack("!d", value)


@pytest.mark.parametrize("opening", [b"\x03", b"\x08\x00\x00\x00\x05"])
def test_numbers_are_read_and_other_values_skipped(opening: bytes) -> None:
    """From an object or an ECMA array, over strings, booleans, dates and nulls."""
    body = b"".join(
        (
            pair(b"width", number(1280)),
            pair(b"encoder", b"\x02\x00\x03obs"),
            pair(b"stereo", b"\x01\x01"),
            pair(b"made", b"\x0b" + bytes(10)),
            pair(b"none", b"\x05"),
            pair(b"long", b"\x0c\x00\x00\x00\x02ab"),
            pair(b"framerate", number(29.97)),
        )
    )

    name, numbers = read_numbers(b"\x02\x00\x0aonMetaData" + opening + body + b"\x00\x00\x09")

    assert name == "onMetaData"
    assert numbers == {"width": 1280.0, "framerate": 29.97}


@given(st.binary(max_size=120) | st.binary(max_size=60).map(lambda tail: b"\x02\x00\x01x\x08\0\0\0\1" + tail))
def test_any_bytes_are_a_value_or_a_named_error(data: bytes) -> None:
    """Nothing but ScriptError comes out."""
    try:
        name, numbers = read_numbers(data)
    except ScriptError:
        return
    assert isinstance(name, str)
    assert all(isinstance(value, float) for value in numbers.values())


def test_objects_within_objects_have_names_with_dots() -> None:
    """What stands behind them is read too."""
    body = amf0.encode({"a": {"b": 1.0, "c": {"d": 2.0}, "e": "text"}, "f": 3.0})

    assert read_numbers(amf0.encode("name") + body) == ("name", {"a.b": 1.0, "a.c.d": 2.0, "f": 3.0})


def test_nesting_has_an_end() -> None:
    """What lies too deep is left out, and what was read before it stays."""
    deep: dict[str, object] = {"x": 1.0}
    for _ in range(20):
        deep = {"o": deep}

    assert read_numbers(amf0.encode("name") + amf0.encode({"a": 1.0, "deep": deep})) == ("name", {"a": 1.0})
