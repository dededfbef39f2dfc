"""Tag messages in, CMAF parts out: which messages, of what epoch, with which codec headers (DESIGN.md §4).

Sans-I/O and exact: the output depends only on the messages, so a worker that resumes from any part's
checkpoint cuts the same parts. What becomes of the frames is the cutter's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bus_schemas.parts import InitHeader, PartFlags, PartHeader
from bus_schemas.tags import TagFlags, TagHeader
from media.av_tags import (
    AAC_HEADER_SIZE,
    AUDIO_CODEC_AAC,
    AVC_HEADER_SIZE,
    EXTENDED_HEADER_SIZE,
    EXTENDED_VIDEO,
    MP3_CODECS,
    MP3_HEADER_SIZE,
    VIDEO_CODEC_AVC,
    FrameType,
    PacketType,
)
from media.codec import AudioCodec, VideoCodec
from media.flv import TagType
from media.script import ScriptError, read_numbers
from workers.transmux.cutter import Cutter
from workers.transmux.frames import audio_head, is_sound, is_video_frame, read_video, video_name
from workers.transmux.output import Output
from workers.transmux.tag_reader import read_tags
from workers.transmux.tracks import Tracks, read_headers

SEAM_MS: Final = 40
"""How far the first tag of an epoch may lie from the end of the one before on the same timeline. A longer hole
is a discontinuity: without one the durations in a playlist would not add up to the media's time."""
CLOCK_SEAM_US: Final = 100_000
"""How far its arrival may contradict the program clock: more cannot be slewed, and is a discontinuity too."""
# Plain numbers: looking a member up costs as much as all else that is done for a tag here.
_VIDEO: Final = int(TagType.VIDEO)
_AUDIO: Final = int(TagType.AUDIO)
_SCRIPT: Final = int(TagType.SCRIPT)
_END: Final = TagFlags.END
_FRAME: Final = int(PacketType.FRAME)
_KEY: Final = int(FrameType.KEY)
_FRAMES: Final = frozenset(range(FrameType.KEY, FrameType.COMMAND))


class Segmenter:
    """One rendition of one stream. `names` gives 16 unguessable hexadecimal digits for a media sequence."""

    def __init__(
        self,
        *,
        job_epoch: int,
        writer: int,
        names: Callable[[int], str],
        last: PartHeader | None = None,
        init: InitHeader | None = None,
    ) -> None:
        """Start afresh, or behind `last` with the init segment it needs.

        `init` without `last` only says which number was taken. Raises `CodecError`.
        """
        self.wants_headers = False
        """The codec headers of these tags were not seen: `learn_headers` takes those in `live.header.{stream}`."""
        self.dropped_frames = 0
        """Frames that could not be packaged: before a key frame, after a loss, or of an unknown codec."""
        self.ended = False
        """The epoch was ended on purpose, and END was put out."""
        self.epoch = 0
        """Of the tags read last; 0 before any."""
        self._cutter = Cutter(job_epoch=job_epoch, writer=writer, names=names, init=init)
        self._next_sequence: int | None = None
        self._skip_tags = 0
        if last:
            self.epoch = last.epoch
            self.ended = bool(last.flags & PartFlags.END)
            self._next_sequence, self._skip_tags = last.checkpoint.sequence, last.checkpoint.tag
            self.wants_headers = not self._cutter.resume(last, init)
        self._learn_tracks()

    def push(self, header: TagHeader, message: bytes) -> list[Output]:
        """Take one message of `LIVE` (`header` is the one in front of it) and give what it completes.

        Messages already taken, or cut before resuming, give nothing. Raises `FlvError` for a body that is
        not FLV, and has then taken nothing of it.
        """
        out: list[Output] = []
        cutter = self._cutter
        cutter.out = out
        tags = read_tags(message)
        if not self._admit(header):
            return out
        flags, generation, _, _, dts_base, arrival_us = header
        first, self._skip_tags = self._skip_tags, 0
        if not first and (flags or generation != cutter.generation):
            self._heed_flags(header, tags)
        if flags & _END:
            cutter.end()
            self.ended = True
            return out
        if self.wants_headers:
            self.dropped_frames += len(tags)
            return out
        cutter.arrival_offset = arrival_us - dts_base * 1000
        for index, (kind, timestamp, data) in enumerate(tags):
            if index < first:
                continue
            # A tag holds 32 bits of the time; the header has them all.
            dts = dts_base + ((timestamp - dts_base + 0x80000000) & 0xFFFFFFFF) - 0x80000000
            if dts < 0:  # noqa: PLR1730 - a call to max() at every tag
                dts = 0
            if kind == _VIDEO:
                self._push_video(dts, data, index)
            elif kind == _AUDIO:
                self._push_audio(dts, data, index)
            elif kind == _SCRIPT:
                self._push_script(data)
        return out

    def learn_headers(self, header: TagHeader, message: bytes) -> bool:
        """Take the codec headers kept in `live.header.{stream}`; True if they are those wanted.

        Before the first message of `LIVE` they are taken as they are. Raises `FlvError`.
        """
        tags = read_tags(message)
        if self.epoch:
            current = header.epoch == self.epoch and header.generation == self._cutter.generation
            if not self.wants_headers or not current:
                return False
        self.epoch = self._cutter.epoch = header.epoch
        self._cutter.generation = header.generation
        self._change_tracks(tags)
        self.wants_headers = False
        return True

    def _admit(self, header: TagHeader) -> bool:
        """Whether the message is new to us; settles what lies between it and the one before."""
        expected = self._next_sequence
        if header.epoch != self.epoch:
            if header.epoch < self.epoch:
                return False
            self._cutter.sequence = expected or 0
            self._begin_epoch(header)
        elif self.ended:
            return False
        elif expected is not None and header.sequence != expected:
            if header.sequence < expected:
                return False
            self._cutter.sequence = expected
            self._skip_tags = 0
            self._cutter.flush(resync=True)
        self._cutter.sequence = header.sequence
        self._next_sequence = header.sequence + 1
        return True

    def _begin_epoch(self, header: TagHeader) -> None:
        self._cutter.flush()
        offset_us = header.arrival_us - header.dts_ms * 1000
        beside = abs(header.dts_ms - self._cutter.cut_until_ms) > SEAM_MS
        if self.ended or beside or abs(offset_us - self._cutter.program.offset_us) > CLOCK_SEAM_US:
            self._cutter.break_timeline()
            self._cutter.program.restart()
        self._skip_tags = 0
        self.ended = False
        self.epoch = self._cutter.epoch = header.epoch
        self._cutter.generation = header.generation
        self.wants_headers = not header.flags & TagFlags.HEADER

    def _heed_flags(self, header: TagHeader, tags: list[tuple[int, int, memoryview]]) -> None:
        if header.flags & TagFlags.DISCONTINUITY:
            self._cutter.flush()
            self._cutter.break_timeline()
            self._cutter.program.restart()
        if header.flags & TagFlags.HEADER:
            self._change_tracks(tags)
            self.wants_headers = False
        elif header.generation != self._cutter.generation:
            self._cutter.flush(resync=True)
            self.wants_headers = True
        self._cutter.generation = header.generation

    def _change_tracks(self, tags: list[tuple[int, int, memoryview]]) -> None:
        tracks = read_headers(((kind, data) for kind, _, data in tags), Tracks())
        if self._cutter.change_tracks(tracks):
            self._learn_tracks()

    def _learn_tracks(self) -> None:
        """What frames look like."""
        tracks = self._cutter.tracks
        self._is_avc = tracks.video is not None and tracks.video.kind is VideoCodec.AVC
        self._video_name = video_name(tracks.video)
        sound = tracks.audio
        self._is_aac = sound is not None and sound.kind is AudioCodec.AAC
        self._is_mp3 = sound is not None and sound.kind is AudioCodec.MP3
        self._audio_head = audio_head(sound.kind) if sound else b""
        self._frame_samples = sound.frame_samples if sound else 1
        self._samples_of = sound.samples_of if sound else None

    def _push_video(self, dts: int, data: memoryview, index: int) -> None:
        if len(data) <= AVC_HEADER_SIZE:
            return  # a command, or nothing at all
        first = data[0]
        if first & EXTENDED_VIDEO:
            self._push_extended_video(dts, data, index)
            return
        frame_type = first >> 4
        if first & 0xF != VIDEO_CODEC_AVC or frame_type not in _FRAMES or not self._is_avc:
            self.dropped_frames += 1
            return
        if data[1] != _FRAME:
            return
        composition = int.from_bytes(data[2:5], "big", signed=True)
        cutter = self._cutter
        time = max(cutter.lead_time, dts)
        at = cutter.position(index)
        if not cutter.push_leading(time, composition, frame_type == _KEY, data[AVC_HEADER_SIZE:], at):
            self.dropped_frames += 1

    def _push_extended_video(self, dts: int, data: memoryview, index: int) -> None:
        frame_type = data[0] >> 4 & 7
        frame = read_video(self._video_name, data)
        if frame is None or frame_type not in _FRAMES:
            self.dropped_frames += is_video_frame(data)
            return
        composition, body = frame
        if len(data) <= body:
            return
        cutter = self._cutter
        time, key = max(cutter.lead_time, dts), frame_type == _KEY
        if not cutter.push_leading(time, composition, key, data[body:], cutter.position(index)):
            self.dropped_frames += 1

    def _push_audio(self, dts: int, data: memoryview, index: int) -> None:
        if self._is_aac:
            if len(data) <= AAC_HEADER_SIZE:
                return
            if data[0] >> 4 != AUDIO_CODEC_AAC:
                self.dropped_frames += is_sound(data)
                return
            if data[1] != _FRAME:
                return
            data = data[AAC_HEADER_SIZE:]
            samples = self._frame_samples
        elif data[:EXTENDED_HEADER_SIZE] == self._audio_head:
            data = data[EXTENDED_HEADER_SIZE:]
            if not len(data):
                return
            samples = self._samples_of(data) if self._samples_of else self._frame_samples
        elif len(data) > MP3_HEADER_SIZE and data[0] >> 4 in MP3_CODECS:
            if not self._is_mp3:
                return  # left out beside video
            data = data[MP3_HEADER_SIZE:]
            samples = self._frame_samples
        else:
            self.dropped_frames += is_sound(data)
            return
        if not self._cutter.push_audio(dts, samples, data, index):
            self.dropped_frames += 1

    def _push_script(self, data: memoryview) -> None:
        try:
            name, numbers = read_numbers(data)
        except ScriptError:
            return
        if name == "onClock":
            self._cutter.announced = True
            self._cutter.program.announce(numbers.get("dts", -1.0), numbers.get("pdt", -1.0))
