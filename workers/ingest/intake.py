"""A publisher's messages → frames in their plain form, and the codec headers they need. Sans-I/O.

Whatever way a publisher has of saying it, behind this there are only the forms of `media.av_tags`: one
video and one audio track, H.264 and AAC in classic tags, everything else behind its FourCC. Of a
multitrack publisher the default track is taken; the others are counted and cost nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bus_schemas.limits import ACCESS_UNIT_MAX
from media import ac3, av_tags, formats, opus
from media.av_tags import AudioTag, FrameType, PacketType, VideoTag
from media.codec import AudioCodec, CodecError, VideoCodec
from media.formats import VideoFormat
from workers.ingest import in_band
from workers.ingest.headers import MAX_SEQUENCE_HEADER, CodecHeaders
from workers.ingest.rtmp.events import MediaKind
from workers.ingest.syncframes import Syncframes

MAX_AUDIO_FRAME: Final = 64 << 10
"""Bytes; an AAC frame has at most 768 for each channel, a FLAC frame of 8 channels up to 150 KB is no live sound."""
MAX_METADATA: Final = 4 << 10
"""Bytes of colour information or of a channel layout; real ones have under 300."""

# What nearly every message is: told by its first two bytes.
_AVC_INTER: Final = frozenset({b"\x27\x01", b"\x37\x01"})
_AAC_FRAME: Final = frozenset(bytes((0xA0 | low, 1)) for low in range(16))
_HEADERLESS: Final = (AudioCodec.AC3, AudioCodec.EAC3, AudioCodec.MP3)
_VIDEO_NAMES: Final = {
    "codec 2": "Sorenson H.263",
    "codec 3": "screen video",
    "codec 4": "VP6",
    "codec 5": "VP6",
}
_AUDIO_NAMES: Final = {
    "codec 0": "PCM", "codec 1": "ADPCM", "codec 3": "PCM", "codec 4": "Nellymoser",
    "codec 5": "Nellymoser", "codec 6": "Nellymoser", "codec 7": "G.711", "codec 8": "G.711",
    "codec 11": "Speex",
}  # fmt: skip


class UnsupportedCodecError(Exception):
    """The publisher sends a codec that is not carried: a sentence for him."""


class Intake:
    """Reads the messages of one publish session."""

    def __init__(self) -> None:
        self.wanted = CodecHeaders()
        """The codec headers of the frames that come now."""
        self.needs_key = False
        """Something happened to the video that only a key frame mends; whoever acts on it sets it back."""
        self.unit_max = ACCESS_UNIT_MAX
        """Bytes of one access unit."""
        self.refused = 0
        """Units over their limit."""
        self.skipped = 0
        """What cannot be read, and frames whose header was never seen."""
        self.behind_ms = 0
        """How much later than the frame given last the message was that completed it; whoever acts on it sets it
        back."""
        self.other_tracks = 0
        """Packets of tracks beside the default one."""
        self._video: VideoCodec | None = None
        self._audio: AudioCodec | None = None
        self._video_format: VideoFormat | None = None
        self._syncframes = Syncframes()

    def read(self, kind: MediaKind, payload: bytes) -> tuple[bytes, bool] | None:
        """The frame in a message, in its plain form, and whether it is a key frame; None where it holds none.

        Raises `UnsupportedCodecError`.
        """
        head, size = payload[:2], len(payload)
        try:
            if kind is MediaKind.AUDIO:
                is_aac = head in _AAC_FRAME and self._audio is AudioCodec.AAC
                if is_aac and av_tags.AAC_HEADER_SIZE < size <= MAX_AUDIO_FRAME:
                    return payload, False
                return self._read_audio(payload)
            is_avc = head in _AVC_INTER and self._video is VideoCodec.AVC
            if is_avc and av_tags.AVC_HEADER_SIZE < size <= self.unit_max:
                return payload, False
            return self._read_video(payload)
        except av_tags.AvTagError:
            self.skipped += 1
            return None

    def is_recovery_point(self, payload: bytes) -> bool:
        """Whether decoding may start at this frame of video, in its plain form, though it is no key frame."""
        codec, header = self._video, self.wanted.video
        if codec is None or header is None:
            return False
        tag = av_tags.parse_video(payload)
        size = av_tags.AVC_HEADER_SIZE if codec is VideoCodec.AVC else av_tags.EXTENDED_HEADER_SIZE
        return in_band.is_recovery_point(codec, header[size:], memoryview(payload)[tag.body : tag.end])

    def _read_video(self, payload: bytes) -> tuple[bytes, bool] | None:
        tag = av_tags.parse_video(payload)
        if tag.other_tracks or tag.track:
            self.other_tracks += tag.other_tracks + (tag.track != av_tags.DEFAULT_TRACK)
            if tag.track:
                return None
        if tag.codec is None:
            if tag.frame_type == FrameType.COMMAND or not payload[0]:
                return None  # some encoders send single zero bytes
            name = _VIDEO_NAMES.get(tag.name, tag.name)
            raise UnsupportedCodecError(
                f"this server takes H.264, HEVC, AV1 and VP9 video, not {name}: set the encoder to one of them"
            )
        if tag.packet_type is not PacketType.FRAME:
            self._take_video_header(tag, payload)
            return None
        if tag.body == tag.end:
            return None
        if len(payload) > self.unit_max:
            self.refused += 1
            self.needs_key = True
            return None
        key = tag.frame_type == FrameType.KEY
        if key:
            self._look_at_key_frame(tag.codec, memoryview(payload)[tag.body : tag.end])
        if tag.codec is not self._video:
            self.skipped += 1
            return None
        return (payload if tag.plain else av_tags.plain_video(payload, tag)), key

    def _read_audio(self, payload: bytes) -> tuple[bytes, bool] | None:
        tag = av_tags.parse_audio(payload)
        if tag.other_tracks or tag.track:
            self.other_tracks += tag.other_tracks + (tag.track != av_tags.DEFAULT_TRACK)
            if tag.track:
                return None
        if tag.codec is None:
            name = _AUDIO_NAMES.get(tag.name, tag.name)
            raise UnsupportedCodecError(
                f"this server takes AAC, Opus, FLAC, AC-3 and MP3 audio, not {name}: set the encoder to one of them"
            )
        if tag.packet_type is not PacketType.FRAME:
            self._take_audio_header(tag, payload)
            return None
        if tag.body == tag.end:
            return None
        if len(payload) > MAX_AUDIO_FRAME:
            self.refused += 1
            return None
        if tag.codec is not AudioCodec.AAC:
            self._look_at_sound(tag.codec, memoryview(payload)[tag.body : tag.end])
        if tag.codec is not self._audio:
            self.skipped += 1
            return None
        plain = payload if tag.plain else av_tags.plain_audio(payload, tag)
        return self._join(plain) if tag.codec is AudioCodec.EAC3 else (plain, False)

    def _join(self, plain: bytes) -> tuple[bytes, bool] | None:
        """The access unit that a frame of E-AC-3 completes."""
        found = self._syncframes.take(plain[av_tags.EXTENDED_HEADER_SIZE :])
        self.skipped += self._syncframes.dropped
        self._syncframes.dropped = 0
        if found is None:
            return None
        unit, before = found
        if len(unit) > MAX_AUDIO_FRAME:
            self.refused += 1
            return None
        if before:
            self.behind_ms = before * 1000 // ac3.sample_rate(unit)
        return plain[: av_tags.EXTENDED_HEADER_SIZE] + unit, False

    def _take_video_header(self, tag: VideoTag, payload: bytes) -> None:
        assert tag.codec is not None
        if tag.packet_type is PacketType.SEQUENCE_HEADER:
            if tag.end - tag.body > MAX_SEQUENCE_HEADER:
                self.refused += 1
            else:
                self._set_video(tag.codec, av_tags.plain_video(payload, tag))
        elif tag.packet_type is PacketType.METADATA:
            if tag.end - tag.body > MAX_METADATA:
                self.refused += 1
            else:
                self.wanted = replace(self.wanted, colour=av_tags.plain_video(payload, tag))

    def _take_audio_header(self, tag: AudioTag, payload: bytes) -> None:
        assert tag.codec is not None
        if tag.packet_type is PacketType.SEQUENCE_HEADER:
            record = payload[tag.body : tag.end]
            if len(record) > MAX_SEQUENCE_HEADER:
                self.refused += 1
            elif tag.codec in _HEADERLESS or opus.is_comment(record):
                return  # their frames say it all
            else:
                self._set_audio(tag.codec, av_tags.plain_audio(payload, tag))
        elif tag.packet_type is PacketType.METADATA:
            if tag.end - tag.body > MAX_METADATA:
                self.refused += 1
            else:
                self.wanted = replace(self.wanted, layout=av_tags.plain_audio(payload, tag))

    def _set_video(self, codec: VideoCodec, header: bytes) -> None:
        if header == self.wanted.video:
            return
        colour = self.wanted.colour if codec is self._video else None
        self.wanted = replace(self.wanted, video=header, colour=colour, size=None)
        self._video = codec
        self.needs_key = True
        try:
            self._video_format = formats.read_video_header(header)
        except CodecError:
            self._video_format = None  # carried as it is: a decoder may know better

    def _set_audio(self, codec: AudioCodec, header: bytes) -> None:
        if header != self.wanted.audio:
            layout = self.wanted.layout if codec is self._audio else None
            self.wanted = replace(self.wanted, audio=header, layout=layout)
            self._audio = codec

    def _look_at_key_frame(self, codec: VideoCodec, frame: memoryview) -> None:
        header = self.wanted.video if codec is self._video else None
        size = av_tags.AVC_HEADER_SIZE if codec is VideoCodec.AVC else av_tags.EXTENDED_HEADER_SIZE
        seen = in_band.look(codec, header[size:] if header else b"", self._video_format, frame)
        if seen.header is not None:
            self._set_video(codec, seen.header)
        if seen.size is not None and seen.size != self.wanted.size:
            self.wanted = replace(self.wanted, size=seen.size)

    def _look_at_sound(self, codec: AudioCodec, frame: memoryview) -> None:
        header = self.wanted.audio if codec is self._audio else None
        found = in_band.look_at_audio(codec, header, frame)
        if found is not None:
            self._set_audio(codec, found)
