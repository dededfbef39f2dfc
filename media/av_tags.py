"""The first bytes of FLV audio and video: AUDIODATA and VIDEODATA (Adobe FLV 10.1, E.4.2 and E.4.3) and
enhanced RTMP v2's forms of them, where a FourCC names the codec.

Any bytes give a value or `AvTagError`. A payload has one *plain* form here, in which every reader behind
ingest meets it: H.264, AAC and MP3 as FLV 10.1 has them, every other codec behind its FourCC, one track, no
modifiers. `plain_video` and `plain_audio` make it of all the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from media.codec import AudioCodec, VideoCodec

VIDEO_CODEC_AVC: Final = 7
VIDEO_CODEC_HEVC: Final = 12
"""Not in FLV 10.1: what encoders used for H.265 before enhanced RTMP, packed like H.264."""
AUDIO_CODEC_AAC: Final = 10
AUDIO_CODEC_MP3: Final = 2
MP3_HEADER_SIZE: Final = 1
MP3_CODECS: Final = (AUDIO_CODEC_MP3, 14)
"""MP3, and MP3 at 8 kHz."""
EXTENDED_VIDEO: Final = 0x80
"""IsExVideoHeader: the first byte is followed by a FourCC."""
EXTENDED_AUDIO: Final = 9
"""SoundFormat ExHeader."""
AVC_HEADER_SIZE: Final = 5
AAC_HEADER_SIZE: Final = 2
EXTENDED_HEADER_SIZE: Final = 5
DEFAULT_TRACK: Final = 0

_MOD_EX: Final = 7
_VIDEO_MULTITRACK: Final = 6
_AUDIO_MULTITRACK: Final = 5
_MAX_MODIFIERS: Final = 16
_COMPOSED: Final = (VideoCodec.AVC, VideoCodec.HEVC)
"""Codecs whose CodedFrames carry a composition time."""
_VIDEO_CODECS: Final = {codec.encode(): codec for codec in VideoCodec}
_AUDIO_CODECS: Final = {codec.encode(): codec for codec in AudioCodec}
_PLAIN_AAC: Final = 0xAF
"""AAC, and for the rest what FLV 10.1 wants there whatever the sound: 44 kHz, 16 bits, stereo."""
_PLAIN_MP3: Final = 0x2F
"""MP3, with the same: players read the frames."""


class AvTagError(ValueError):
    """A payload too short for its own header, or one that contradicts itself."""


class FrameType(IntEnum):
    """UB[4] FrameType of VIDEODATA; enhanced RTMP has the same in 3 bits."""

    KEY = 1
    INTER = 2
    DISPOSABLE_INTER = 3
    GENERATED_KEY = 4
    COMMAND = 5


class PacketType(IntEnum):
    """What a payload holds: AVCPacketType, AACPacketType, and enhanced RTMP's."""

    OTHER = -1
    """A codec without packet types, or a type that nobody here reads."""
    SEQUENCE_HEADER = 0
    FRAME = 1
    END_OF_SEQUENCE = 2
    FRAME_X = 3
    """CodedFramesX: a frame without a composition time, because it is 0."""
    METADATA = 4
    """Video: colour information. Audio: the channels' layout."""


class MultitrackType(IntEnum):
    """AvMultitrackType of enhanced RTMP."""

    ONE = 0
    MANY = 1
    MANY_CODECS = 2


@dataclass(frozen=True, slots=True)
class VideoTag:
    """The header of a VIDEODATA."""

    frame_type: int
    """A `FrameType` where FLV names it, else the bits as sent."""
    codec: VideoCodec | None
    """None for a codec that is not carried, and for a command."""
    name: str
    """How to speak of the codec: its FourCC, or its number."""
    packet_type: PacketType
    """Never FRAME_X: that is read as FRAME."""
    composition_ms: int
    """Presentation minus decode time, -8388608 to 8388607 ms."""
    body: int
    """Offset of the codec's own bytes in the payload."""
    end: int
    """Where they end."""
    plain: bool = True
    """The payload has the plain form."""
    track: int = DEFAULT_TRACK
    """Track this is about: the default track where it is among them, else the first."""
    other_tracks: int = 0
    """How many tracks the payload holds beside it."""
    nano_offset: int = 0
    """Nanoseconds to add to the timestamp, 0 to 999,999."""


