"""Codec headers in, tracks out: the init segment of a generation of tags, and what a playlist says of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace

from bus_schemas.parts import InitHeader
from media import script
from media.av_tags import AvTagError, is_codec_header
from media.codec import AudioCodec, CodecError, VideoCodec
from media.colour import NOTHING_KNOWN, Colour, read_colour_info
from media.flv import TagType
from media.formats import (
    AC3_RECORD,
    MP3_RECORD,
    AudioFormat,
    VideoFormat,
    audio_format,
    mp3_record,
    read_audio_header,
    read_video_header,
    video_format,
)
from workers.transmux.cmaf.init import VIDEO_TIMESCALE, AudioTrack, VideoTrack, init_segment

_MAX_FRAME_RATE = 1000.0
_MAX_KILOBITS = 1_000_000.0
_MAX_SIDE = 1 << 16


@dataclass(frozen=True, slots=True)
class Announced:
    """What `onMetaData` says and no codec header does; 0 where it does not."""

    frame_rate: float = 0.0
    bandwidth: int = 0
    width: int = 0
    height: int = 0
    ac3_record: float = 0


@dataclass(frozen=True, slots=True)
class Tracks:
    """The tracks of one generation."""

    video: VideoFormat | None = None
    audio: AudioFormat | None = None
    announced: Announced = Announced()
    told: Colour | None = None
    """What the publisher says of the video's colours beside the stream."""

    @property
    def timescale(self) -> int:
        """Ticks per second of the leading track: video where there is video."""
        return self.audio.sample_rate if self.audio and not self.video else VIDEO_TIMESCALE

    @property
    def frame_rate(self) -> float:
        """Frames per second as far as anything says it; 0.0 without video."""
        return (self.video.frame_rate or self.announced.frame_rate) if self.video else 0.0

    @property
    def frame_ms(self) -> int:
        """Duration of one video frame, for a last frame with none behind it."""
        return round(1000 / self.frame_rate) if self.frame_rate >= 1 else 33

    @property
    def size(self) -> tuple[int, int]:
        """Width and height; 0 where nobody says it. VP9's header does not: ingest puts it into the metadata."""
        if self.video is None:
            return 0, 0
        if self.video.kind is VideoCodec.VP9:
            return self.announced.width, self.announced.height
        return self.video.width, self.video.height

    @property
    def colour(self) -> Colour:
        """Of the video, as far as anything says it."""
        return self.video.colour.overridden(self.told) if self.video else NOTHING_KNOWN

    def same_as(self, other: Tracks) -> bool:
        """The same decoder serves both."""
        return self._identity() == other._identity()

    def _identity(self) -> tuple[object, ...]:
        video = (self.video.kind, self.video.record, self.size, self.colour) if self.video else None
        return video, (self.audio.kind, self.audio.record) if self.audio else None

    def header(self, *, init: int, epoch: int, generation: int, name: str) -> InitHeader:
        """What the bus says beside the init segment."""
        video, audio = self.video, self.audio
        width, height = self.size
        return InitHeader(
            init=init,
            epoch=epoch,
            generation=generation,
            name=name,
            codecs=",".join(track.codec for track in (video, audio) if track),
            width=width,
            height=height,
            frame_rate=round(self.frame_rate, 3),
            sample_rate=audio.sample_rate if audio else 0,
            channels=audio.channels if audio else 0,
            bandwidth=self.announced.bandwidth,
            video_record=video.record if video else b"",
            audio_record=audio.record if audio else b"",
            video_codec=video.kind if video else "",
            audio_codec=audio.kind if audio else "",
            colour=tuple(map(int, astuple(self.colour))) if self.colour.is_known else (),
        )

    def init_segment(self) -> bytes:
        """`ftyp` + `moov`."""
        video, audio = self.video, self.audio
        return init_segment(
            VideoTrack(video.kind, video.record, *self.size, self.colour) if video else None,
            AudioTrack(
                audio.kind, audio.record, audio.sample_rate, audio.channels, audio.frame_samples, audio.depth
            )
            if audio
            else None,
        )


def from_init(header: InitHeader) -> Tracks:
    """The tracks behind a published init segment; raises `CodecError`."""
    announced = Announced(header.frame_rate, header.bandwidth, header.width, header.height)
    try:
        video = VideoCodec(header.video_codec or VideoCodec.AVC)
        audio = AudioCodec(header.audio_codec or AudioCodec.AAC)
    except ValueError as exc:
        raise CodecError(f"a codec that this worker does not package: {exc}") from exc
    return Tracks(
        video_format(video, header.video_record) if header.video_record else None,
        audio_format(audio, header.audio_record) if header.audio_record else None,
        announced,
        _told(header.colour),
    )


def _told(codes: tuple[int, ...]) -> Colour | None:
    if not codes:
        return None
    primaries, transfer, matrix, full = codes
    return Colour(primaries, transfer, matrix, bool(full))


def read_headers(tags: Iterable[tuple[int, memoryview]], before: Tracks) -> Tracks:
    """`before` with what the header tags among `tags` (FLV type, payload) change.

    A record that cannot be read leaves its track out: the other one is still worth packaging. So does MP3
    beside video: browsers that do not take it in MP4 would refuse the pictures too.
    """
    tracks = before
    for kind, payload in tags:
        try:
            if kind == TagType.VIDEO:
                video = read_video_header(payload)
                if video is not None:
                    tracks = replace(tracks, video=video)
                elif is_codec_header(payload, video=True):
                    tracks = replace(tracks, told=read_colour_info(payload))
            elif kind == TagType.AUDIO:
                tracks = replace(
                    tracks, audio=read_audio_header(payload, tracks.announced.ac3_record) or tracks.audio
                )
            else:
                tracks = _with_metadata(tracks, payload)
        except (CodecError, AvTagError, script.ScriptError):
            continue
    if tracks.video is not None and tracks.audio is not None and tracks.audio.kind is AudioCodec.MP3:
        return replace(tracks, audio=None)
    return tracks


def _with_metadata(tracks: Tracks, payload: memoryview) -> Tracks:
    name, numbers = script.read_numbers(payload)
    if name != "onMetaData":
        return tracks
    frame_rate = numbers.get("framerate", 0.0)
    kilobits = numbers.get("videodatarate", 0.0) + numbers.get("audiodatarate", 0.0)
    width, height = (numbers.get(side, 0.0) for side in ("width", "height"))
    if record := mp3_record(numbers.get(MP3_RECORD, 0)):
        tracks = replace(tracks, audio=audio_format(AudioCodec.MP3, record))
    known = 0 < width < _MAX_SIDE and 0 < height < _MAX_SIDE
    return replace(
        tracks,
        announced=Announced(
            frame_rate if 0 < frame_rate <= _MAX_FRAME_RATE else 0.0,
            int(kilobits * 1000) if 0 < kilobits <= _MAX_KILOBITS else 0,
            int(width) if known else 0,
            int(height) if known else 0,
            numbers.get(AC3_RECORD, 0),
        ),
    )
