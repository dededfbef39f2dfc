"""The codec headers of a stream: what a decoder needs before the first frame, as FLV tags."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from bus_schemas.tags import HEADER_SIZE, TagFormatError, TagHeader
from media import flv, formats, script
from media.av_tags import (
    AUDIO_CODEC_AAC,
    AUDIO_CODEC_MP3,
    EXTENDED_HEADER_SIZE,
    VIDEO_CODEC_AVC,
    AvTagError,
    PacketType,
    audio_header,
    parse_audio,
    parse_video,
)
from media.codec import AudioCodec, CodecError, VideoCodec
from workers.ingest.rtmp import amf0

MAX_SEQUENCE_HEADER: Final = 16 << 10
"""Bytes; parameter sets of real encoders have under 200."""
MAX_METADATA_TEXT: Final = 256
METADATA_NAMES: Final = (
    "width",
    "height",
    "framerate",
    "videocodecid",
    "videodatarate",
    "audiocodecid",
    "audiodatarate",
    "audiosamplerate",
    "audiosamplesize",
    "audiochannels",
    "stereo",
    "encoder",
)
"""What is passed on of a publisher's onMetaData; a live stream has no duration and no file size."""
_OF_VIDEO: Final = ("width", "height", "framerate", "videocodecid", "videodatarate")
_OF_AUDIO: Final = (
    "audiocodecid", "audiodatarate", "audiosamplerate", "audiosamplesize", "audiochannels", "stereo",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CodecHeaders:
    """What a decoder needs of one generation: AUDIODATA and VIDEODATA in their plain form."""

    video: bytes | None = None
    """The sequence header."""
    audio: bytes | None = None
    """The sequence header."""
    size: tuple[int, int] | None = None
    """Width and height where the video's sequence header does not say them (VP9): part of the generation."""
    colour: bytes | None = field(default=None, compare=False)
    """The video's metadata packet, enhanced RTMP's colour information: passed on, and no reason for a new
    generation."""
    layout: bytes | None = field(default=None, compare=False)
    """The audio's MultichannelConfig, likewise."""

    def same_in_full(self, other: CodecHeaders) -> bool:
        """Equal, and what does not make a generation is equal too."""
        return (self, self.colour, self.layout) == (other, other.colour, other.layout)

    def tags(self, dts_ms: int, metadata: dict[str, Any]) -> bytes:
        """onMetaData and the headers as complete tags stamped `dts_ms`."""
        script_body = amf0.encode("onMetaData") + amf0.encode_ecma_array(self._corrected(metadata))
        parts = [flv.mux(flv.TagType.SCRIPT, dts_ms, script_body)]
        audio = self.audio
        if audio is not None and _ac3_record(audio):
            audio = audio[:EXTENDED_HEADER_SIZE]  # players take more for a frame; onMetaData has it
        elif _mp3_record(audio):
            audio = None  # FLV has none
        for kind, payload in (
            (flv.TagType.VIDEO, self.video),
            (flv.TagType.VIDEO, self.colour),
            (flv.TagType.AUDIO, audio),
            (flv.TagType.AUDIO, self.layout),
        ):
            if payload is not None:
                parts.append(flv.mux(kind, dts_ms, payload))
        return b"".join(parts)

    def describe(self) -> dict[str, Any]:
        """What the headers say, by the field names of `StreamDescribed`; unreadable ones name only their codec."""
        found: dict[str, Any] = {}
        if self.video is not None:
            try:
                found |= formats.describe_video(self.video)
            except CodecError:
                found["video_codec"] = str(parse_video(self.video).codec)
            if self.size is not None:
                found["width"], found["height"] = self.size
        if self.audio is not None:
            try:
                found |= formats.describe_audio(self.audio)
            except CodecError:
                found["audio_codec"] = str(parse_audio(self.audio).codec)
        return {name: value for name, value in found.items() if value is not None}

    def _corrected(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """Metadata that tell the truth: what the headers say goes before what the publisher said."""
        absent = (*(_OF_VIDEO if self.video is None else ()), *(_OF_AUDIO if self.audio is None else ()))
        true = {name: value for name, value in metadata.items() if name not in absent}
        found = self.describe()
        true |= {name: found[name] for name in ("width", "height") if name in found}
        if "fps" in found:
            true.setdefault("framerate", found["fps"])
        if self.video is not None:
            true["videocodecid"] = _video_codec_id(self.video)
        if self.audio is not None:
            true["audiocodecid"] = _audio_codec_id(self.audio)
        if record := _ac3_record(self.audio):
            true[formats.AC3_RECORD] = int.from_bytes(record, "big")
        if record := _mp3_record(self.audio):
            true[formats.MP3_RECORD] = int.from_bytes(record, "big")
        return {**true, "hasVideo": self.video is not None, "hasAudio": self.audio is not None}


def _video_codec_id(header: bytes) -> float:
    codec = parse_video(header).codec
    return VIDEO_CODEC_AVC if codec is VideoCodec.AVC else _four_letters(codec)


def _audio_codec_id(header: bytes) -> float:
    codec = parse_audio(header).codec
    classic = {AudioCodec.AAC: AUDIO_CODEC_AAC, AudioCodec.MP3: AUDIO_CODEC_MP3}
    return classic.get(codec) or _four_letters(codec) if codec else 0


def _ac3_record(header: bytes | None) -> bytes:
    """The record within a header of AC-3: made here, no publisher sends one, and no FLV player takes one."""
    tag = parse_audio(header) if header else None
    return header[tag.body :] if header and tag and tag.codec in formats.AC3_SIZES else b""


def _mp3_record(header: bytes | None) -> bytes:
    """The record within a header of MP3, made here as well."""
    tag = parse_audio(header) if header else None
    return header[tag.body :] if header and tag and tag.codec is AudioCodec.MP3 else b""


def _four_letters(codec: str | None) -> float:
    """Enhanced RTMP, "Enhancing onMetaData": a FourCC as a number."""
    return int.from_bytes((codec or "").encode(), "big")


def clean_metadata(values: dict[str, Any]) -> dict[str, Any]:
    """The plain values among `METADATA_NAMES`; everything else of a publisher's metadata is dropped."""
    kept: dict[str, Any] = {}
    for name in METADATA_NAMES:
        value = values.get(name)
        if isinstance(value, str):
            kept[name] = "".join(c for c in value[:MAX_METADATA_TEXT] if c.isprintable())
        elif isinstance(value, (bool, float)):
            kept[name] = value
    return kept


def read_header_message(message: bytes) -> tuple[TagHeader, CodecHeaders]:
    """A message of `live.header.{stream}` as written here; raises `TagFormatError` or `FlvError`."""
    header = TagHeader.unpack(message)
    found: dict[str, bytes] = {}
    numbers: dict[str, float] = {}
    try:
        for tag in flv.demux(memoryview(message)[HEADER_SIZE:]):
            if tag.type is flv.TagType.VIDEO:
                more = parse_video(tag.payload).packet_type is PacketType.METADATA
                found["colour" if more else "video"] = tag.payload
            elif tag.type is flv.TagType.AUDIO:
                more = parse_audio(tag.payload).packet_type is PacketType.METADATA
                found["layout" if more else "audio"] = tag.payload
            else:
                numbers = script.read_numbers(tag.payload)[1]
    except (AvTagError, script.ScriptError) as error:
        raise TagFormatError(str(error)) from error
    if record := formats.mp3_record(numbers.get(formats.MP3_RECORD, 0)):
        found.setdefault("audio", audio_header(AudioCodec.MP3, record))
    video = found.get("video")
    if video is None and "audio" not in found:
        raise TagFormatError("a header message without a sequence header")
    audio = found.get("audio")
    codec = parse_audio(audio).codec if audio is not None else None
    if codec is not None and codec in formats.AC3_SIZES:
        record = formats.ac3_record(codec, numbers.get(formats.AC3_RECORD, 0))
        audio = audio_header(codec, record) if record else None
    size = None
    if video is not None and parse_video(video).codec is VideoCodec.VP9:
        size = int(numbers.get("width", 0)), int(numbers.get("height", 0))
    return header, CodecHeaders(video, audio, size, colour=found.get("colour"), layout=found.get("layout"))
