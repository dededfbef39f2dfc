"""The first bytes of FLV audio and video: AUDIODATA and VIDEODATA (Adobe FLV 10.1, E.4.2 and E.4.3).

Any bytes give a value or `AvTagError`. Enhanced RTMP's FourCC form is recognised as such, so that a
reader can tell a codec it does not carry from rubbish.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

VIDEO_CODEC_AVC: Final = 7
AUDIO_CODEC_AAC: Final = 10
EXTENDED_VIDEO: Final = 0x80
"""Enhanced RTMP, IsExHeader: the first byte is followed by a FourCC."""
AVC_HEADER_SIZE: Final = 5
AAC_HEADER_SIZE: Final = 2


class AvTagError(ValueError):
    """A payload too short for its own header."""


class FrameType(IntEnum):
    """UB[4] FrameType of VIDEODATA."""

    KEY = 1
    INTER = 2
    DISPOSABLE_INTER = 3
    GENERATED_KEY = 4
    COMMAND = 5


class PacketType(IntEnum):
    """AVCPacketType; AACPacketType has the first two."""

    SEQUENCE_HEADER = 0
    FRAME = 1
    END_OF_SEQUENCE = 2


@dataclass(frozen=True, slots=True)
class VideoTag:
    """The header of a VIDEODATA."""

    frame_type: int
    """A `FrameType` where FLV names it, else the 4 (enhanced: 3) bits as sent."""
    codec: int
    """CodecID, or the FourCC as a big-endian number where `enhanced`."""
    packet_type: int
    """A `PacketType` for AVC; enhanced RTMP's own for FourCC; -1 where the codec has none."""
    composition_ms: int
    """Presentation minus decode time, -8388608 to 8388607 ms."""
    enhanced: bool
    body: int
    """Offset of the codec's own bytes in the payload."""

    @property
    def is_avc(self) -> bool:
        """H.264 in its classic form, the one this code packs."""
        return not self.enhanced and self.codec == VIDEO_CODEC_AVC


@dataclass(frozen=True, slots=True)
class AudioTag:
    """The header of an AUDIODATA."""

    codec: int
    """SoundFormat."""
    packet_type: int
    """A `PacketType` for AAC, -1 for the others."""
    body: int
    """Offset of the codec's own bytes in the payload."""

    @property
    def is_aac(self) -> bool:
        """AAC, the one this code packs."""
        return self.codec == AUDIO_CODEC_AAC


def parse_video(payload: bytes | memoryview) -> VideoTag:
    """Read the header of a VIDEODATA; raises `AvTagError`."""
    if not payload:
        raise AvTagError("an empty video tag")
    first = payload[0]
    if first & EXTENDED_VIDEO:
        if len(payload) < 5:
            raise AvTagError(f"an enhanced video tag of {len(payload)} bytes")
        return VideoTag(first >> 4 & 7, int.from_bytes(payload[1:5], "big"), first & 0xF, 0, True, 5)
    frame_type, codec = first >> 4, first & 0xF
    if codec != VIDEO_CODEC_AVC or frame_type == FrameType.COMMAND:
        return VideoTag(frame_type, codec, -1, 0, False, 1)
    if len(payload) < AVC_HEADER_SIZE:
        raise AvTagError(f"an AVC tag of {len(payload)} bytes")
    composition = int.from_bytes(payload[2:5], "big", signed=True)
    return VideoTag(frame_type, codec, payload[1], composition, False, AVC_HEADER_SIZE)


def parse_audio(payload: bytes | memoryview) -> AudioTag:
    """Read the header of an AUDIODATA; raises `AvTagError`."""
    if not payload:
        raise AvTagError("an empty audio tag")
    codec = payload[0] >> 4
    if codec != AUDIO_CODEC_AAC:
        return AudioTag(codec, -1, 1)
    if len(payload) < AAC_HEADER_SIZE:
        raise AvTagError("an AAC tag of one byte")
    return AudioTag(codec, payload[1], AAC_HEADER_SIZE)
