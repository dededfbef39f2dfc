"""AMF3 as peers send it: inside AMF0, read and never written."""

from typing import Any

import pytest

from tests.unit.ingest.rtmp_client import HANDSHAKE, chunk
from workers.ingest.rtmp import amf0, amf3
from workers.ingest.rtmp.connection import Connection
from workers.ingest.rtmp.errors import AmfError
from workers.ingest.rtmp.events import Connected, PublishRequested

OBJECT = bytes.fromhex("0a0b01") + b"\x07app\x06\x09live" + b"\x09caps\x04\x01" + b"\x01"
"""A dynamic object of no class: {app: "live", caps: 1}."""


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x00", None),
        (b"\x01", None),
        (b"\x02", False),
        (b"\x03", True),
        (b"\x04\x7f", 127),
        (b"\x04\x81\x00", 128),
        (b"\x04\xff\xff\x7f", 0x1FFFFF),
        (b"\x04\xff\xff\xff\xff", -1),
        (b"\x04\xbf\xff\xff\xff", (1 << 28) - 1),
        (b"\x05\x3f\xf8\x00\x00\x00\x00\x00\x00", 1.5),
        (b"\x06\x01", ""),
        (b"\x06\x09live", "live"),
        (b"\x07\x07<a/", "<a/"),
        (b"\x08\x01\x3f\xf0\x00\x00\x00\x00\x00\x00", 1.0),
        (b"\x0c\x05ab", b"ab"),
        (b"\x09\x05\x01\x04\x01\x04\x02", [1, 2]),
        (b"\x09\x03\x03k\x04\x05\x01\x04\x01", {"k": 5, "0": 1}),
        (OBJECT, {"app": "live", "caps": 1}),
        (b"\x0a\x13\x01\x03k\x04\x05", {"k": 5}),
        (b"\x09\x05\x01\x06\x05ab\x06\x00", ["ab", "ab"]),
        (b"\x09\x05\x01\x0a\x13\x03C\x03k\x04\x05\x0a\x01\x04\x06", [{"k": 5}, {"k": 6}]),
        (b"\x09\x05\x01\x0c\x03a\x0c\x02", [b"a", b"a"]),
    ],
)  # fmt: skip
def test_values(data: bytes, value: Any) -> None:
    """Each type, and the three tables of references (2.2)."""
    assert amf3.decode_at(data + b"rest", 0) == (value, len(data))


def test_an_array_that_holds_itself_ends() -> None:
    """A reference to what is still being read is null."""
    assert amf3.decode_at(b"\x09\x03\x01\x09\x00", 0)[0] == [None]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x04", b"\x04\xff", b"\x05ab", b"\x06\x09li", b"\x06\x00", b"\x0a\x00", b"\x0a\x01", b"\x0a\x07\x01",
        b"\x0d\x01", b"\x11\x01", b"\x09\x01\x01" * 0 + b"\x09\x03\x01" * 20, b"\x09\xff\xff\x01\x01",
        b"\x0a\xff\xff\xff\xf3\x01", b"\x0c\xff\xff\xff\xff",
    ],
)  # fmt: skip
def test_what_is_not_amf3_or_too_much_is_the_peers_fault(data: bytes) -> None:
    """Cut off, references to nothing, types nobody sends, nested or numerous beyond the limits."""
    with pytest.raises(AmfError):
        amf3.decode_at(data, 0)


def test_a_flash_encoder_connects_and_publishes_with_amf3() -> None:
    """Type 17, its format byte, and values that switch to AMF3."""
    connection = Connection(nonce=b"n")
    connect = b"\x00" + amf0.encode("connect", 1) + b"\x11" + OBJECT
    publish = b"\x00" + amf0.encode("publish", 2, None) + b"\x11\x06\x0dsecret"

    connection.receive_data(HANDSHAKE + chunk(17, connect) + chunk(17, publish, stream_id=1))

    assert connection.events_received() == [Connected("live", ""), PublishRequested(1, "secret", "live")]


def test_the_format_byte_may_be_missing() -> None:
    """Some peers mark a message as AMF3 and send plain AMF0."""
    connection = Connection(nonce=b"n")

    connection.receive_data(HANDSHAKE + chunk(17, amf0.encode("connect", 1, {"app": "live"})))

    assert connection.events_received() == [Connected("live", "")]
