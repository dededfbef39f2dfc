"""CMAF on the bus: the header in front of each part (`PARTS`) and of each init segment (`LIVE_HEADERS`).

A part message is `PartHeader` (`PART_HEADER_SIZE` bytes, fixed) followed by one `moof` + `mdat`; the
bytes of a segment are the bytes of its parts joined. The header says everything a playlist says
about the part, and its `Checkpoint` everything the next worker needs to go on with the next part.
An init message is `InitHeader` (its length in front) followed by `ftyp` + `moov`.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from enum import IntFlag
from typing import Any, Final

VERSION: Final = 1
SOURCE_RENDITION: Final = "source"
"""The rendition that carries the publisher's own frames."""
PART_TARGET_US: Final = 210_000
"""`EXT-X-PART-INF:PART-TARGET` of every stream whose frames allow it (DESIGN.md §4)."""

NAME_SIZE: Final = 8
_PART: Final = struct.Struct("!BHBHHIQIIqqQ8s8s")
_FLAG_BITS: Final = 4
"""Of the second field; the twelve above them are the part target in ms, 0 for the usual one."""
PART_TARGET_MAX_MS: Final = 0xFFF
_CHECKPOINT: Final = struct.Struct("!QQ8xIHBqqqq")
"""The gap held a sequence of `LIVE` once."""
PART_HEADER_SIZE: Final = _PART.size + _CHECKPOINT.size
_INIT: Final = struct.Struct("!BI")
_INIT_LIMIT: Final = 64 * 1024
_VIDEO_RANGES: Final = {16: "PQ", 18: "HLG"}
"""By transfer characteristics."""


class PartFlags(IntFlag):
    """What stands beside a part in the playlist."""

    NONE = 0
    INDEPENDENT = 1
    """It starts with a key frame (or, without video, any audio frame): `INDEPENDENT=YES`."""
    LAST = 2
    """It is the last part of its segment: the segment's `EXTINF` line follows it. A part with a greater `msn`
    ends the segment before it as well, and so does END: where frames were lost no part could be marked."""
    DISCONTINUITY = 4
    """Its segment begins with `EXT-X-DISCONTINUITY` (set on every part of that segment)."""
    END = 8
    """The stream has ended: no body, no duration; `EXT-X-ENDLIST` follows the segments before it."""


class PartFormatError(ValueError):
    """Bytes that are not a part or init message of a version this code reads."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the next part begins, for a worker that goes on from here; of no use to a gateway."""

    job_epoch: int
    """Epoch of the job whose holder wrote the part; a later job supersedes an earlier one."""
    writer: int
    """The lease that wrote it, a random 64-bit number: a worker knows its own parts by it."""
    sequence: int
    """`TagHeader.sequence` of the message in which the next part begins, within `PartHeader.epoch`."""
    tag: int
    """Index of the tag within that message with which the next part begins."""
    resync: bool
    """The next segment waits for a key frame and begins with a discontinuity: frames in between are lost."""
    segment_start: int
    """When the segment of the next part began, in ticks of the leading track: ms of DTS with video, else
    audio samples; -1 where the next part begins a segment."""
    audio_ticks: int
    """Decode time of the next audio frame in audio samples, -1 where no audio came yet."""
    pdt_offset_us: int
    """Program date-time minus DTS, µs, as it holds in the segment of this part."""
    clock_target_us: int
    """What ingest last announced as program date-time minus DTS in this segment, µs: the next segment's slew
    aims at it; -1 where it announced nothing."""


def _read_colour(codes: list[int]) -> tuple[int, ...]:
    found = tuple(int(code) & 0xFF for code in codes)
    if len(found) not in (0, 4):
        raise ValueError(f"a colour of {len(found)} codes")
    return found


def _unpack_checkpoint(message: bytes | memoryview) -> Checkpoint:
    fields = list(_CHECKPOINT.unpack_from(message, _PART.size))
    fields[4] = bool(fields[4])
    return Checkpoint(*fields)


