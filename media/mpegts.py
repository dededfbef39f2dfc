"""MPEG transport streams (ISO/IEC 13818-1) from CMAF segments, for players that know no fragmented MP4. Pure.

A segment's bytes depend on the CMAF segment and its number alone, so whichever process makes one makes the
same. Continuity counters still run on from segment to segment: each elementary stream fills a multiple of
16 packets of every segment, by spreading its last PES packet over some more, and the two tables, one packet
each, count with the segment's number.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from media.annexb import ByteStreamError, Unit, adts_units, avc_units, bare_units, hevc_units
from media.isobmff import BoxError, Run, Track, read_fragment

PACKET_SIZE: Final = 188
CLOCK: Final = 90_000
"""Ticks per second of PTS, DTS and PCR."""
WRAP: Final = 1 << 33

_SYNC: Final = 0x47
_PAYLOAD: Final = PACKET_SIZE - 4
_COUNTERS: Final = 16
_PROGRAM: Final = 1
_TABLE_PID: Final = 0
_MAP_PID: Final = 0x1000
_VIDEO_PID: Final = 0x100
_AUDIO_PID: Final = 0x101
_DELAY: Final = 2 * CLOCK
"""PTS of media time 0, so that the clock reference before the first frame is not negative."""
_LEAD: Final = CLOCK * 7 // 10
"""How far the clock reference is ahead of the frame it comes with: its time in the decoder's buffer."""
_PES_MAX: Final = 60_000
"""An audio PES packet must say its length in 16 bits."""
_MPEG1_RATE_MIN: Final = 32_000
_RANDOM_ACCESS: Final = 0x40
_PCR: Final = 0x10


class TsError(ValueError):
    """Tracks that a transport stream cannot carry, or a segment that cannot be read."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one codec travels (ISO/IEC 13818-1, table 2-34; 0x81 and 0x87 as ATSC and HLS have them)."""

    stream_type: int
    stream_id: int
    units: Callable[[bytes], Unit]


_KINDS: Final = {
    "avc1": _Kind(0x1B, 0xE0, avc_units),
    "avc3": _Kind(0x1B, 0xE0, avc_units),
    "hvc1": _Kind(0x24, 0xE0, hevc_units),
    "hev1": _Kind(0x24, 0xE0, hevc_units),
    "mp4a": _Kind(0x0F, 0xC0, adts_units),
    "mp3": _Kind(0x03, 0xC0, bare_units),
    "mp3 low": _Kind(0x04, 0xC0, bare_units),
    "ac-3": _Kind(0x81, 0xBD, bare_units),
    "ec-3": _Kind(0x87, 0xBD, bare_units),
}


@dataclass(frozen=True, slots=True)
class _Stream:
    """One elementary stream."""

    track: Track
    pid: int
    kind: _Kind
    unit: Unit
    clock: bool
    """Its packets carry the clock reference."""


