"""Access units as byte streams."""

import pytest

from media.annexb import ByteStreamError, adts_units, avc_units
from tests.unit.transmux.sources import AAC_HEADER, AVC_HEADER

RECORD = AVC_HEADER[5:]
AUD = b"\0\0\0\1\x09\xf0"


def _nal(kind: int, body: bytes = b"body") -> bytes:
    return (1 + len(body)).to_bytes(4, "big") + bytes((kind,)) + body


def test_a_key_frame_brings_its_parameter_sets() -> None:
    """Delimiter, SPS, PPS, slice; an inter frame has the delimiter and the slice only."""
    unit = avc_units(RECORD)

    key = b"".join(unit(_nal(0x65), True)).split(b"\0\0\0\1")[1:]
    inter = b"".join(unit(_nal(0x41), False)).split(b"\0\0\0\1")[1:]

    assert [nal[0] & 31 for nal in key] == [9, 7, 8, 5]
    assert [nal[0] & 31 for nal in inter] == [9, 1]


def test_what_a_frame_has_already_is_not_given_twice() -> None:
    """Its own delimiter gives way, its own parameter sets stay, as they may be newer."""
    sample = _nal(9, b"\xf0") + _nal(0x67) + _nal(0x68) + _nal(0x65)

    made = b"".join(avc_units(RECORD)(sample, True))

    assert made.startswith(AUD)
    assert [nal[0] & 31 for nal in made.split(b"\0\0\0\1")[1:]] == [9, 7, 8, 5]


@pytest.mark.parametrize("sample", [b"\0\0\0\x09\x65abc", b"\0\0\0"])
def test_nal_units_that_do_not_fill_their_sample_are_refused(sample: bytes) -> None:
    """A length beyond the end is an error, never a read beyond it."""
    with pytest.raises(ByteStreamError):
        avc_units(RECORD)(sample, True)


def test_adts_says_what_the_record_says() -> None:
    """AAC-LC, 48 kHz, stereo, and the size of the whole frame."""
    header, body = adts_units(AAC_HEADER[2:])(b"frame", False)

    assert bytes(header) == bytes((0xFF, 0xF1, 0x4C, 0x80, 0x01, 0x9F, 0xFC))
    assert body == b"frame"


@pytest.mark.parametrize("record", [b"", bytes.fromhex("1180"), bytes.fromhex("1200"), bytes.fromhex("2a10")])
def test_what_adts_cannot_say_is_refused(record: bytes) -> None:
    """No record, a program config element, an object type of ADTS no more."""
    with pytest.raises(ByteStreamError):
        adts_units(record)
