"""What stands in the frames themselves: recovery points of H.264 and HEVC."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.codec import VideoCodec
from workers.ingest.in_band import is_recovery_point

RECORD = bytes((1, 0x42, 0, 30, 0xFF))
"""The part of an avcC record that says: lengths of 4 bytes."""


def frame(*units: bytes) -> bytes:
    """A frame of these NAL units."""
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def sei(kind: int, payload: bytes) -> bytes:
    """One SEI message."""
    return b"\xff" * (kind // 255) + bytes((kind % 255, len(payload))) + payload


@pytest.mark.parametrize(
    ("units", "is_one"),
    [
        ((b"\x06" + sei(6, b"\xc4") + b"\x80", b"\x41\x9a"), True),
        ((b"\x09\xf0", b"\x06" + sei(6, b"\xc4") + b"\x80", b"\x41\x9a"), True),
        ((b"\x06" + sei(1, b"\0\0\3\1") + sei(6, b"\xc4") + b"\x80", b"\x41"), False),
        ((b"\x06" + b"\x01\x04\0\0\3\1\7" + sei(6, b"\xc4") + b"\x80", b"\x41"), True),
        ((b"\x06" + sei(300, b"\1") + b"\x80", b"\x41\x9a"), False),
        ((b"\x06" + b"\x05\x30\6", b"\x41\x9a"), False),
        ((b"\x41\x06\x06",), False),
        ((), False),
    ],
    ids=[
        "alone",
        "behind a delimiter",
        "size too small",
        "escaped",
        "other",
        "broken off",
        "a slice",
        "empty",
    ],
)
def test_a_recovery_point_is_told_by_its_sei_message(units: tuple[bytes, ...], is_one: bool) -> None:
    """Payload type 6, wherever it stands among the messages; emulation prevention is taken out first."""
    assert is_recovery_point(VideoCodec.AVC, RECORD, frame(*units)) is is_one


def test_hevc_says_it_in_its_own_unit() -> None:
    """A prefix SEI unit has type 39 and a header of two bytes."""
    unit = bytes((39 << 1, 1)) + sei(6, b"\xc4") + b"\x80"
    record = bytes(21) + b"\xff"

    assert is_recovery_point(VideoCodec.HEVC, record, frame(unit, b"\x02\x01"))
    assert not is_recovery_point(VideoCodec.AV1, record, frame(unit))


@given(codec=st.sampled_from(VideoCodec), record=st.binary(max_size=40), data=st.binary(max_size=200))
def test_any_bytes_are_a_recovery_point_or_none(codec: VideoCodec, record: bytes, data: bytes) -> None:
    """No frame breaks the look at it."""
    assert is_recovery_point(codec, record, data) in (True, False)
