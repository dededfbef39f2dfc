"""The part that is still open: its frames, and where the tags after them begin."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import NamedTuple

from workers.transmux.cmaf.fragments import AudioRun, VideoRun, empty_fragment, fragment


class Position(NamedTuple):
    """A tag on the bus, with what is known in front of it."""

    sequence: int
    """`TagHeader.sequence` of its message."""
    tag: int
    """Its index in the message."""
    audio_ticks: int
    """When the next audio frame is due, in samples; -1 before the first."""
    clock_target_us: int
    """What the program clock aims at so far in the segment; -1 for nothing."""


@dataclass(slots=True)
class OpenPart:
    """Frames in the order of the bus. Without video the audio frames lead, and `times` are theirs."""

    times: list[int] = field(default_factory=list)
    """DTS of the leading frames, in ticks of the leading track."""
    compositions: list[int] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)
    frames: list[memoryview] = field(default_factory=list)
    audio_times: list[int] = field(default_factory=list)
    """In samples; beside video only."""
    audio_ends: list[int] = field(default_factory=list)
    """When each ends by its own length."""
    audio_frames: list[memoryview] = field(default_factory=list)
    begin: int = -1
    """When it begins, in ticks of the leading track: with its first frame, or within one that a part before it
    holds; -1 while it is empty."""
    size: int = 0
    """Bytes of media."""
    last_at: Position = field(default_factory=lambda: Position(0, 0, -1, -1))
    """Where the last leading frame stands."""
    audio_before_last: int = 0
    """How many of the audio frames stand before it."""

    def add_leading(self, time: int, composition: int, key: bool, data: memoryview, at: Position) -> None:
        """Append a frame of the leading track."""
        if self.begin < 0:
            self.begin = time
        self.times.append(time)
        self.compositions.append(composition)
        self.keys.append(key)
        self.frames.append(data)
        self.size += len(data)
        self.last_at = at
        self.audio_before_last = len(self.audio_times)

    def add_audio(self, time: int, end: int, data: memoryview) -> None:
        """Append an audio frame beside video."""
        self.audio_times.append(time)
        self.audio_ends.append(end)
        self.audio_frames.append(data)
        self.size += len(data)

    def split_last(self) -> tuple[OpenPart, Position]:
        """Take the last leading frame and the audio behind it out into a part that begins there."""
        rest = OpenPart(
            self.times[-1:],
            self.compositions[-1:],
            self.keys[-1:],
            self.frames[-1:],
            begin=self.times[-1],
            last_at=self.last_at,
        )
        for leading in (self.times, self.compositions, self.keys, self.frames):
            del leading[-1:]
        self._move_audio(rest, self.audio_before_last)
        return rest, self.last_at

    def split_within(self, at: int, audio_at: int) -> OpenPart:
        """Take what lies behind `at`, which is within the last leading frame, out into a part that begins there.

        It gets the audio that begins at `audio_at` samples or later.
        """
        rest = OpenPart(begin=at, last_at=self.last_at)
        self._move_audio(rest, bisect_left(self.audio_times, audio_at))
        return rest

    def _move_audio(self, rest: OpenPart, cut: int) -> None:
        rest.audio_times, rest.audio_ends = self.audio_times[cut:], self.audio_ends[cut:]
        rest.audio_frames = self.audio_frames[cut:]
        del self.audio_times[cut:], self.audio_ends[cut:], self.audio_frames[cut:]
        rest.size = sum(map(len, rest.frames)) + sum(map(len, rest.audio_frames))
        self.size -= rest.size

    def longest_step(self, end: int) -> int:
        """What its longest leading frame lasts, the last one until `end`."""
        return max(after - before for before, after in zip(self.times, [*self.times[1:], end], strict=True))

    def pack(self, sequence: int, end: int, frame_samples: int, *, video: bool) -> bytes:
        """The CMAF chunk of these frames, the last of which lasts until `end`, be that beyond the part's own end.

        `frame_samples` is what the init segment says of audio frames.
        """
        if not self.times and not self.audio_times:
            return empty_fragment(sequence, end)
        durations = [
            after - before
            for before, after in zip(self.times, [*self.times[1:], end][: len(self.times)], strict=True)
        ]
        if not video:
            return fragment(
                sequence, None, AudioRun(self.times[0], _unless(durations, frame_samples), self.frames)
            )
        audio = None
        if self.audio_times:
            ends = [*self.audio_times[1:], self.audio_ends[-1]]
            lasting = [after - before for before, after in zip(self.audio_times, ends, strict=True)]
            audio = AudioRun(self.audio_times[0], _unless(lasting, frame_samples), self.audio_frames)
        if not self.times:
            return fragment(sequence, None, audio)
        run = VideoRun(self.times[0], durations, self.compositions, self.keys, self.frames)
        return fragment(sequence, run, audio)


def _unless(durations: list[int], all_alike: int) -> list[int] | None:
    return None if durations.count(all_alike) == len(durations) else durations