@dataclass(frozen=True, slots=True)
class AudioTag:
    """The header of an AUDIODATA."""

    codec: AudioCodec | None
    """None for a codec that is not carried."""
    name: str
    """How to speak of the codec: its FourCC, or its number."""
    packet_type: PacketType
    body: int
    """Offset of the codec's own bytes in the payload."""
    end: int
    plain: bool = True
    track: int = DEFAULT_TRACK
    other_tracks: int = 0
    nano_offset: int = 0


def parse_video(payload: bytes | memoryview) -> VideoTag:
    """Read the header of a VIDEODATA; raises `AvTagError`."""
    if not payload:
        raise AvTagError("an empty video tag")
    first = payload[0]
    if first & EXTENDED_VIDEO:
        return _parse_extended_video(payload)
    frame_type, number = first >> 4, first & 0xF
    size = len(payload)
    if number not in (VIDEO_CODEC_AVC, VIDEO_CODEC_HEVC) or frame_type == FrameType.COMMAND:
        return VideoTag(frame_type, None, f"codec {number}", PacketType.OTHER, 0, 1, size)
    if size < AVC_HEADER_SIZE:
        raise AvTagError(f"an AVC tag of {size} bytes")
    packet = PacketType(payload[1]) if payload[1] <= PacketType.END_OF_SEQUENCE else PacketType.OTHER
    # Only a frame has one (E.4.3.2); what stands there in front of a header means nothing.
    composition = int.from_bytes(payload[2:5], "big", signed=True) if packet is PacketType.FRAME else 0
    plain = number == VIDEO_CODEC_AVC
    codec = VideoCodec.AVC if plain else VideoCodec.HEVC
    return VideoTag(frame_type, codec, codec, packet, composition, AVC_HEADER_SIZE, size, plain)


def parse_audio(payload: bytes | memoryview) -> AudioTag:
    """Read the header of an AUDIODATA; raises `AvTagError`."""
    if not payload:
        raise AvTagError("an empty audio tag")
    number = payload[0] >> 4
    if number == EXTENDED_AUDIO:
        return _parse_extended_audio(payload)
    size = len(payload)
    if number in MP3_CODECS:
        return AudioTag(AudioCodec.MP3, AudioCodec.MP3, PacketType.FRAME, MP3_HEADER_SIZE, size)
    if number != AUDIO_CODEC_AAC:
        return AudioTag(None, f"codec {number}", PacketType.OTHER, 1, size)
    if size < AAC_HEADER_SIZE:
        raise AvTagError("an AAC tag of one byte")
    packet = PacketType(payload[1]) if payload[1] <= PacketType.FRAME else PacketType.OTHER
    return AudioTag(AudioCodec.AAC, AudioCodec.AAC, packet, AAC_HEADER_SIZE, size)


def plain_video(payload: bytes, tag: VideoTag) -> bytes:
    """The payload in its plain form: itself where it has it. For a tag whose codec is known."""
    if tag.plain or tag.codec is None or tag.packet_type is PacketType.OTHER:
        return payload
    body = payload[tag.body : tag.end]
    composition = (tag.composition_ms & 0xFFFFFF).to_bytes(3, "big")
    if tag.codec is VideoCodec.AVC and tag.packet_type <= PacketType.END_OF_SEQUENCE:
        return bytes((tag.frame_type << 4 | VIDEO_CODEC_AVC, tag.packet_type)) + composition + body
    head = bytes((EXTENDED_VIDEO | tag.frame_type << 4 | tag.packet_type,)) + tag.codec.encode()
    if tag.codec in _COMPOSED and tag.packet_type is PacketType.FRAME:
        head += composition
    return head + body


