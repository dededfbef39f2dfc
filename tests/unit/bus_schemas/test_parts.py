"""Part and init messages on the bus."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.parts import (
    PART_HEADER_SIZE,
    Checkpoint,
    InitHeader,
    PartFlags,
    PartFormatError,
    PartHeader,
)

U16, U32, U64 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)
NAME = st.binary(min_size=8, max_size=8).map(bytes.hex)
CHECKPOINTS = st.builds(
    Checkpoint, U64, U64, U32, U16, st.booleans(), segment_start=I64, audio_ticks=I64, pdt_offset_us=I64,
    clock_target_us=I64,
)  # fmt: skip
PARTS = st.builds(
    PartHeader, flags=st.integers(0, 15).map(PartFlags), msn=U64, part=U16, duration_us=U32,
    target_duration=st.integers(0, 255), generation=U16, init=U32, discontinuity=U32, dts_ms=I64, pdt_us=I64,
    epoch=U64, name=NAME, next_name=NAME, checkpoint=CHECKPOINTS,
    part_target_us=st.integers(1, 4_095).map(lambda ms: ms * 1_000),
)  # fmt: skip
INITS = st.builds(
    InitHeader, init=U32, epoch=U64, generation=U16, name=NAME, codecs=st.text(max_size=40), width=U16,
    height=U16, frame_rate=st.floats(0, 1000), sample_rate=U32, channels=st.integers(0, 8), bandwidth=U32,
    video_record=st.binary(max_size=60), audio_record=st.binary(max_size=10),
)  # fmt: skip


@given(PARTS, st.binary(max_size=20))
def test_a_part_header_is_read_back(header: PartHeader, body: bytes) -> None:
    """Every field over its whole range, whatever follows it."""
    message = header.pack() + body

    assert PartHeader.unpack(message) == header
    assert message[PART_HEADER_SIZE:] == body


@given(INITS, st.binary(max_size=20))
def test_an_init_header_is_read_back(header: InitHeader, body: bytes) -> None:
    """With the bytes of the init segment behind it."""
    assert InitHeader.unpack(header.pack() + body) == (header, body)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_or_a_named_error(data: bytes) -> None:
    """Nothing but PartFormatError comes out."""
    for message in (data, b"\x01" + data, b"\x01\x00\x00\x00" + data):
        for unpack in (PartHeader.unpack, InitHeader.unpack):
            with suppress(PartFormatError):
                unpack(message)


@pytest.mark.parametrize("text", [b"[]", b"{}", b"nonsense", b'{"init": "x"}'])
def test_an_init_header_that_is_not_one_is_named(text: bytes) -> None:
    """Valid JSON is not enough."""
    with pytest.raises(PartFormatError):
        InitHeader.unpack(b"\x01" + len(text).to_bytes(4, "big") + text)
