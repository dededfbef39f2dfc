"""Frames within enhanced tags: those whose codec is named by a FourCC. Classic ones are read in place.

Ingest leaves no modifiers and no further tracks in front of a frame.
"""

from __future__ import annotations

from typing import Final

from media.av_tags import AAC_HEADER_SIZE, EXTENDED_AUDIO, EXTENDED_HEADER_SIZE, PacketType, is_codec_header
from media.codec import AudioCodec, VideoCodec
from media.formats import VideoFormat

_CODED: Final = (PacketType.FRAME, PacketType.FRAME_X)
_COMPOSITION_SIZE: Final = 3


def video_name(video: VideoFormat | None) -> bytes:
    """The FourCC that frames of the track carry; empty where they are in classic tags, or there is no track."""
    return video.kind.encode() if video is not None and video.kind is not VideoCodec.AVC else b""


def audio_head(codec: AudioCodec) -> bytes:
    """What an enhanced frame of the codec begins with."""
    return bytes((EXTENDED_AUDIO << 4 | PacketType.FRAME,)) + codec.encode()


def read_video(name: bytes, data: memoryview) -> tuple[int, int] | None:
    """Composition offset, ms, and where the frame's bytes begin; None of a tag that is no frame of the codec
    `name`."""
    packet = data[0] & 0xF
    if packet not in _CODED or data[1:EXTENDED_HEADER_SIZE] != name:
        return None
    body, composition = EXTENDED_HEADER_SIZE, 0
    if packet == PacketType.FRAME and name == b"hvc1":
        body += _COMPOSITION_SIZE
        composition = int.from_bytes(data[EXTENDED_HEADER_SIZE:body], "big", signed=True)
    return composition, body


def is_video_frame(data: memoryview) -> bool:
    """Whether an enhanced tag holds a frame of whatever codec."""
    return data[0] & 0xF in _CODED


def is_sound(data: memoryview) -> bool:
    """Whether an audio tag holds a frame of whatever codec, as far as its first bytes tell."""
    head = data[:AAC_HEADER_SIZE]
    return len(head) == AAC_HEADER_SIZE and not is_codec_header(head, video=False)
