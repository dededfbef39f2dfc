"""The handshake, simple and by digest."""

import hashlib
import hmac

import pytest

from workers.ingest.rtmp import handshake
from workers.ingest.rtmp.connection import Connection
from workers.ingest.rtmp.errors import RemoteProtocolError

PLAYER_KEY = b"Genuine Adobe Flash Player 001"
SERVER_KEY = b"Genuine Adobe Flash Media Server 001"
SHARED = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")


def digest_c1(schema: int, fill: int = 7) -> bytes:
    """A C1 of a player that wants digests."""
    plain = bytes((0, 0, 1, 2)) + bytes((128, 0, 7, 2)) + bytes((n * fill) % 256 for n in range(1528))
    return handshake.sign(plain, schema, PLAYER_KEY)


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


@pytest.mark.parametrize("schema", [0, 1], ids=["digest behind the key", "digest before the key"])
@pytest.mark.parametrize("fill", [1, 7, 255])
def test_a_digest_is_answered_by_digests(schema: int, fill: int) -> None:
    """S1 signed by the server's key at the same schema; S2 over the digest of C1; S1 says a version above 2."""
    c1 = digest_c1(schema, fill)

    answer = handshake.answer(c1, b"nonce")

    s1, s2 = answer[1:1537], answer[1537:]
    found = handshake.find_digest(c1, PLAYER_KEY)
    assert found is not None
    assert found[0] == schema
    signed = handshake.find_digest(s1, SERVER_KEY)
    assert signed is not None
    assert signed[0] == schema
    assert s1[4] >= 3
    seal = hmac.digest(SERVER_KEY + SHARED, found[1], hashlib.sha256)
    assert s2[-32:] == hmac.digest(seal, s2[:-32], hashlib.sha256)


@pytest.mark.parametrize("schema", [0, 1])
def test_the_place_of_a_digest_is_what_the_field_agreed_on(schema: int) -> None:
    """Four bytes summed, modulo 728, behind byte 8 or 772 and themselves."""
    c1 = digest_c1(schema)
    at = 772 if schema == 0 else 8
    start = at + 4 + sum(c1[at : at + 4]) % 728

    rest = c1[:start] + c1[start + 32 :]

    assert c1[start : start + 32] == hmac.digest(PLAYER_KEY, rest, hashlib.sha256)


def test_a_damaged_digest_is_a_simple_handshake() -> None:
    """One bit flipped: the peer gets the simple form, which every peer accepts."""
    c1 = bytearray(digest_c1(0))
    c1[100] ^= 1

    answer = handshake.answer(bytes(c1), b"n")

    assert answer[5:9] == bytes(4)
    assert answer[1537 + 8 :] == bytes(c1[8:])


@pytest.mark.parametrize("step", [1, 7, 1535, 3072])
def test_digests_do_not_care_how_bytes_are_cut(step: int) -> None:
    """The same S0+S1+S2 for every fragmentation, once."""
    connection = Connection(nonce=b"n")
    sent = b"\x03" + digest_c1(1) + bytes(1536)

    for at in range(0, len(sent), step):
        connection.receive_data(sent[at : at + step])

    assert b"".join(connection.data_to_send()) == handshake.answer(digest_c1(1), b"n")


@pytest.mark.parametrize("first", [0, 6, 22, 71, 255], ids=["zero", "RTMPE", "TLS", "HTTP", "noise"])
def test_other_protocols_are_recognised_by_their_first_byte(first: int) -> None:
    """Anything but version 3 is refused before the rest is read."""
    with pytest.raises(RemoteProtocolError, match=f"first byte {first}"):
        handshake.check_version(first)
