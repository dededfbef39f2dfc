"""The simple handshake."""

import pytest

from workers.ingest.rtmp import handshake
from workers.ingest.rtmp.errors import RemoteProtocolError


def test_the_answer_echoes_c1() -> None:
    """S0, S1 filled with the nonce, S2 with C1's time and random bytes (5.2.4)."""
    c1 = b"\x00\x00\x01\x02" + bytes(4) + b"\xaa" * 1528

    answer = handshake.answer(c1, b"xyz")

    assert len(answer) == 1 + 2 * handshake.PACKET_SIZE
    assert answer[0] == 3
    assert answer[1:9] == bytes(8)
    assert answer[9:15] == b"xyzxyz"
    s2 = answer[1 + handshake.PACKET_SIZE :]
    assert s2[:4] == c1[:4]
    assert s2[8:] == c1[8:]


@pytest.mark.parametrize("first", [0, 6, 22, 71, 255], ids=["zero", "RTMPE", "TLS", "HTTP", "noise"])
def test_other_protocols_are_recognised_by_their_first_byte(first: int) -> None:
    """Anything but version 3 is refused before the rest is read."""
    with pytest.raises(RemoteProtocolError, match=f"first byte {first}"):
        handshake.check_version(first)
