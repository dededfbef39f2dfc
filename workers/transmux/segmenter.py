"""Tag messages in, CMAF parts out: where parts and segments end, and when they are (DESIGN.md §4).

Sans-I/O and exact: the output depends only on the messages, so a worker that resumes from any part's
checkpoint cuts the same parts. The leading track (video where there is video) decides. The leading
frame read last is held back until the next one tells how long it lasts. Rules of state:

- nothing is cut before a key frame of known codec headers; `_synced` says that we are behind one;
- `_segment_start` is None between segments; within them `_part` has begun, but for the moment after resuming;
- a part begins with a leading frame, or within one that lasts longer than a part may: the checkpoint is that
  frame then, and who resumes from it reads it again and passes over what was cut of the audio behind it;
- `_flush` ends the open segment with what there is, for anything that breaks the timeline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bus_schemas.limits import ACCESS_UNIT_MAX
from bus_schemas.parts import Checkpoint, InitHeader, PartFlags, PartHeader
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
from workers.transmux.clocks import UNKNOWN, AudioClock, ProgramClock
from workers.transmux.frames import audio_head, is_sound, is_video_frame, read_video, video_name
from workers.transmux.numbering import PART_FULL_PERCENT, TARGET_DURATION_MAX_S, Numbering
from workers.transmux.open_part import OpenPart, Position
from workers.transmux.output import InitReady, Output, PartReady
from workers.transmux.tag_reader import read_tags
from workers.transmux.tracks import Tracks, from_init, read_headers

SEGMENT_MIN_MS: Final = 2_000
"""A segment ends at the first key frame after this."""
JITTER_MS: Final = 20
"""Timestamps are rounded, and capture clocks jitter: so far a segment may miss 2 s or 10 s."""
OVERRUN_MS: Final = 490
"""RFC 8216bis 4.4.3.1 compares rounded durations: so late may a key frame be before we cut without one."""
LEAD_SILENCE_MS: Final = 3_000
"""Video that pauses so long beside audio: the segment ends, and the next waits for a key frame. Where nothing
says it sooner, video alone likewise."""
ODD_FRAME_MS: Final = 1_100
"""A stream's first frame that lasts longer, and far longer than the stream says of its frames, does not fix
PART-TARGET: everybody would be three times that behind for ever."""
SEAM_MS: Final = 40
"""How far the first tag of an epoch may lie from the end of the one before on the same timeline. A longer hole
is a discontinuity: without one the durations in a playlist would not add up to the media's time."""
CLOCK_SEAM_US: Final = 100_000
"""How far its arrival may contradict the program clock: more cannot be slewed, and is a discontinuity too."""
PART_SIZE_MAX: Final = ACCESS_UNIT_MAX
"""A part must fit one bus message; one access unit always does."""
AUDIO_SIZE_MAX: Final = 32 << 10
"""Bytes of audio beside an access unit of that size, for the same reason."""
# Plain numbers: looking a member up costs as much as all else that is done for a tag here.
_VIDEO: Final = int(TagType.VIDEO)
_AUDIO: Final = int(TagType.AUDIO)
_SCRIPT: Final = int(TagType.SCRIPT)
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
        self._job_epoch = job_epoch
        self._writer = writer
        self._out: list[Output] = []
        self._place = Numbering(names)
        self._program = ProgramClock()
        self._set_tracks(Tracks())
        self._init = init.init if init else 0
        self._init_announced = False
        self._generation = 0
        self._next_sequence: int | None = None
        self._skip_tags = 0
        self._synced = False
        self._segment_start: int | None = None
        self._part = OpenPart()
        self._lead_time = 0
        self._cut_until_ms = 0
        self._audio_cut = 0
        self._announced = False
        self._arrival_offset = 0
        self._sequence = 0
        if last:
            self._resume(last, init)

    def push(self, header: TagHeader, message: bytes) -> list[Output]:
        """Take one message of `LIVE` (`header` is the one in front of it) and give what it completes.

        Messages already taken, or cut before resuming, give nothing. Raises `FlvError` for a body that is
        not FLV, and has then taken nothing of it.
        """
        out: list[Output] = []
        self._out = out
        tags = read_tags(message)
        if not self._admit(header):
            return out
        first, self._skip_tags = self._skip_tags, 0
        if not first:
            self._heed_flags(header, tags)
        if header.flags & TagFlags.END:
            self._end()
            return out
        if self.wants_headers:
            self.dropped_frames += len(tags)
            return out
        dts_base = header.dts_ms
        self._arrival_offset = header.arrival_us - dts_base * 1000
        for index in range(first, len(tags)):
            kind, timestamp, data = tags[index]
            # A tag holds 32 bits of the time; the header has them all.
            dts = dts_base + ((timestamp - dts_base + 0x80000000) & 0xFFFFFFFF) - 0x80000000
            dts = max(dts, 0)
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
            current = header.epoch == self.epoch and header.generation == self._generation
            if not self.wants_headers or not current:
                return False
        self.epoch = header.epoch
        self._generation = header.generation
        self._change_tracks(read_headers(((kind, data) for kind, _, data in tags), Tracks()))
        self.wants_headers = False
        return True

    def _resume(self, last: PartHeader, init: InitHeader | None) -> None:
        at = last.checkpoint
        self.epoch, self._generation = last.epoch, last.generation
        self._next_sequence, self._skip_tags = at.sequence, at.tag
        self._init = max(last.init, self._init)
        self._place.resume(last)
        self._program.resume(at.pdt_offset_us, at.clock_target_us)
        self._cut_until_ms = (last.dts_ms * 1000 + last.duration_us) // 1000
        if last.flags & PartFlags.END:
            self.ended = True
            return
        if init and init.init == last.init:
            self._set_tracks(from_init(init))
            self._init_announced = True
            self._synced = not at.resync
        else:
            self.wants_headers = True
            self._place.break_timeline()
        self._audio.due = at.audio_ticks
        if last.flags & PartFlags.LAST:
            self._program.close_segment()
        elif self._synced:
            self._segment_start = at.segment_start
        else:
            self._place.close_segment()

    def _admit(self, header: TagHeader) -> bool:
        """Whether the message is new to us; settles what lies between it and the one before."""
        expected = self._next_sequence
        if header.epoch != self.epoch:
            if header.epoch < self.epoch:
                return False
            self._sequence = expected or 0
            self._begin_epoch(header)
        elif self.ended:
            return False
        elif expected is not None and header.sequence != expected:
            if header.sequence < expected:
                return False
            self._sequence = expected
            self._skip_tags = 0
            self._flush(resync=True)
        self._sequence = header.sequence
        self._next_sequence = header.sequence + 1
        return True

    def _begin_epoch(self, header: TagHeader) -> None:
        self._flush()
        offset_us = header.arrival_us - header.dts_ms * 1000
        beside = abs(header.dts_ms - self._cut_until_ms) > SEAM_MS
        if self.ended or beside or abs(offset_us - self._program.offset_us) > CLOCK_SEAM_US:
            self._break_timeline()
            self._program.restart()
        self._skip_tags = 0
        self.ended = False
        self.epoch = header.epoch
        self._generation = header.generation
        self.wants_headers = not header.flags & TagFlags.HEADER

    def _heed_flags(self, header: TagHeader, tags: list[tuple[int, int, memoryview]]) -> None:
        if header.flags & TagFlags.DISCONTINUITY:
            self._flush()
            self._break_timeline()
            self._program.restart()
        if header.flags & TagFlags.HEADER:
            self._change_tracks(read_headers(((kind, data) for kind, _, data in tags), Tracks()))
            self.wants_headers = False
        elif header.generation != self._generation:
            self._flush(resync=True)
            self.wants_headers = True
        self._generation = header.generation

    def _break_timeline(self) -> None:
        self._place.break_timeline()
        self._audio.due = -1
        self._lead_time = 0

    def _change_tracks(self, tracks: Tracks) -> None:
        if tracks.same_as(self._tracks):
            return
        self._flush()
        self._place.break_timeline()
        self._set_tracks(tracks)
        self._init_announced = False

    def _set_tracks(self, tracks: Tracks) -> None:
        self._tracks = tracks
        self._scale = tracks.timescale
        self._target = self._place.part_target_us * self._scale // 1_000_000
        self._has_video = tracks.video is not None
        self._is_avc = tracks.video is not None and tracks.video.kind is VideoCodec.AVC
        self._video_name = video_name(tracks.video)
        sound = tracks.audio
        self._is_aac = sound is not None and sound.kind is AudioCodec.AAC
        self._is_mp3 = sound is not None and sound.kind is AudioCodec.MP3
        self._audio_head = audio_head(sound.kind) if sound else b""
        self._frame_samples = sound.frame_samples if sound else 1
        self._samples_of = sound.samples_of if sound else None
        self._audio_rate = sound.sample_rate if sound else 1
        self._audio = AudioClock(sound.sample_rate, sound.shortest) if sound else AudioClock(1, 1)

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
        key = frame_type == _KEY
        at = self._position(index)
        time = max(self._lead_time, dts)
        self._push_leading(time, composition, key, data[AVC_HEADER_SIZE:], at)

    def _push_extended_video(self, dts: int, data: memoryview, index: int) -> None:
        frame_type = data[0] >> 4 & 7
        frame = read_video(self._video_name, data)
        if frame is None or frame_type not in _FRAMES:
            self.dropped_frames += is_video_frame(data)
            return
        composition, body = frame
        if len(data) <= body:
            return
        at = self._position(index)
        self._push_leading(max(dts, self._lead_time), composition, frame_type == _KEY, data[body:], at)

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
        if not self._has_video:
            at = self._position(index)
            self._push_leading(self._audio.next(dts, samples), 0, True, data, at)
        elif self._part.begin < 0:
            self.dropped_frames += 1  # no key frame yet
        elif dts - self._lead_time > LEAD_SILENCE_MS:
            self._flush(self._position(index), resync=True)
            self.dropped_frames += 1
        elif self._part.size + len(data) > PART_SIZE_MAX + AUDIO_SIZE_MAX:
            self.dropped_frames += 1
        else:
            time = self._audio.next(dts, samples)
            if time >= self._audio_cut:
                self._part.add_audio(time, time + samples, data)

    def _push_script(self, data: memoryview) -> None:
        try:
            name, numbers = read_numbers(data)
        except ScriptError:
            return
        if name == "onClock":
            self._announced = True
            self._program.announce(numbers.get("dts", -1.0), numbers.get("pdt", -1.0))

    def _position(self, tag: int) -> Position:
        return Position(self._sequence, tag, self._audio.due, self._program.target_us)

    def _push_leading(self, time: int, composition: int, key: bool, data: memoryview, at: Position) -> None:
        if self._part.begin >= 0:
            self._close_before_last(time)
            if self._is_hole(time, at):
                self._flush(at, resync=True)
        if self._part.begin >= 0:
            self._close_before(time, key, len(data), at)
        elif not self._synced:
            if not key:
                self.dropped_frames += 1
                return
            self._synced = True
        elif self._has_video and time < self._cut_until_ms:
            self._go_on_within(time, at)
            return
        if self._segment_start is None:
            self._open_segment(time)
        if at.clock_target_us != self._program.target_us:
            at = at._replace(clock_target_us=self._program.target_us)
        self._part.add_leading(time, composition, key, data, at)
        self._lead_time = time if self._has_video else 0
        self._audio_cut = 0
        self._announced = False

    def _is_hole(self, time: int, at: Position) -> bool:
        """Whether the time up to this leading frame is too long for the frame before it to fill."""
        if not self._has_video:
            if self._is_first_part():
                return time > at.audio_ticks
            return time - self._part.times[-1] > self._target
        limit = self._place.target_duration
        return time - self._lead_time > (limit * 1000 if limit else LEAD_SILENCE_MS) + OVERRUN_MS

    def _go_on_within(self, time: int, at: Position) -> None:
        """We resumed behind a part that ends within this frame, which an earlier part has."""
        self._lead_time = time
        self._part = OpenPart(begin=self._cut_until_ms, last_at=at)
        self._audio_cut = self._samples_at(self._cut_until_ms)
        if self._segment_start is None:
            self._open_segment(self._cut_until_ms)

    def _samples_at(self, time: int) -> int:
        """The first audio sample that is not before this time of the video."""
        return -(-time * self._audio_rate // self._scale)

    def _close_before(self, time: int, key: bool, size: int, at: Position) -> None:
        """Close the parts, and the segment, that end where this frame begins or before it."""
        if time - self._part.begin > self._target and self._close_within(time):
            at = at._replace(clock_target_us=self._program.target_us)
        part, target = self._part, self._target
        duration = time - part.begin
        step = time - (part.times[-1] if part.times else self._lead_time)
        if self._has_video:
            step = min(step, max(target, duration))
        if self._ends_segment(time, step, key):
            self._close(time, at, PartFlags.LAST)
            self._end_segment()
        elif (
            duration > target
            or (duration + step > target and duration * 100 >= target * PART_FULL_PERCENT)
            or part.size + size > PART_SIZE_MAX
        ):
            self._close(time, at)

    def _close_before_last(self, time: int) -> None:
        """Close the part that must end before its last frame, which was let in on the guess that it lasts as long
        as the one before it, and lasts until `time`. The stream's first part may end anywhere."""
        part = self._part
        if time - part.begin <= self._target or len(part.times) < 2:
            return
        lasting = part.times[-1] - part.begin
        if self._is_first_part() or lasting * 100 >= self._target * PART_FULL_PERCENT:
            rest, rest_at = part.split_last()
            self._close(rest.times[0], rest_at)
            self._part = rest

    def _is_first_part(self) -> bool:
        """Whether the open part is the stream's first, which fixes PART-TARGET."""
        return self._place.msn == self._place.part == 0

    def _close_within(self, until: int) -> bool:
        """Close parts that end within the last leading frame, which lasts `until` then, and longer than a part may.

        Nobody knows before the next frame comes; then the playlist gets all of them at once. False where
        there were none: the stream's first part fixes PART-TARGET, if its frames are what they should be.
        """
        part = self._part
        if not self._has_video or (self._is_first_part() and not self._is_odd(until - part.times[-1])):
            return False
        while until - part.begin > self._target:
            end = part.begin + self._target
            rest = part.split_within(end, self._samples_at(end))
            last = self._is_too_long(end, self._target)
            flags = PartFlags.LAST if last else PartFlags.NONE
            self._close(end, part.last_at, flags, frame_end=until)
            self._part = rest
            if last:
                # The clock announced behind the frame that lasts on belongs to the segment after this one.
                announced = self._program.target_us if self._announced else UNKNOWN
                self._program.target_us = part.last_at.clock_target_us
                self._end_segment()
                self._program.target_us = announced
                rest.last_at = rest.last_at._replace(clock_target_us=UNKNOWN)
                self._open_segment(end)
            part = rest
        return True

    def _is_odd(self, step: int) -> bool:
        """Whether a stream's first frame lasts far longer than the others can be expected to."""
        return step > max(ODD_FRAME_MS, 2 * self._tracks.frame_ms)

    def _ends_segment(self, time: int, step: int, key: bool) -> bool:
        elapsed = time - (self._segment_start or 0)
        if key and elapsed * 1000 >= (SEGMENT_MIN_MS - JITTER_MS) * self._scale:
            return True
        return self._is_too_long(time, step)

    def _is_too_long(self, time: int, step: int) -> bool:
        """Whether the open segment would be, did it go on for `step` behind `time`."""
        scale = self._scale
        elapsed = time - (self._segment_start or 0)
        limit = self._place.target_duration
        if 0 < limit < TARGET_DURATION_MAX_S:
            return (elapsed + step) * 1000 > (limit * 1000 + OVERRUN_MS) * scale
        return (elapsed + step) * 1000 > (TARGET_DURATION_MAX_S * 1000 + JITTER_MS) * scale

    def _open_segment(self, time: int) -> None:
        self._segment_start = time
        self._program.open_segment(self._arrival_offset)
        self._place.open_segment()
        if not self._init_announced:
            self._init_announced = True
            self._init += 1
            header = self._tracks.header(
                init=self._init, epoch=self.epoch, generation=self._generation, name=self._place.name
            )
            self._out.append(InitReady(header, self._tracks.init_segment()))

    def _end_segment(self) -> None:
        self._segment_start = None
        self._place.close_segment()
        self._program.close_segment()

    def _flush(self, at: Position | None = None, *, resync: bool = False) -> None:
        """End the open segment with the frames there are; after it nothing is cut before a key frame.

        The tags that are not cut yet begin at `at`, else with this message. `resync`: some before them were lost.
        """
        at = at or self._position(0)
        self._synced = False
        self._audio_cut = 0
        if self._part.begin >= 0:
            end = self._end_of_last(at)
            if end - self._part.begin > self._target:
                self._close_within(end)
            if end > self._part.begin:
                self._close(end, at, PartFlags.LAST, resync=resync)
            self._part = OpenPart()
        if self._place.part:
            self._end_segment()
        self._segment_start = None
        if resync:
            self._place.break_timeline()

    def _end_of_last(self, at: Position) -> int:
        """When the last leading frame ends, with none behind it: as the one before it did, or with the audio."""
        part = self._part
        if not self._has_video:
            return at.audio_ticks
        if part.times:
            step = part.times[-1] - part.times[-2] if len(part.times) > 1 else self._tracks.frame_ms
            end = min(part.times[-1] + step, part.begin + self._target)
        else:
            end = part.begin
        if not part.audio_ends:
            return end
        audio_end = part.audio_ends[-1] * 1000 // self._audio_rate
        if part.times and audio_end - end <= self._target:
            return end
        # Audio that begins in front of the last boundary has no part of its own behind it.
        boundary = audio_end - (audio_end - part.begin) % self._target
        return boundary if self._samples_at(boundary) > part.audio_times[-1] else audio_end

    def _close(
        self,
        end: int,
        at: Position,
        flags: PartFlags = PartFlags.NONE,
        *,
        resync: bool = False,
        frame_end: int = 0,
    ) -> None:
        """Put out the open part, which lasts until `end`; the tags after it begin at `at`.

        Its last frame lasts until `frame_end` where that is later.
        """
        part, place, scale = self._part, self._place, self._scale
        segment_start = self._segment_start or 0
        last = bool(flags & PartFlags.LAST)
        start_us = part.begin * 1_000_000 // scale
        duration_us = end * 1_000_000 // scale - start_us
        if last:
            place.fix_target_duration((end - segment_start) * 1000 // scale)
        elif place.msn == place.part == 0:
            place.fix_part_target(duration_us, part.longest_step(end) * 1_000_000 // scale)
            self._target = place.part_target_us * scale // 1_000_000
        if part.keys and part.keys[0]:
            flags |= PartFlags.INDEPENDENT
        sequence = place.msn * 1024 + place.part + 1  # grows without being remembered
        body = part.pack(sequence, max(end, frame_end), self._frame_samples, video=self._has_video)
        checkpoint = self._checkpoint(at, -1 if last else segment_start, resync=resync)
        self._out.append(
            PartReady(self._header(flags | place.segment_flags, start_us, duration_us, checkpoint), body)
        )
        self._part = OpenPart()
        self._cut_until_ms = end * 1000 // scale
        place.part += 1

    def _end(self) -> None:
        self._flush()
        self.ended = True
        checkpoint = self._checkpoint(self._position(0), -1)
        self._out.append(PartReady(self._header(PartFlags.END, 0, 0, checkpoint), b""))

    def _checkpoint(self, at: Position, segment_start: int, *, resync: bool = False) -> Checkpoint:
        return Checkpoint(
            job_epoch=self._job_epoch,
            writer=self._writer,
            sequence=at.sequence,
            tag=at.tag,
            resync=resync,
            segment_start=segment_start,
            audio_ticks=at.audio_ticks,
            pdt_offset_us=self._program.offset_us,
            clock_target_us=at.clock_target_us,
        )

    def _header(self, flags: PartFlags, dts_us: int, duration_us: int, checkpoint: Checkpoint) -> PartHeader:
        place = self._place
        return PartHeader(
            flags=flags,
            msn=place.msn,
            part=place.part,
            duration_us=duration_us,
            target_duration=place.target_duration,
            generation=self._generation,
            init=self._init,
            discontinuity=place.discontinuity,
            dts_ms=dts_us // 1000,
            pdt_us=self._program.offset_us + dts_us,
            epoch=self.epoch,
            name=place.name,
            next_name=place.next_name,
            checkpoint=checkpoint,
            part_target_us=place.part_target_us,
        )