@dataclass(frozen=True, slots=True)
class PartHeader:
    """One part as the playlist and the next worker need it."""

    flags: PartFlags
    msn: int
    """Media sequence number of its segment: continues over epochs, without holes."""
    part: int
    """Index within the segment, from 0, without holes. END has the place of the next part."""
    duration_us: int
    """Its duration, µs. Those of a segment add up to the segment's."""
    target_duration: int
    """`EXT-X-TARGETDURATION`, s, 2 to 10; 0 while the stream's first segment is open: no playlist yet."""
    generation: int
    """Codec generation of its tags, `TagHeader.generation`."""
    init: int
    """Which init segment it needs: the `{generation}` token of `hls.init.…`; grows over all epochs."""
    discontinuity: int
    """Discontinuities in the stream so far, one in front of this segment included."""
    dts_ms: int
    """DTS of its first frame."""
    pdt_us: int
    """Program date-time of its first frame, µs since 1970."""
    epoch: int
    """The publish session its tags are of."""
    name: str
    """16 hexadecimal digits, the unguessable piece in the names of this segment and of its parts."""
    next_name: str
    """The same of segment `msn + 1`, for a preload hint across the segment's end."""
    checkpoint: Checkpoint
    part_target_us: int = PART_TARGET_US
    """`EXT-X-PART-INF:PART-TARGET`, whole ms, at most `PART_TARGET_MAX_MS`; fixed with `target_duration`."""

    def pack(self) -> bytes:
        """The header as `PART_HEADER_SIZE` bytes, big-endian."""
        at = self.checkpoint
        target_ms = 0 if self.part_target_us == PART_TARGET_US else self.part_target_us // 1000
        return _PART.pack(
            VERSION,
            int(self.flags) | target_ms << _FLAG_BITS,
            self.target_duration,
            self.part,
            self.generation,
            self.init,
            self.msn,
            self.duration_us,
            self.discontinuity,
            self.dts_ms,
            self.pdt_us,
            self.epoch,
            bytes.fromhex(self.name),
            bytes.fromhex(self.next_name),
        ) + _CHECKPOINT.pack(
            at.job_epoch,
            at.writer,
            at.sequence,
            at.tag,
            at.resync,
            at.segment_start,
            at.audio_ticks,
            at.pdt_offset_us,
            at.clock_target_us,
        )

    @classmethod
    def unpack(cls, message: bytes | memoryview) -> PartHeader:
        """Read the header in front of a part, whose body is `message[PART_HEADER_SIZE:]`.

        Raises `PartFormatError`.
        """
        if len(message) < PART_HEADER_SIZE:
            raise PartFormatError(
                f"{len(message)} bytes are too short for a part header of {PART_HEADER_SIZE}"
            )
        if message[0] != VERSION:
            raise PartFormatError(f"part message version {message[0]}, this code reads {VERSION}")
        (
            _,
            flags,
            target_duration,
            part,
            generation,
            init,
            msn,
            duration_us,
            discontinuity,
            dts_ms,
            pdt_us,
            epoch,
            name,
            next_name,
        ) = _PART.unpack_from(message)
        return cls(
            flags=PartFlags(flags & (1 << _FLAG_BITS) - 1),
            msn=msn,
            part=part,
            duration_us=duration_us,
            target_duration=target_duration,
            generation=generation,
            init=init,
            discontinuity=discontinuity,
            dts_ms=dts_ms,
            pdt_us=pdt_us,
            epoch=epoch,
            name=name.hex(),
            next_name=next_name.hex(),
            checkpoint=_unpack_checkpoint(message),
            part_target_us=(flags >> _FLAG_BITS) * 1000 or PART_TARGET_US,
        )


