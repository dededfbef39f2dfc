"""What codec headers say, whatever the codec: one shape for a packager, a playlist and a listing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from media import aac, ac3, av1, avc, flac, hevc, mp3, opus, vp9
from media.av_tags import PacketType, parse_audio, parse_video
from media.codec import AudioCodec, CodecError, VideoCodec
from media.colour import NOTHING_KNOWN, Colour

AC3_RECORD: Final = "ac3record"
"""Name in onMetaData of the number whose bytes are the body of dac3 or dec3."""
AC3_SIZES: Final = {AudioCodec.AC3: 3, AudioCodec.EAC3: 5}
"""Bytes of those bodies."""
MP3_RECORD: Final = "mp3header"
"""Name in onMetaData of the number whose bytes are an MP3 frame's header, `Mp3Config.record`: FLV has none."""


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """A video track."""

    kind: VideoCodec
    record: bytes
    """The codec record as a decoder takes it: avcC, hvcC, av1C or, without its box's version, vpcC."""
    codec: str
    """RFC 6381."""
    width: int = 0
    """Pixels as shown; 0 where the record does not say: VP9, or parameter sets that cannot be read."""
    height: int = 0
    frame_rate: float = 0.0
    """Frames per second; 0.0 where the record has no timing."""
    colour: Colour = NOTHING_KNOWN


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """An audio track."""

    kind: AudioCodec
    record: bytes
    """AudioSpecificConfig, or the body of dOps, dfLa (without version and flags), dac3 or dec3; of MP3 a frame's
    header, as far as it stays the same."""
    codec: str
    """RFC 6381."""
    sample_rate: int
    """Samples per second of the clock that frames count in."""
    output_rate: int
    """Samples per second that are heard."""
    channels: int
    """0 where only the frames say it."""
    frame_samples: int
    """Samples in a frame, as a rule."""
    shortest: int
    """Samples in the shortest frame there can be."""
    depth: int
    """Bits of a sample where the codec has them, else 16."""
    samples_of: Callable[[bytes | memoryview], int] | None
    """How many samples a given frame holds; None where all hold `frame_samples`."""


def video_format(kind: VideoCodec, record: bytes) -> VideoFormat:
    """Read a codec record; raises `CodecError`. Parameter sets that cannot be read are carried unread."""
    if kind is VideoCodec.AVC:
        config = avc.parse_config(record)
        try:
            picture = avc.parse_sps(config.sps[0])
        except avc.AvcError:
            return VideoFormat(kind, record, config.codec)
        return VideoFormat(
            kind, record, config.codec, picture.width, picture.height, picture.frame_rate, picture.colour
        )
    if kind is VideoCodec.HEVC:
        return _hevc_format(record)
    if kind is VideoCodec.AV1:
        sequence = av1.parse_config(record).sequence
        return VideoFormat(
            kind, record, sequence.codec, sequence.width, sequence.height, sequence.frame_rate,
            Colour(*sequence.colour),
        )  # fmt: skip
    parsed = vp9.parse_config(record)
    return VideoFormat(kind, parsed.record(), parsed.codec, colour=Colour(*parsed.colour, parsed.full_range))


def _hevc_format(record: bytes) -> VideoFormat:
    config = hevc.parse_config(record)
    if not config.sps or not config.pps:
        raise hevc.HevcError("an HEVC record without parameter sets")
    try:
        picture = hevc.parse_sps(config.sps[0])
    except hevc.HevcError:
        return VideoFormat(VideoCodec.HEVC, record, config.codec)
    return VideoFormat(
        VideoCodec.HEVC, record, config.codec, picture.width, picture.height, picture.frame_rate,
        picture.colour,
    )  # fmt: skip


