"""Bits and Exp-Golomb codes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.bits import BitReader, BitsError


def golomb(value: int) -> str:
    """ISO/IEC 14496-10, 9.1."""
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


@given(st.lists(st.integers(0, 2**32 - 2), max_size=20))
def test_exp_golomb_codes_are_read_back(values: list[int]) -> None:
    """Unsigned codes one after the other, over byte borders."""
    text = "".join(map(golomb, values)) + "1"
    text += "0" * (-len(text) % 8)
    bits = BitReader(int(text, 2).to_bytes(len(text) // 8, "big"))

    assert [bits.unsigned() for _ in values] == values


def test_signed_codes_alternate() -> None:
    """0, 1, -1, 2, -2."""
    text = "".join(map(golomb, range(5)))
    text += "0" * (-len(text) % 8)
    bits = BitReader(int(text, 2).to_bytes(len(text) // 8, "big"))

    assert [bits.signed() for _ in range(5)] == [0, 1, -1, 2, -2]


def test_reading_past_the_end_is_named() -> None:
    """And so is a code that no value needs."""
    bits = BitReader(b"\xff")
    assert (bits.read(3), bits.flag(), bits.left) == (7, True, 4)
    with pytest.raises(BitsError):
        bits.read(5)
    with pytest.raises(BitsError):
        BitReader(bytes(20)).unsigned()
