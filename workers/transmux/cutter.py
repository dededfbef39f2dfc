"""Frames in, CMAF parts out: where parts and segments end (DESIGN.md §4).

Sans-I/O. The leading track (video where there is video) decides. The leading frame taken last is held back
until the next one tells how long it lasts. Rules of state:

- nothing is cut before a key frame; `_synced` says that we are behind one;
- `_segment_start` is None between segments; within them `_part` has begun, but for the moment after resuming;
- a part begins with a leading frame, or within one that lasts longer than a part may: the checkpoint is that
  frame then, and who resumes from it reads it again and passes over what was cut of the audio behind it;
- `flush` ends the open segment with what there is, for anything that breaks the timeline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bus_schemas.limits import ACCESS_UNIT_MAX
from bus_schemas.parts import Checkpoint, InitHeader, PartFlags, PartHeader
from media.codec import AudioCodec
from workers.transmux.clocks import UNKNOWN, AudioClock, ProgramClock
from workers.transmux.numbering import PART_FULL_PERCENT, TARGET_DURATION_MAX_S, Numbering
from workers.transmux.open_part import OpenPart, Position
from workers.transmux.output import InitReady, Output, PartReady
from workers.transmux.tracks import Tracks, from_init

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
PAUSE_MS: Final = 500
"""Opus that says nothing sends a packet each 400 ms (discontinuous transmission): no hole in sound alone, though
it makes a part that is too long."""
PART_SIZE_MAX: Final = ACCESS_UNIT_MAX
"""A part must fit one bus message; one access unit always does."""
AUDIO_SIZE_MAX: Final = 32 << 10
"""Bytes of audio beside an access unit of that size, for the same reason."""


class Cutter:
    """The parts of one rendition of one stream.

    Whoever feeds it sets `epoch`, `generation`, `sequence` and `arrival_offset` for the message at hand, and takes
    what is put out from `out`.
    """

    def __init__(
        self, *, job_epoch: int, writer: int, names: Callable[[int], str], init: InitHeader | None
    ) -> None:
        self.out: list[Output] = []
        self.epoch = 0
        """Of the tags at hand."""
        self.generation = 0
        self.sequence = 0
        """Of the message at hand, `TagHeader.sequence`."""
        self.arrival_offset = 0
        """Its arrival minus its DTS, µs."""
        self.announced = False
        """The program clock was told of since the last leading frame."""
        self.lead_time = 0
        """DTS of the last frame of video, ms."""
        self.cut_until_ms = 0
        """Where the last part ends."""
        self.program = ProgramClock()
        self.place = Numbering(names)
        self._job_epoch = job_epoch
        self._writer = writer
        self._init = init.init if init else 0
        self._init_announced = False
        self._synced = False
        self._segment_start: int | None = None
        self._part = OpenPart()
        self._audio_cut = 0
        self._set_tracks(Tracks())

    def resume(self, last: PartHeader, init: InitHeader | None) -> bool:
        """Go on behind this part; False where the tracks of the tags to come are not known. Raises `CodecError`."""
        at = last.checkpoint
        self.epoch, self.generation = last.epoch, last.generation
        self._init = max(last.init, self._init)
        self.place.resume(last)
        self.program.resume(at.pdt_offset_us, at.clock_target_us)
        self.cut_until_ms = (last.dts_ms * 1000 + last.duration_us) // 1000
        if last.flags & PartFlags.END:
            return True
        known = init is not None and init.init == last.init
        if init is not None and known:
            self._set_tracks(from_init(init))
            self._init_announced = True
            self._synced = not at.resync
        else:
            self.place.break_timeline()
        self.audio.due = at.audio_ticks
        if last.flags & PartFlags.LAST:
            self.program.close_segment()
        elif self._synced:
            self._segment_start = at.segment_start
        else:
            self.place.close_segment()
        return known

    def change_tracks(self, tracks: Tracks) -> bool:
        """What comes is of these tracks; False where the same decoder serves both."""
        if tracks.same_as(self.tracks):
            return False
        self.flush()
        self.place.break_timeline()
        self._set_tracks(tracks)
        self._init_announced = False
        return True

    def break_timeline(self) -> None:
        """What comes does not continue what was cut."""
        self.place.break_timeline()
        self.audio.due = -1
        self.lead_time = 0

    def _set_tracks(self, tracks: Tracks) -> None:
        self.tracks = tracks
        self._scale = tracks.timescale
        self._target = self.place.part_target_us * self._scale // 1_000_000
        self._has_video = tracks.video is not None
        sound = tracks.audio
        self._frame_samples = sound.frame_samples if sound else 1
        self._audio_rate = sound.sample_rate if sound else 1
        silent = sound is not None and sound.kind is AudioCodec.OPUS
        self._pause = PAUSE_MS * self._audio_rate // 1000 if silent else 0
        self.audio = AudioClock(sound.sample_rate, sound.shortest) if sound else AudioClock(1, 1)

    def push_audio(self, dts: int, samples: int, data: memoryview, tag: int) -> bool:
        """Take an audio frame of so many samples, stamped `dts` ms, which stands at `tag`; False as `push_leading`."""
        if not self._has_video:
            at = self.position(tag)
            return self.push_leading(self.audio.next(dts, samples), 0, True, data, at)
        part = self._part
        if part.begin < 0:
            return False  # no key frame yet
        if dts - self.lead_time > LEAD_SILENCE_MS:
            self.flush(self.position(tag), resync=True)
            return False
        if part.size + len(data) > PART_SIZE_MAX + AUDIO_SIZE_MAX:
            return False
        time = self.audio.next(dts, samples)
        if time >= self._audio_cut:
            part.add_audio(time, time + samples, data)
        return True

    def position(self, tag: int) -> Position:
        """Of a tag in the message at hand."""
        return Position(self.sequence, tag, self.audio.due, self.program.target_us)

    def push_leading(self, time: int, composition: int, key: bool, data: memoryview, at: Position) -> bool:
        """Take a frame of the leading track; False of one that cannot be packaged, there being no key frame yet."""
        if self._part.begin >= 0:
            self._close_before_last(time)
            if self._is_hole(time, at):
                self.flush(at, resync=True)
        if self._part.begin >= 0:
            self._close_before(time, key, len(data), at)
        elif not self._synced:
            if not key:
                return False
            self._synced = True
        elif self._has_video and time < self.cut_until_ms:
            self._go_on_within(time, at)
            return True
        if self._segment_start is None:
            self._open_segment(time)
        if at.clock_target_us != self.program.target_us:
            at = at._replace(clock_target_us=self.program.target_us)
        self._part.add_leading(time, composition, key, data, at)
        self.lead_time = time if self._has_video else 0
        self._audio_cut = 0
        self.announced = False
        return True

    def _is_hole(self, time: int, at: Position) -> bool:
        """Whether the time up to this leading frame is too long for the frame before it to fill."""
        if not self._has_video:
            if self._is_first_part():
                return time - at.audio_ticks > self._pause
            return time - self._part.times[-1] > max(self._target, self._pause)
        limit = self.place.target_duration
        return time - self.lead_time > (limit * 1000 if limit else LEAD_SILENCE_MS) + OVERRUN_MS

    def _go_on_within(self, time: int, at: Position) -> None:
        """We resumed behind a part that ends within this frame, which an earlier part has."""
        self.lead_time = time
        self._part = OpenPart(begin=self.cut_until_ms, last_at=at)
        self._audio_cut = self._samples_at(self.cut_until_ms)
        if self._segment_start is None:
            self._open_segment(self.cut_until_ms)

    def _samples_at(self, time: int) -> int:
        """The first audio sample that is not before this time of the video."""
        return -(-time * self._audio_rate // self._scale)

    def _close_before(self, time: int, key: bool, size: int, at: Position) -> None:
        """Close the parts, and the segment, that end where this frame begins or before it."""
        if time - self._part.begin > self._target and self._close_within(time):
            at = at._replace(clock_target_us=self.program.target_us)
        part, target = self._part, self._target
        duration = time - part.begin
        step = time - (part.times[-1] if part.times else self.lead_time)
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
        return self.place.msn == self.place.part == 0

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
                announced = self.program.target_us if self.announced else UNKNOWN
                self.program.target_us = part.last_at.clock_target_us
                self._end_segment()
                self.program.target_us = announced
                rest.last_at = rest.last_at._replace(clock_target_us=UNKNOWN)
                self._open_segment(end)
            part = rest
        return True

    def _is_odd(self, step: int) -> bool:
        """Whether a stream's first frame lasts far longer than the others can be expected to."""
        return step > max(ODD_FRAME_MS, 2 * self.tracks.frame_ms)

    def _ends_segment(self, time: int, step: int, key: bool) -> bool:
        elapsed = time - (self._segment_start or 0)
        if key and elapsed * 1000 >= (SEGMENT_MIN_MS - JITTER_MS) * self._scale:
            return True
        return self._is_too_long(time, step)

    def _is_too_long(self, time: int, step: int) -> bool:
        """Whether the open segment would be, did it go on for `step` behind `time`."""
        scale = self._scale
        elapsed = time - (self._segment_start or 0)
        limit = self.place.target_duration
        if 0 < limit < TARGET_DURATION_MAX_S:
            return (elapsed + step) * 1000 > (limit * 1000 + OVERRUN_MS) * scale
        return (elapsed + step) * 1000 > (TARGET_DURATION_MAX_S * 1000 + JITTER_MS) * scale

    def _open_segment(self, time: int) -> None:
        self._segment_start = time
        self.program.open_segment(self.arrival_offset)
        self.place.open_segment()
        if not self._init_announced:
            self._init_announced = True
            self._init += 1
            header = self.tracks.header(
                init=self._init, epoch=self.epoch, generation=self.generation, name=self.place.name
            )
            self.out.append(InitReady(header, self.tracks.init_segment()))

    def _end_segment(self) -> None:
        self._segment_start = None
        self.place.close_segment()
        self.program.close_segment()

    def flush(self, at: Position | None = None, *, resync: bool = False) -> None:
        """End the open segment with the frames there are; after it nothing is cut before a key frame.

        The tags that are not cut yet begin at `at`, else with this message. `resync`: some before them were lost.
        """
        at = at or self.position(0)
        self._synced = False
        self._audio_cut = 0
        if self._part.begin >= 0:
            end = self._end_of_last(at)
            if end - self._part.begin > self._target:
                self._close_within(end)
            if end > self._part.begin:
                self._close(end, at, PartFlags.LAST, resync=resync)
            self._part = OpenPart()
        if self.place.part:
            self._end_segment()
        self._segment_start = None
        if resync:
            self.place.break_timeline()

    def _end_of_last(self, at: Position) -> int:
        """When the last leading frame ends, with none behind it: as the one before it did, or with the audio."""
        part = self._part
        if not self._has_video:
            return at.audio_ticks
        if part.times:
            step = part.times[-1] - part.times[-2] if len(part.times) > 1 else self.tracks.frame_ms
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
        part, place, scale = self._part, self.place, self._scale
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
        self.out.append(
            PartReady(self._header(flags | place.segment_flags, start_us, duration_us, checkpoint), body)
        )
        self._part = OpenPart()
        self.cut_until_ms = end * 1000 // scale
        place.part += 1

    def end(self) -> None:
        """The epoch is over: put out END."""
        self.flush()
        checkpoint = self._checkpoint(self.position(0), -1)
        self.out.append(PartReady(self._header(PartFlags.END, 0, 0, checkpoint), b""))

    def _checkpoint(self, at: Position, segment_start: int, *, resync: bool = False) -> Checkpoint:
        return Checkpoint(
            job_epoch=self._job_epoch,
            writer=self._writer,
            sequence=at.sequence,
            tag=at.tag,
            resync=resync,
            segment_start=segment_start,
            audio_ticks=at.audio_ticks,
            pdt_offset_us=self.program.offset_us,
            clock_target_us=at.clock_target_us,
        )

    def _header(self, flags: PartFlags, dts_us: int, duration_us: int, checkpoint: Checkpoint) -> PartHeader:
        place = self.place
        return PartHeader(
            flags=flags,
            msn=place.msn,
            part=place.part,
            duration_us=duration_us,
            target_duration=place.target_duration,
            generation=self.generation,
            init=self._init,
            discontinuity=place.discontinuity,
            dts_ms=dts_us // 1000,
            pdt_us=self.program.offset_us + dts_us,
            epoch=self.epoch,
            name=place.name,
            next_name=place.next_name,
            checkpoint=checkpoint,
            part_target_us=place.part_target_us,
        )