def audio_format(kind: AudioCodec, record: bytes) -> AudioFormat:
    """Read a codec record in any form that a header carries it in; raises `CodecError`."""
    if kind is AudioCodec.AAC:
        sound = aac.parse_config(record)
        return AudioFormat(
            kind, record, sound.codec, sound.sample_rate, sound.output_rate, sound.channels,
            sound.frame_samples, sound.frame_samples, 16, None,
        )  # fmt: skip
    if kind is AudioCodec.OPUS:
        opening = opus.parse_head(record) if record.startswith(b"Opus") else opus.parse_box(record)
        rate = opus.SAMPLE_RATE
        return AudioFormat(
            kind, opening.box(), opening.codec, rate, rate, opening.channels, 960, opus.SHORTEST_SAMPLES, 16,
            opus.packet_samples,
        )  # fmt: skip
    if kind is AudioCodec.FLAC:
        info = flac.parse_config(record)
        return AudioFormat(
            kind, info.box(), info.codec, info.sample_rate, info.sample_rate, info.channels,
            info.block_samples, 1, info.depth, partial(_flac_samples, info.block_samples),
        )  # fmt: skip
    if kind is AudioCodec.MP3:
        head = mp3.parse_header(record)
        return AudioFormat(
            kind, head.record, head.codec, head.sample_rate, head.sample_rate, head.channels,
            head.frame_samples, head.frame_samples, 16, None,
        )  # fmt: skip
    enhanced = kind is AudioCodec.EAC3
    config = ac3.parse_record(record, enhanced=enhanced)
    return AudioFormat(
        kind, record, config.codec, config.sample_rate, config.sample_rate, config.channels,
        ac3.FRAME_SAMPLES, ac3.BLOCK_SAMPLES if enhanced else ac3.FRAME_SAMPLES, 16,
        ac3.unit_samples if enhanced else None,
    )  # fmt: skip


def _flac_samples(block: int, frame: bytes | memoryview) -> int:
    return flac.frame_samples(frame) or block


def read_video_header(payload: bytes | memoryview) -> VideoFormat | None:
    """The track of a plain sequence header; None of another video tag. Raises `CodecError` or `AvTagError`."""
    tag = parse_video(payload)
    if tag.codec is None or tag.packet_type is not PacketType.SEQUENCE_HEADER:
        return None
    return video_format(tag.codec, bytes(payload[tag.body : tag.end]))


def ac3_record(codec: AudioCodec, number: float) -> bytes:
    """The body of dac3 or dec3 out of the number that onMetaData has as `AC3_RECORD`; empty where it is none."""
    size = AC3_SIZES[codec]
    return int(number).to_bytes(size, "big") if 0 < number < 1 << 8 * size else b""


def mp3_record(number: float) -> bytes:
    """The record out of the number that onMetaData has as `MP3_RECORD`; empty where it is none."""
    return int(number).to_bytes(mp3.HEADER_SIZE, "big") if 0 < number < 1 << 32 else b""


def read_audio_header(payload: bytes | memoryview, number: float = 0) -> AudioFormat | None:
    """The track of a plain sequence header; None of another audio tag. Raises `CodecError` or `AvTagError`.

    AC-3's header is empty, since players take a body for a frame: its record is `number`, which stands in
    onMetaData as `AC3_RECORD`.
    """
    tag = parse_audio(payload)
    if tag.codec is None or tag.packet_type is not PacketType.SEQUENCE_HEADER:
        return None
    record = bytes(payload[tag.body : tag.end])
    if not record and tag.codec in AC3_SIZES:
        record = ac3_record(tag.codec, number)
        if not record:
            raise CodecError("an AC-3 header without its record")
    return audio_format(tag.codec, record)


def describe_video(payload: bytes | memoryview) -> dict[str, object]:
    """A sequence header by the field names of `StreamDescribed`; raises `CodecError` or `AvTagError`."""
    found = read_video_header(payload)
    if found is None:
        return {}
    return {
        "video_codec": found.codec, "width": found.width or None, "height": found.height or None,
        "fps": found.frame_rate or None,
    }  # fmt: skip


def describe_audio(payload: bytes | memoryview, number: float = 0) -> dict[str, object]:
    """A sequence header by the field names of `StreamDescribed`, as `read_audio_header` takes it."""
    found = read_audio_header(payload, number)
    if found is None:
        return {}
    return {
        "audio_codec": found.codec, "sample_rate": found.output_rate, "channels": found.channels or None,
    }  # fmt: skip
