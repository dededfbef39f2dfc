"""FLV script tags."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.script import ScriptError, read_numbers


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
