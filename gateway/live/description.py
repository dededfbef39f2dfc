"""What a live stream is made of, from its codec headers and its last statistics. Pure."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from bus_schemas.messages.live import LiveEvent, StreamMeasured
from bus_schemas.tags import HEADER_SIZE
from media import aac, av_tags, avc, flv


class LiveFacts(BaseModel):
    """Codecs by RFC 6381; null: not there, or not to be read."""

    video_codec: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    audio_codec: str | None = None
    sample_rate: int | None = None
    channels: int | None = None
    bitrate_kbps: int | None = None
    """Over the last interval that was measured."""


def describe(header_message: bytes, last_event: bytes | None) -> LiveFacts:
    """The facts of a message of `live.header.{stream}` and the newest live event; what is unreadable says nothing."""
    found: dict[str, object] = {}
    try:
        tags = list(flv.demux(header_message[HEADER_SIZE:]))
    except flv.FlvError:
        tags = []
    for tag in tags:
        try:
            if tag.type is flv.TagType.VIDEO:
                config = avc.parse_config(tag.payload[av_tags.AVC_HEADER_SIZE :])
                found["video_codec"] = config.codec
                picture = avc.parse_sps(config.sps[0])
                found |= {"width": picture.width, "height": picture.height, "fps": picture.frame_rate or None}
            elif tag.type is flv.TagType.AUDIO:
                sound = aac.parse_config(tag.payload[av_tags.AAC_HEADER_SIZE :])
                found |= {
                    "audio_codec": sound.codec,
                    "sample_rate": sound.output_rate,
                    "channels": sound.channels,
                }
        except (avc.AvcError, aac.AacError):
            continue
    if last_event is not None and (measured := _statistics(last_event)) is not None:
        found["bitrate_kbps"] = measured.bytes * 8 // max(measured.interval_ms, 1)
    return LiveFacts.model_validate(found)


def _statistics(event: bytes) -> StreamMeasured | None:
    try:
        root = LiveEvent.model_validate_json(event).root
    except ValidationError:
        return None
    return root if isinstance(root, StreamMeasured) else None