def plain_audio(payload: bytes, tag: AudioTag) -> bytes:
    """The payload in its plain form: itself where it has it. For a tag whose codec is known."""
    if tag.plain or tag.codec is None or tag.packet_type is PacketType.OTHER:
        return payload
    body = payload[tag.body : tag.end]
    if tag.codec is AudioCodec.AAC and tag.packet_type <= PacketType.FRAME:
        return bytes((_PLAIN_AAC, tag.packet_type)) + body
    if tag.codec is AudioCodec.MP3 and tag.packet_type is PacketType.FRAME:
        return bytes((_PLAIN_MP3,)) + body
    return bytes((EXTENDED_AUDIO << 4 | tag.packet_type,)) + tag.codec.encode() + body


def video_header(codec: VideoCodec, record: bytes) -> bytes:
    """The plain sequence header of a codec record."""
    if codec is VideoCodec.AVC:
        return bytes((FrameType.KEY << 4 | VIDEO_CODEC_AVC, 0, 0, 0, 0)) + record
    return bytes((EXTENDED_VIDEO | FrameType.KEY << 4,)) + codec.encode() + record


def audio_header(codec: AudioCodec, record: bytes) -> bytes:
    """The plain sequence header of a codec record."""
    if codec is AudioCodec.AAC:
        return bytes((_PLAIN_AAC, 0)) + record
    return bytes((EXTENDED_AUDIO << 4,)) + codec.encode() + record


def is_codec_header(payload: bytes | memoryview, *, video: bool) -> bool:
    """Whether a plain payload is something to know before the first frame rather than a frame."""
    if len(payload) < 2:
        return False
    first = payload[0]
    if video:
        if first & EXTENDED_VIDEO:
            return first & 0xF in (PacketType.SEQUENCE_HEADER, PacketType.METADATA)
        return first & 0xF == VIDEO_CODEC_AVC and payload[1] == PacketType.SEQUENCE_HEADER
    if first >> 4 == EXTENDED_AUDIO:
        return first & 0xF in (PacketType.SEQUENCE_HEADER, PacketType.METADATA)
    return first >> 4 == AUDIO_CODEC_AAC and payload[1] == PacketType.SEQUENCE_HEADER


@dataclass(frozen=True, slots=True)
class _Extended:
    """What video and audio have in common behind the first byte."""

    packet: int
    fourcc: bytes
    body: int
    end: int
    plain: bool
    track: int
    other_tracks: int
    nano_offset: int


def _parse_extended_video(payload: bytes | memoryview) -> VideoTag:
    first = payload[0]
    frame_type, packet = first >> 4 & 7, first & 0xF
    if frame_type == FrameType.COMMAND and packet not in (PacketType.METADATA, _MOD_EX):
        return VideoTag(frame_type, None, "a command", PacketType.OTHER, 0, 1, len(payload))
    read = _read_extended(payload, packet, _VIDEO_MULTITRACK)
    codec = _VIDEO_CODECS.get(read.fourcc)
    body, composition = read.body, 0
    packet_type = _packet_type(read.packet)
    if packet_type is PacketType.FRAME and codec in _COMPOSED:
        if body + 3 > read.end:
            raise AvTagError("a frame without its composition time")
        composition = int.from_bytes(payload[body : body + 3], "big", signed=True)
        body += 3
    # An H.264 frame has the plain form only in the classic tag; its colour is nowhere else than here.
    plain = read.plain and (codec is not VideoCodec.AVC or packet_type is PacketType.METADATA)
    if packet_type is PacketType.FRAME_X:
        packet_type = PacketType.FRAME
        if codec not in _COMPOSED:
            plain = False  # there is no CodedFramesX for them, and none is needed
    return VideoTag(
        frame_type, codec, _named(read.fourcc), packet_type, composition, body, read.end, plain,
        read.track, read.other_tracks, read.nano_offset,
    )  # fmt: skip


