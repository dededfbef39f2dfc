"""Codec headers in, tracks out: the init segment of a generation of tags, and what a playlist says of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bus_schemas.parts import InitHeader
from media import aac, avc, script
from media.av_tags import AAC_HEADER_SIZE, AVC_HEADER_SIZE, AvTagError, PacketType, parse_audio, parse_video
from media.flv import TagType
from workers.transmux.cmaf.init import VIDEO_TIMESCALE, AudioTrack, VideoTrack, init_segment

_MAX_FRAME_RATE = 1000.0
_MAX_KILOBITS = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Announced:
    """What `onMetaData` says and no codec header does; 0 where it does not."""

    frame_rate: float = 0.0
    bandwidth: int = 0


@dataclass(frozen=True, slots=True)
class Tracks:
    """The codec records of one generation."""

    video_record: bytes = b""
    audio_record: bytes = b""
    video: avc.AvcConfig | None = None
    picture: avc.SequenceParameters | None = None
    audio: aac.AacConfig | None = None
    announced: Announced = Announced()

    @property
    def timescale(self) -> int:
        """Ticks per second of the leading track: video where there is video."""
        return self.audio.sample_rate if self.audio and not self.video else VIDEO_TIMESCALE

    @property
    def frame_ms(self) -> int:
        """Duration of one video frame as far as anything says it, for a last frame with none behind it."""
        rate = (self.picture.frame_rate if self.picture else 0.0) or self.announced.frame_rate
        return round(1000 / rate) if rate >= 1 else 33

    def same_as(self, other: Tracks) -> bool:
        """The same decoder serves both."""
        return self.video_record == other.video_record and self.audio_record == other.audio_record

    def header(self, *, init: int, epoch: int, generation: int, name: str) -> InitHeader:
        """What the bus says beside the init segment."""
        picture, audio = self.picture, self.audio
        frame_rate = (picture.frame_rate if picture else 0.0) or self.announced.frame_rate
        return InitHeader(
            init=init,
            epoch=epoch,
            generation=generation,
            name=name,
            codecs=",".join(config.codec for config in (self.video, audio) if config),
            width=picture.width if picture else 0,
            height=picture.height if picture else 0,
            frame_rate=round(frame_rate, 3) if self.video else 0.0,
            sample_rate=audio.sample_rate if audio else 0,
            channels=audio.channels if audio else 0,
            bandwidth=self.announced.bandwidth,
            video_record=self.video_record,
            audio_record=self.audio_record,
        )

    def init_segment(self) -> bytes:
        """`ftyp` + `moov`."""
        width, height = (self.picture.width, self.picture.height) if self.picture else (0, 0)
        video = VideoTrack(self.video_record, width, height) if self.video else None
        audio = (
            AudioTrack(
                self.audio_record, self.audio.sample_rate, self.audio.channels, self.audio.frame_samples
            )
            if self.audio
            else None
        )
        return init_segment(video, audio)


def from_init(header: InitHeader) -> Tracks:
    """The tracks behind a published init segment; raises `AvcError` or `AacError`."""
    tracks = Tracks(announced=Announced(header.frame_rate, header.bandwidth))
    tracks = with_video(tracks, header.video_record) if header.video_record else tracks
    return with_audio(tracks, header.audio_record) if header.audio_record else tracks


def with_video(tracks: Tracks, record: bytes) -> Tracks:
    """The tracks with this AVC record; raises `AvcError`. Parameter sets it cannot read it carries unread."""
    config = avc.parse_config(record)
    try:
        picture = avc.parse_sps(config.sps[0])
    except avc.AvcError:
        picture = None
    return replace(tracks, video_record=record, video=config, picture=picture)


def with_audio(tracks: Tracks, record: bytes) -> Tracks:
    """The tracks with this AudioSpecificConfig; raises `AacError`."""
    return replace(tracks, audio_record=record, audio=aac.parse_config(record))


def read_headers(tags: Iterable[tuple[int, memoryview]], before: Tracks) -> Tracks:
    """`before` with what the header tags among `tags` (FLV type, payload) change.

    A record that cannot be read leaves its track out: the other one is still worth packaging.
    """
    tracks = before
    for kind, payload in tags:
        try:
            if kind == TagType.VIDEO:
                video = parse_video(payload)
                if video.is_avc and video.packet_type == PacketType.SEQUENCE_HEADER:
                    tracks = with_video(tracks, bytes(payload[AVC_HEADER_SIZE:]))
            elif kind == TagType.AUDIO:
                audio = parse_audio(payload)
                if audio.is_aac and audio.packet_type == PacketType.SEQUENCE_HEADER:
                    tracks = with_audio(tracks, bytes(payload[AAC_HEADER_SIZE:]))
            else:
                tracks = _with_metadata(tracks, payload)
        except (avc.AvcError, aac.AacError, AvTagError, script.ScriptError):
            continue
    return tracks


def _with_metadata(tracks: Tracks, payload: memoryview) -> Tracks:
    name, numbers = script.read_numbers(payload)
    if name != "onMetaData":
        return tracks
    frame_rate = numbers.get("framerate", 0.0)
    kilobits = numbers.get("videodatarate", 0.0) + numbers.get("audiodatarate", 0.0)
    return replace(
        tracks,
        announced=Announced(
            frame_rate if 0 < frame_rate <= _MAX_FRAME_RATE else 0.0,
            int(kilobits * 1000) if 0 < kilobits <= _MAX_KILOBITS else 0,
        ),
    )
