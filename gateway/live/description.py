"""What a live stream is made of, from its codec headers and its last statistics. Pure."""

from __future__ import annotations

from contextlib import suppress

from pydantic import BaseModel, ValidationError

from bus_schemas.messages.live import LiveEvent, StreamMeasured
from bus_schemas.tags import HEADER_SIZE
from media import flv, formats, script
from media.av_tags import AvTagError
from media.codec import CodecError


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
    metadata: dict[str, float] = {}
    for tag in tags:
        with suppress(CodecError, AvTagError, script.ScriptError):
            if tag.type is flv.TagType.VIDEO:
                found |= formats.describe_video(tag.payload)
            elif tag.type is flv.TagType.AUDIO:
                found |= formats.describe_audio(tag.payload, metadata.get(formats.AC3_RECORD, 0))
            else:
                metadata = script.read_numbers(tag.payload)[1]
    if "video_codec" in found and not found.get("width"):
        # VP9's header does not say its size: ingest does.
        found |= {
            name: int(metadata[name]) for name in ("width", "height") if 0 < metadata.get(name, 0) < 1 << 16
        }
    if last_event is not None and (measured := _statistics(last_event)) is not None:
        found["bitrate_kbps"] = measured.bytes * 8 // max(measured.interval_ms, 1)
    return LiveFacts.model_validate(found)


def _statistics(event: bytes) -> StreamMeasured | None:
    try:
        root = LiveEvent.model_validate_json(event).root
    except ValidationError:
        return None
    return root if isinstance(root, StreamMeasured) else None