def _parse_extended_audio(payload: bytes | memoryview) -> AudioTag:
    read = _read_extended(payload, payload[0] & 0xF, _AUDIO_MULTITRACK)
    codec = _AUDIO_CODECS.get(read.fourcc)
    packet_type = _packet_type(read.packet)
    if packet_type is PacketType.FRAME_X:
        packet_type = PacketType.OTHER
    classic = codec is AudioCodec.AAC or (codec is AudioCodec.MP3 and packet_type is PacketType.FRAME)
    plain = read.plain and (not classic or packet_type is PacketType.METADATA)
    return AudioTag(
        codec, _named(read.fourcc), packet_type, read.body, read.end, plain,
        read.track, read.other_tracks, read.nano_offset,
    )  # fmt: skip


def _packet_type(number: int) -> PacketType:
    return PacketType(number) if number <= PacketType.METADATA else PacketType.OTHER


def _named(fourcc: bytes) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in fourcc)


def _read_extended(payload: bytes | memoryview, packet: int, multitrack: int) -> _Extended:
    at, nano = 1, 0
    for _ in range(_MAX_MODIFIERS):
        if packet != _MOD_EX:
            break
        packet, at, nano = _read_modifier(payload, at, nano)
    else:
        raise AvTagError(f"more than {_MAX_MODIFIERS} modifiers")
    if packet == multitrack:
        return _read_multitrack(payload, at, nano, multitrack)
    if at + 4 > len(payload):
        raise AvTagError(f"an enhanced tag of {len(payload)} bytes")
    return _Extended(
        packet, bytes(payload[at : at + 4]), at + 4, len(payload), at == 1, DEFAULT_TRACK, 0, nano
    )


def _read_modifier(payload: bytes | memoryview, at: int, nano: int) -> tuple[int, int, int]:
    """ModEx: the packet type behind it, where that stands, and the timestamp's offset."""
    if at >= len(payload):
        raise AvTagError("a modifier that is cut off")
    size = payload[at] + 1
    at += 1
    if size == 256:
        size = int.from_bytes(payload[at : at + 2], "big") + 1
        at += 2
    end = at + size
    if end >= len(payload):
        raise AvTagError("a modifier that is cut off")
    kind, packet = payload[end] >> 4, payload[end] & 0xF
    if not kind and size >= 3:
        nano = int.from_bytes(payload[at : at + 3], "big")
    return packet, end + 1, min(nano, 999_999)


def _read_multitrack(payload: bytes | memoryview, at: int, nano: int, multitrack: int) -> _Extended:
    if at >= len(payload):
        raise AvTagError("a multitrack tag that is cut off")
    kind, packet = payload[at] >> 4, payload[at] & 0xF
    if kind > MultitrackType.MANY_CODECS or packet in (multitrack, _MOD_EX):
        raise AvTagError(f"multitrack type {kind} of packet type {packet}")
    at += 1
    shared = b""
    if kind != MultitrackType.MANY_CODECS:
        shared, at = bytes(payload[at : at + 4]), at + 4
    found: list[_Extended] = []
    while not found or at < len(payload):
        fourcc = shared
        if kind == MultitrackType.MANY_CODECS:
            fourcc, at = bytes(payload[at : at + 4]), at + 4
        end = at + (1 if kind == MultitrackType.ONE else 4)
        if end > len(payload):
            raise AvTagError("a track that is cut off")
        track = payload[at]
        body, at = end, len(payload)
        if kind != MultitrackType.ONE:
            at = body + int.from_bytes(payload[end - 3 : end], "big")
            if at > len(payload):
                raise AvTagError("a track that is cut off")
        found.append(_Extended(packet, fourcc, body, at, False, track, 0, nano))
    chosen = next((one for one in found if one.track == DEFAULT_TRACK), found[0])
    return _Extended(
        packet, chosen.fourcc, chosen.body, chosen.end, False, chosen.track, len(found) - 1, nano
    )