@dataclass(frozen=True, slots=True)
class InitHeader:
    """One init segment: what a multivariant playlist says of the rendition, and its codec records."""

    init: int
    """Its number, the `{generation}` token of the subject; grows over the stream's epochs."""
    epoch: int
    generation: int
    name: str
    """16 hexadecimal digits, the unguessable piece in its name."""
    codecs: str
    """RFC 6381, ready for `CODECS`, such as `avc1.64001f,mp4a.40.2`."""
    width: int
    """Pixels as shown, cropping applied; 0 without video."""
    height: int
    frame_rate: float
    """Frames per second for `FRAME-RATE`; 0.0 without video or where the stream does not say."""
    sample_rate: int
    """Audio samples per second; 0 without audio."""
    channels: int
    bandwidth: int
    """Bits per second as the publisher announced them; 0 where he did not: then measure the parts."""
    video_record: bytes
    """The codec's own: the body of avcC, hvcC, av1C or (without version and flags) vpcC. Empty without video."""
    audio_record: bytes
    """AudioSpecificConfig, or the body of dOps, dfLa, dac3 or dec3. Empty without audio."""
    video_codec: str = ""
    """FourCC of what `video_record` is; empty without video, and from writers that knew only `avc1`."""
    audio_codec: str = ""
    """FourCC of what `audio_record` is; empty without audio, and from writers that knew only `mp4a`."""
    colour: tuple[int, ...] = ()
    """Colour primaries, transfer characteristics and matrix coefficients (ISO/IEC 23091-2), then 1 for full
    range; empty where nothing says them."""

    @property
    def video_range(self) -> str:
        """`VIDEO-RANGE` of the rendition (RFC 8216bis, 4.4.6.2): SDR, HLG or PQ; empty without video."""
        if not self.video_record:
            return ""
        return _VIDEO_RANGES.get(self.colour[1], "SDR") if self.colour else "SDR"

    def pack(self) -> bytes:
        """The header with its length in front; the init segment's bytes follow it."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        fields["video_record"] = self.video_record.hex()
        fields["audio_record"] = self.audio_record.hex()
        for name in ("video_codec", "audio_codec", "colour"):
            if not fields[name]:
                del fields[name]
        body = json.dumps(fields, separators=(",", ":")).encode()
        return _INIT.pack(VERSION, len(body)) + body

    @classmethod
    def unpack(cls, message: bytes | memoryview) -> tuple[InitHeader, bytes]:
        """The header and the init segment's bytes; raises `PartFormatError`."""
        if len(message) < _INIT.size:
            raise PartFormatError(f"{len(message)} bytes are too short for an init message")
        version, size = _INIT.unpack_from(message)
        if version != VERSION:
            raise PartFormatError(f"init message version {version}, this code reads {VERSION}")
        end = _INIT.size + size
        if size > _INIT_LIMIT or len(message) < end:
            raise PartFormatError(f"an init header of {size} bytes in a message of {len(message)}")
        try:
            fields: dict[str, Any] = json.loads(bytes(message[_INIT.size : end]))
            header = cls(
                init=int(fields["init"]),
                epoch=int(fields["epoch"]),
                generation=int(fields["generation"]),
                name=bytes.fromhex(fields["name"]).hex(),
                codecs=str(fields["codecs"]),
                width=int(fields["width"]),
                height=int(fields["height"]),
                frame_rate=float(fields["frame_rate"]),
                sample_rate=int(fields["sample_rate"]),
                channels=int(fields["channels"]),
                bandwidth=int(fields["bandwidth"]),
                video_record=bytes.fromhex(fields["video_record"]),
                audio_record=bytes.fromhex(fields["audio_record"]),
                video_codec=str(fields.get("video_codec", "")),
                audio_codec=str(fields.get("audio_codec", "")),
                colour=_read_colour(fields.get("colour", ())),
            )
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as exc:
            raise PartFormatError(f"an init header that cannot be read: {exc!r}") from exc
        return header, bytes(message[end:])
