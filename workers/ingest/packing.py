"""Audio and video messages → tag messages of the bus (DESIGN.md §4), sans-I/O.

One message holds one video frame with the audio that came before it; a key frame starts a
message, so the audio before it goes ahead on its own. Frames wait at the very beginning until it
is known which codec headers there are, and a real change of headers waits for a key frame: a
generation always begins where decoding may begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from bus_schemas.limits import ACCESS_UNIT_MAX
from bus_schemas.tags import TagFlags, TagHeader, pack_header
from media import flv
from workers.ingest.headers import CodecHeaders, clean_metadata
from workers.ingest.intake import Intake
from workers.ingest.rtmp import amf0
from workers.ingest.rtmp.events import MediaKind
from workers.ingest.timestamps import ProgramClock, TimestampRepair

AUDIO_WAIT_US: Final = 50_000
"""How long audio waits for a video frame at most (DESIGN.md §4)."""
AUDIO_SPAN_MS: Final = 50
"""The longest that a message of audio spans."""
AUDIO_KEY_MS: Final = 2_000
"""Without video, decoding may start at every audio frame; one in so many ms is marked."""
OPENING_US: Final = 500_000
"""How long the first frames wait for a codec header that nobody has announced as absent."""
FIRST_KEY_US: Final = 2_000_000
"""How long audio waits at the beginning for the first key frame of announced video."""
RECOVERY_MS: Final = 2_000
"""So long behind the last key frame, one may also begin at a recovery point: streams with intra refresh have no
other."""
OPENING_BYTES: Final = 2 * ACCESS_UNIT_MAX
TRACK_GONE_MS: Final = 2_500
"""A track that gives nothing for so long beside the other one is left out: a player would wait for it. Under
the 3 s after which a packager gives up on video."""


class TagMessage(NamedTuple):
    """One message for the bus."""

    flags: int
    """`TagFlags`."""
    sequence: int
    dts_ms: int
    payload: bytes
    """`TagHeader` and the tags."""
    headers: bytes | None = None
    """Where `flags` has HEADER: the message for `live.header.{stream}`, to be published before this one."""


class _Frame(NamedTuple):
    kind: MediaKind
    dts_ms: int
    payload: bytes
    arrival_us: int
    key: bool


_Heard = tuple[int, int]
"""DTS, ms, and arrival, µs, of a frame."""
_ENVELOPES: Final = flv.TAG_HEADER_SIZE + flv.PREVIOUS_TAG_SIZE
_VIDEO: Final = MediaKind.VIDEO
"""Looked up once: at every frame a member of an enum is a call (Python 3.11)."""


class Packer:
    """Packs one publish session. `before` is what an earlier session of the stream left behind."""

    def __init__(
        self,
        epoch: int,
        timeline: TimestampRepair,
        *,
        before: CodecHeaders | None = None,
        generation: int = 0,
        flags: int = TagFlags.NONE,
    ) -> None:
        self._epoch = epoch
        self._timeline = timeline
        self._generation = generation
        self._current = before
        self._first_flags = flags
        self._intake = Intake()
        self._first: _Heard | None = None
        self._video_heard: _Heard | None = None
        self._audio_heard: _Heard | None = None
        self._metadata: dict[str, Any] = {}
        self._clock = ProgramClock()
        self._sequence = 0
        self._started = False
        self._opening: list[_Frame] = []
        self._opening_bytes = 0
        self._audio: list[bytes] = []
        """Tags that wait, as their envelopes and payloads."""
        self._audio_bytes = 0
        self._audio_dts = 0
        self._audio_since: int | None = None
        self._last_dts: int | None = None
        self._last_audio_key: int | None = None
        self._last_key_dts = 0
        self._need_key = True
        self._skipped = 0
        self.video_frames = 0
        self.audio_frames = 0
        self.key_frames = 0

    @property
    def refused(self) -> int:
        """Access units over their limit."""
        return self._intake.refused

    @property
    def skipped(self) -> int:
        """Frames that could not be decoded by anybody: before their header, or before a key frame."""
        return self._skipped + self._intake.skipped

    @property
    def other_tracks(self) -> int:
        """Packets of tracks beside the default one of a multitrack publisher."""
        return self._intake.other_tracks

    @property
    def generation(self) -> int:
        """Codec generation of the messages given last."""
        return self._generation

    @property
    def headers(self) -> CodecHeaders:
        """The codec headers of that generation."""
        return self._current if self._current is not None else CodecHeaders()

    @property
    def due_us(self) -> int | None:
        """When `flush_waiting` is due next; None while nothing waits."""
        if self._started:
            return None if self._audio_since is None else self._audio_since + AUDIO_WAIT_US
        if not self._opening:
            return None
        return self._opening[0].arrival_us + (FIRST_KEY_US if self._lacks_key() else OPENING_US)

    def set_metadata(self, values: dict[str, Any]) -> None:
        """Take the publisher's onMetaData; it goes out with the next codec headers."""
        self._metadata = clean_metadata(values)

    def push(self, kind: MediaKind, timestamp: int, payload: bytes, arrival_us: int) -> list[TagMessage]:
        """Take one message as the publisher stamped it; gives what is complete.

        Only frames count for the timeline: encoders stamp codec headers with anything. Raises
        `UnsupportedCodecError`. What cannot be read is skipped and counted.
        """
        intake = self._intake
        read = intake.read(kind, payload)
        if intake.needs_key:
            intake.needs_key = False
            self._need_key = True
        if read is None:
            return []
        if intake.behind_ms:
            timestamp = timestamp - intake.behind_ms & 0xFFFFFFFF
            intake.behind_ms = 0
        dts = self._timeline.repair(kind, timestamp, arrival_us / 1_000)
        frame, key = read
        if self._started:
            return self._pack(kind, dts, frame, arrival_us, key)
        return self._open(_Frame(kind, dts, frame, arrival_us, key))

    def flush_waiting(self, now_us: int, next_us: int | None = None) -> list[TagMessage]:
        """Audio that has waited its time, and an opening that has waited its own.

        `next_us`: when somebody looks again; what would have waited too long by then goes now.
        """
        if not self._started:
            return self._begin() if self._may_begin(now_us) else []
        if self._audio_since is None or 0 <= (next_us or now_us) - self._audio_since < AUDIO_WAIT_US:
            return []
        return self._flush_audio(now_us)

    def limit_access_units(self, most: int) -> None:
        """Refuse access units of more bytes than this from now on."""
        self._intake.unit_max = most

    def require_key_frame(self) -> None:
        """A message given before was lost: go on at the next key frame, marked as a discontinuity."""
        self._need_key = True
        self._drop_audio()
        self._last_audio_key = None
        self._first_flags |= TagFlags.DISCONTINUITY

    def end(self, now_us: int) -> list[TagMessage]:
        """The end on purpose: what waits, then the END message."""
        messages = self._flush_audio(now_us)
        dts = self._last_dts or 0
        messages.append(self._message(TagFlags.END, dts, now_us, ()))
        return messages

    # The opening: which codec headers are there?

    def _open(self, frame: _Frame) -> list[TagMessage]:
        self._opening.append(frame)
        self._opening_bytes += len(frame.payload)
        return self._begin() if self._may_begin(frame.arrival_us) else []

    def _may_begin(self, now_us: int) -> bool:
        if not self._opening:
            return False
        first = self._opening[0]
        span_us = (self._opening[-1].dts_ms - first.dts_ms) * 1_000
        waited = max(now_us - first.arrival_us, span_us)
        if self._opening_bytes > OPENING_BYTES or waited >= FIRST_KEY_US:
            return True
        if self._lacks_key():
            return False
        wanted = self._intake.wanted
        if wanted.video is not None and wanted.audio is not None:
            return True
        missing = "videocodecid" if wanted.video is None else "audiocodecid"
        announced_absent = bool(self._metadata) and missing not in self._metadata
        known = wanted.video is not None or wanted.audio is not None
        return waited >= OPENING_US or (known and announced_absent)

    def _lacks_key(self) -> bool:
        return self._intake.wanted.video is not None and not any(frame.key for frame in self._opening)

    def _begin(self) -> list[TagMessage]:
        frames, self._opening = self._opening, []
        if self._intake.wanted.video is not None:
            # Nothing may go before the first key frame; without one, audio begins alone.
            first = next((index for index, frame in enumerate(frames) if frame.key), 0)
            self._skipped += first
            frames = frames[first:]
        self._opening_bytes = 0
        self._started = True
        messages: list[TagMessage] = []
        for frame in frames:
            messages += self._pack(*frame)
        return messages

    # The run: frame by frame.

    def _pack(
        self, kind: MediaKind, dts_ms: int, payload: bytes, arrival_us: int, key: bool
    ) -> list[TagMessage]:
        self._clock.observe(dts_ms, arrival_us)
        heard = dts_ms, arrival_us
        if self._first is None:
            self._first = heard
        if kind is _VIDEO:
            self._video_heard = heard
            return self._pack_video(dts_ms, payload, arrival_us, key)
        self._audio_heard = heard
        return self._pack_audio(dts_ms, payload, arrival_us)

    def _pack_video(self, dts_ms: int, payload: bytes, arrival_us: int, key: bool) -> list[TagMessage]:
        if not key and (self._need_key or dts_ms - self._last_key_dts >= RECOVERY_MS):
            # Marked as a place to begin, and left as it is: for a packager it is no key frame.
            key = self._intake.is_recovery_point(payload)
        if self._intake.wanted.video is None or (self._need_key and not key):
            self._skipped += 1
            return []
        self.video_frames += 1
        size = len(payload)
        before, behind = flv.envelope(_VIDEO, dts_ms, size)
        if not key:
            audio = self._audio
            if not audio:
                return [self._message(0, dts_ms, arrival_us, (before, payload, behind))]
            if self._audio_bytes + size > ACCESS_UNIT_MAX - _ENVELOPES:
                messages = self._flush_audio(arrival_us)
                messages.append(self._message(0, dts_ms, arrival_us, (before, payload, behind)))
                return messages
            message = self._message(0, self._audio_dts, arrival_us, (*audio, before, payload, behind))
            self._drop_audio()
            return [message]
        messages = self._flush_audio(arrival_us)
        self._need_key = False
        self._last_key_dts = dts_ms
        tag = b"".join((before, payload, behind))
        messages.append(self._key_message(_VIDEO, dts_ms, arrival_us, tag))
        return messages

    def _pack_audio(self, dts_ms: int, payload: bytes, arrival_us: int) -> list[TagMessage]:
        headers = self._current if self._sequence else None
        with_video = headers is not None and headers.video is not None
        if with_video and self._is_gone(self._video_heard, dts_ms, arrival_us):
            with_video, headers, self._need_key = False, None, True
        if headers is not None and with_video:
            if self._need_key or self._intake.wanted.audio != headers.audio:
                # The generation of this audio begins with the next key frame.
                self._skipped += 1
                return []
        elif self._intake.wanted.audio is None:
            self._skipped += 1
            return []
        self.audio_frames += 1
        size = len(payload)
        before, behind = flv.envelope(MediaKind.AUDIO, dts_ms, size)
        if not with_video and self._audio_key_due(dts_ms, headers):
            messages = self._flush_audio(arrival_us)
            self._last_audio_key = dts_ms
            tag = b"".join((before, payload, behind))
            messages.append(self._key_message(MediaKind.AUDIO, dts_ms, arrival_us, tag))
            return messages
        messages = []
        since = self._audio_since
        if since is not None and (
            dts_ms - self._audio_dts >= AUDIO_SPAN_MS or arrival_us - since >= AUDIO_WAIT_US
        ):
            messages = self._flush_audio(arrival_us)
            since = None
        if since is None:
            self._audio_dts = dts_ms
            self._audio_since = arrival_us
        self._audio += (before, payload, behind)
        self._audio_bytes += size + _ENVELOPES
        return messages

    def _audio_key_due(self, dts_ms: int, headers: CodecHeaders | None) -> bool:
        if headers is None or self._last_audio_key is None or headers.audio != self._intake.wanted.audio:
            return True
        return dts_ms - self._last_audio_key >= AUDIO_KEY_MS

    def _key_message(self, kind: MediaKind, dts_ms: int, arrival_us: int, tag: bytes) -> TagMessage:
        flags = TagFlags.KEY | self._first_flags
        self._first_flags = TagFlags.NONE
        self.key_frames += 1
        pdt = self._clock.at_key_frame(dts_ms, arrival_us)
        script = amf0.encode("onClock") + amf0.encode_ecma_array({"dts": dts_ms, "pdt": pdt})
        clock = flv.mux(flv.TagType.SCRIPT, dts_ms, script)
        wanted = self._intake.wanted
        if kind is MediaKind.AUDIO:
            # Video that was announced and never came, or came to its end, is not part of what a decoder gets.
            wanted = CodecHeaders(None, wanted.audio, layout=wanted.layout)
        elif wanted.audio is not None and self._is_gone(self._audio_heard, dts_ms, arrival_us):
            wanted = replace(wanted, audio=None, layout=None)
        if self._sequence and self._current is not None and wanted.same_in_full(self._current):
            return self._message(flags, dts_ms, arrival_us, (clock, tag))
        if self._current is not None and wanted != self._current:
            self._generation += 1
            flags |= TagFlags.DISCONTINUITY
        self._current = wanted
        flags |= TagFlags.HEADER
        headers = wanted.tags(dts_ms, self._metadata)
        sequence = self._sequence
        message = self._message(flags, dts_ms, arrival_us, (headers, clock, tag))
        own = TagHeader(TagFlags.HEADER, self._generation, sequence, self._epoch, message.dts_ms, arrival_us)
        return TagMessage(flags, sequence, message.dts_ms, message.payload, own.pack() + headers)

    def _is_gone(self, last: _Heard | None, dts_ms: int, arrival_us: int) -> bool:
        """Whether the track heard so last gave nothing for long, while the other one went on to here."""
        last = last or self._first
        return (
            last is not None
            and dts_ms - last[0] > TRACK_GONE_MS
            and arrival_us - last[1] > TRACK_GONE_MS * 1_000
        )

    def _flush_audio(self, now_us: int) -> list[TagMessage]:
        if not self._audio:
            return []
        message = self._message(0, self._audio_dts, now_us, self._audio)
        self._drop_audio()
        return [message]

    def _drop_audio(self) -> None:
        self._audio.clear()
        self._audio_bytes = 0
        self._audio_since = None

    def _message(self, flags: int, dts_ms: int, arrival_us: int, body: Sequence[bytes]) -> TagMessage:
        # Audio may run ahead of video within an encoder's interleaving; the header never goes back.
        if self._last_dts is not None and dts_ms < self._last_dts:
            dts_ms = self._last_dts
        self._last_dts = dts_ms
        sequence = self._sequence
        self._sequence = sequence + 1 & 0xFFFFFFFF
        header = pack_header(flags, self._generation, sequence, self._epoch, dts_ms, arrival_us)
        return TagMessage(flags, sequence, dts_ms, b"".join((header, *body)))
