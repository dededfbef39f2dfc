"""The codec headers of a stream: what a decoder needs before the first frame, as FLV tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bus_schemas.tags import HEADER_SIZE, TagFormatError, TagHeader
from media import aac, av_tags, avc, flv
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


@dataclass(frozen=True, slots=True)
class CodecHeaders:
    """The sequence headers of one generation, AUDIODATA and VIDEODATA as received."""

    video: bytes | None = None
    audio: bytes | None = None

    def tags(self, dts_ms: int, metadata: dict[str, Any]) -> bytes:
        """onMetaData and the sequence headers as complete tags stamped `dts_ms`."""
        described = {**metadata, "hasVideo": self.video is not None, "hasAudio": self.audio is not None}
        script = amf0.encode("onMetaData") + amf0.encode_ecma_array(described)
        parts = [flv.mux(flv.TagType.SCRIPT, dts_ms, script)]
        if self.video is not None:
            parts.append(flv.mux(flv.TagType.VIDEO, dts_ms, self.video))
        if self.audio is not None:
            parts.append(flv.mux(flv.TagType.AUDIO, dts_ms, self.audio))
        return b"".join(parts)

    def describe(self) -> dict[str, Any]:
        """What the headers say, by the field names of `StreamDescribed`; unreadable ones say nothing."""
        found: dict[str, Any] = {}
        if self.video is not None:
            try:
                config = avc.parse_config(self.video[av_tags.AVC_HEADER_SIZE :])
                found["video_codec"] = config.codec
                sps = avc.parse_sps(config.sps[0])
                found |= {"width": sps.width, "height": sps.height, "fps": sps.frame_rate or None}
            except avc.AvcError:
                found.setdefault("video_codec", "avc1")
        if self.audio is not None:
            try:
                sound = aac.parse_config(self.audio[av_tags.AAC_HEADER_SIZE :])
                found["audio_codec"] = sound.codec
                found |= {"sample_rate": sound.output_rate, "channels": sound.channels}
            except aac.AacError:
                found["audio_codec"] = "mp4a"
        return found


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
    video = audio = None
    for tag in flv.demux(memoryview(message)[HEADER_SIZE:]):
        if tag.type is flv.TagType.VIDEO:
            video = tag.payload
        elif tag.type is flv.TagType.AUDIO:
            audio = tag.payload
    if video is None and audio is None:
        raise TagFormatError("a header message without a sequence header")
    return header, CodecHeaders(video, audio)