@dataclass(slots=True)
class _Pes:
    """One PES packet on its way."""

    stream: _Stream
    dts: int
    payload: bytes
    key: bool
    extra: int = 0
    """Packets it fills beyond those it needs."""

    @property
    def adaptation(self) -> bytes:
        """Flags and fields of its first packet's adaptation field."""
        flags = _RANDOM_ACCESS if self.key else 0
        if not self.stream.clock:
            return bytes((flags,)) if flags else b""
        base = (self.dts - _LEAD) % WRAP
        return struct.pack("!BIH", flags | _PCR, base >> 1, (base & 1) << 15 | 0x7E00)

    @property
    def packets(self) -> int:
        """How many packets it needs."""
        adaptation = self.adaptation
        first = _PAYLOAD - (1 + len(adaptation) if adaptation else 0)
        return 1 + -(-max(len(self.payload) - first, 0) // _PAYLOAD)


class Muxer:
    """The elementary streams of one init segment: at most one of video and one of audio."""

    def __init__(self, tracks: tuple[Track, ...]) -> None:
        """Sound it cannot carry (Opus, FLAC) is left out; raises `TsError` where nothing is left, or no video of a
        stream that has some (AV1, VP9)."""
        self._tracks = tracks
        self._streams: dict[int, _Stream] = {}
        video = self._choose(tracks, is_video=True, clock=True)
        self._choose(tracks, is_video=False, clock=video is None)
        named = ", ".join(track.entry for track in tracks)
        if not self._streams:
            raise TsError(f"no track of this stream ({named}) fits a transport stream")
        if video is None and any(track.is_video for track in tracks):
            raise TsError(f"the video of this stream ({named}) does not fit a transport stream")
        self._tables = [(stream.kind.stream_type, stream.pid) for stream in self._streams.values()]

    def _choose(self, tracks: tuple[Track, ...], *, is_video: bool, clock: bool) -> _Stream | None:
        for track in tracks:
            kind = _KINDS.get(_name(track))
            if track.is_video is is_video and kind is not None:
                try:
                    unit = kind.units(track.record)
                except ByteStreamError:
                    continue
                pid = _VIDEO_PID if is_video else _AUDIO_PID
                stream = self._streams[track.id] = _Stream(track, pid, kind, unit, clock)
                return stream
        return None

    def segment(self, parts: Iterable[bytes], number: int) -> bytes:
        """A segment from the CMAF fragments of its parts, in order; raises `TsError`."""
        try:
            runs = [run for part in parts for run in read_fragment(part, self._tracks)]
            packets = self._packets(runs)
        except (BoxError, ByteStreamError) as exc:
            raise TsError(str(exc)) from exc
        counts: dict[int, int] = {}
        for pes in packets:
            counts[pes.stream.pid] = counts.get(pes.stream.pid, 0) + pes.packets
        for pid, count in counts.items():
            last = next(pes for pes in reversed(packets) if pes.stream.pid == pid)
            last.extra = -count % _COUNTERS
        pieces = [
            _table(_TABLE_PID, number, _association()),
            _table(_MAP_PID, number, _map(tuple(self._tables))),
        ]
        counters = dict.fromkeys(counts, 0)
        for pes in packets:
            pid = pes.stream.pid
            counters[pid] = _packetise(pieces, pid, counters[pid], pes)
        return b"".join(pieces)

    def _packets(self, runs: list[Run]) -> list[_Pes]:
        # Decode times of a segment may need to move back together, so that no frame is shown before it is decoded.
        late = 0
        for run in runs:
            late = max((late, *(-composition for composition in run.compositions)))
        found: list[_Pes] = []
        for run in runs:
            stream = self._streams.get(run.track)
            if stream is not None and run.data:
                found += _video(stream, run, late) if stream.track.is_video else _audio(stream, run)
        found.sort(key=lambda pes: pes.dts)
        return found


def _name(track: Track) -> str:
    """An `mp4a` without a decoder's configuration is layer III: of MPEG-1, or at the lower rates of MPEG-2."""
    if track.entry != "mp4a" or track.record:
        return track.entry
    return "mp3" if track.timescale >= _MPEG1_RATE_MIN else "mp3 low"


def _video(stream: _Stream, run: Run, late: int) -> list[_Pes]:
    found = []
    time = run.decode_time
    for lasts, composition, key, data in zip(
        run.durations, run.compositions, run.keys, run.data, strict=True
    ):
        dts, pts = _ticks(stream, time - late), _ticks(stream, time + composition)
        body = b"".join((_pes_header(stream, pts, dts, 0), *stream.unit(data, key)))
        found.append(_Pes(stream, dts, body, key))
        time += lasts
    return found


def _audio(stream: _Stream, run: Run) -> list[_Pes]:
    """Frames share a PES packet as long as each begins where the one before it ends."""
    found: list[_Pes] = []
    pieces: list[bytes | memoryview] = []
    size = 0
    begin = time = run.decode_time

    def close() -> None:
        nonlocal size
        if pieces:
            pts = _ticks(stream, begin)
            found.append(_Pes(stream, pts, b"".join((_pes_header(stream, pts, pts, size), *pieces)), False))
            pieces.clear()
            size = 0

    for lasts, data in zip(run.durations, run.data, strict=True):
        if size + len(data) > _PES_MAX:
            close()
        if not pieces:
            begin = time
        unit = stream.unit(data, True)
        pieces += unit
        size += sum(map(len, unit))
        time += lasts
        if lasts != stream.track.default_duration:
            close()
    close()
    if found and stream.clock:
        found[0].key = True
    return found


def _ticks(stream: _Stream, time: int) -> int:
    scale = stream.track.timescale
    return (time * CLOCK + scale // 2) // scale + _DELAY


def _pes_header(stream: _Stream, pts: int, dts: int, size: int) -> bytes:
    """2.4.3.7: a start code, the length (0: until the next one, of video only), PTS and, where it differs, DTS."""
    times = _stamp(0x31, pts) + _stamp(0x11, dts) if pts != dts else _stamp(0x21, pts)
    length = 3 + len(times) + size if size else 0
    flags = 0xC0 if pts != dts else 0x80
    return struct.pack("!IHBBB", 0x100 | stream.kind.stream_id, length, 0x84, flags, len(times)) + times


def _stamp(marker: int, time: int) -> bytes:
    time %= WRAP
    return struct.pack("!BHH", marker | time >> 29 & 0xE, time >> 14 & 0xFFFE | 1, time << 1 & 0xFFFE | 1)


def _packetise(pieces: list[bytes], pid: int, counter: int, pes: _Pes) -> int:
    """Append the packets of one PES packet; gives the counter of the next."""
    payload, adaptation = memoryview(pes.payload), pes.adaptation
    total = pes.packets + pes.extra
    share = -(-len(payload) // total) if pes.extra else _PAYLOAD
    room = min(_PAYLOAD - (1 + len(adaptation) if adaptation else 0), share)
    at = _packet(pieces, 0x4000 | pid, counter, adaptation, payload[:room])
    whole = [struct.pack("!BHB", _SYNC, pid, 0x10 | count) for count in range(_COUNTERS)]
    for left in range(total - 1, 0, -1):
        counter = (counter + 1) % _COUNTERS
        size = len(payload) - at
        if pes.extra:
            size = -(-size // left)
        if size >= _PAYLOAD:
            pieces += whole[counter], bytes(payload[at : at + _PAYLOAD])
            at += _PAYLOAD
        else:
            at += _packet(pieces, pid, counter, b"", payload[at : at + size])
    return (counter + 1) % _COUNTERS


def _packet(
    pieces: list[bytes], head: int, counter: int, adaptation: bytes, payload: bytes | memoryview
) -> int:
    """Append one packet, stuffed where the payload does not fill it; gives the payload's size."""
    space = _PAYLOAD - len(payload)
    if not space:
        pieces += struct.pack("!BHB", _SYNC, head, 0x10 | counter), bytes(payload)
        return len(payload)
    field = adaptation or (b"\0" if space > 1 else b"")
    pieces.append(
        b"".join(
            (
                struct.pack("!BHBB", _SYNC, head, 0x30 | counter, space - 1),
                field,
                b"\xff" * (space - 1 - len(field)),
                payload,
            )
        )
    )
    return len(payload)


def _table(pid: int, number: int, section: bytes) -> bytes:
    return struct.pack("!BHB", _SYNC, 0x4000 | pid, 0x10 | number % _COUNTERS) + section


@cache
def _association() -> bytes:
    """The payload of a packet with the program association section (2.4.4.3)."""
    return _section(0x00, 1, struct.pack("!HH", _PROGRAM, 0xE000 | _MAP_PID))


@cache
def _map(streams: tuple[tuple[int, int], ...]) -> bytes:
    """The payload of a packet with the program map section (2.4.4.8); the first stream has the clock."""
    entries = b"".join(struct.pack("!BHH", kind, 0xE000 | pid, 0xF000) for kind, pid in streams)
    return _section(0x02, _PROGRAM, struct.pack("!HH", 0xE000 | streams[0][1], 0xF000) + entries)


def _section(table: int, extension: int, body: bytes) -> bytes:
    head = struct.pack("!BHHBBB", table, 0xB000 | len(body) + 9, extension, 0xC1, 0, 0)
    section = head + body
    section += struct.pack("!I", _crc(section))
    return (b"\0" + section).ljust(_PAYLOAD, b"\xff")


def _crc(data: bytes) -> int:
    """Annex A: polynomial 0x04C11DB7, from all ones, nothing reflected."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc
