"""The bytes of an RTMP publisher, for tests that speak to the server's side."""

from typing import Any

from workers.ingest.rtmp import amf0

C0_C1 = b"\x03" + bytes(8) + bytes(range(256)) * 5 + bytes(248)
C2 = bytes(1536)
HANDSHAKE = C0_C1 + C2

AVC_HEADER = bytes.fromhex(
    "17000000000142c00bffe100176742c00bda0a11f961000003000100000300320f142aa001000468ce0fc8"
)
"""x264's, 160 by 120, 25 frames a second, baseline."""
OTHER_AVC_HEADER = AVC_HEADER[:-1] + b"\xc9"
AAC_HEADER = bytes.fromhex("af00121056e500")
OTHER_AAC_HEADER = bytes.fromhex("af001190")


def key_frame(size: int = 40) -> bytes:
    """A VIDEODATA with a key frame of `size` bytes."""
    return bytes.fromhex("1701000000") + bytes((5,)) * size


def inter_frame(size: int = 20, composition: int = 0) -> bytes:
    """A VIDEODATA with an inter frame."""
    return bytes.fromhex("2701") + composition.to_bytes(3, "big", signed=True) + bytes((1,)) * size


def audio_frame(size: int = 10) -> bytes:
    """An AUDIODATA with an AAC frame."""
    return bytes.fromhex("af01") + bytes((0x21,)) * size


def chunk(
    kind: int,
    payload: bytes,
    *,
    timestamp: int = 0,
    stream_id: int = 0,
    chunk_stream: int = 3,
    size: int = 128,
) -> bytes:
    """One message as a type 0 chunk and type 3 chunks of `size`."""
    field = min(timestamp, 0xFFFFFF)
    extended = timestamp.to_bytes(4, "big") if timestamp >= 0xFFFFFF else b""

    def basic(fmt: int) -> bytes:
        if chunk_stream < 64:
            return bytes((fmt << 6 | chunk_stream,))
        if chunk_stream < 320:
            return bytes((fmt << 6, chunk_stream - 64))
        return bytes((fmt << 6 | 1,)) + (chunk_stream - 64).to_bytes(2, "little")

    out = basic(0) + field.to_bytes(3, "big") + len(payload).to_bytes(3, "big") + bytes((kind,))
    out += stream_id.to_bytes(4, "little") + extended + payload[:size]
    for at in range(size, len(payload), size):
        out += basic(3) + extended + payload[at : at + size]
    return out


def command(name: str, transaction: float, *arguments: Any, stream_id: int = 0, size: int = 128) -> bytes:
    """An AMF0 command message."""
    return chunk(20, amf0.encode(name, transaction, *arguments), stream_id=stream_id, size=size)


def opening(app: str = "live", name: str = "secret", *, stream_id: int = 1) -> bytes:
    """What OBS and ffmpeg send up to and with `publish`, the handshake not included."""
    return (
        command(
            "connect",
            1,
            {"app": app, "type": "nonprivate", "flashVer": "FMLE/3.0", "tcUrl": f"rtmp://h/{app}"},
        )
        + command("releaseStream", 2, None, name)
        + command("FCPublish", 3, None, name)
        + command("createStream", 4, None)
        + command("publish", 5, None, name, "live", stream_id=stream_id)
    )


def metadata(**values: Any) -> bytes:
    """The payload of `@setDataFrame onMetaData`."""
    return amf0.encode("@setDataFrame", "onMetaData") + amf0.encode_ecma_array(values)
