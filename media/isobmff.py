"""CMAF as others read it (ISO/IEC 14496-12): the tracks of an init segment, the samples of a fragment, and
both cut down to one track. Pure; nothing is copied but what is given back.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

NON_SYNC: Final = 0x10000
"""sample_is_non_sync_sample, 8.8.3.1."""

_BOX: Final = struct.Struct("!I4s")
_U32: Final = struct.Struct("!I")
_U64: Final = struct.Struct("!Q")
_VISUAL_ENTRY: Final = 78
_AUDIO_ENTRY: Final = 28
_DECODER_SPECIFIC: Final = 5
_DATA_OFFSET: Final = 0x1
_FIRST_FLAGS: Final = 0x4
_TFHD_FIELDS: Final = ((0x1, 8), (0x2, 4), (0x8, 4), (0x10, 4), (0x20, 4))


class BoxError(ValueError):
    """Bytes that are not the boxes they should be."""


@dataclass(frozen=True, slots=True)
class Track:
    """One track of an init segment."""

    id: int
    timescale: int
    """Ticks per second."""
    is_video: bool
    entry: str
    """Type of its sample entry: `avc1`, `mp4a` …"""
    record: bytes
    """What configures its decoder: the payload of `avcC`, `hvcC` …, of `esds` the decoder specific info; empty
    where there is none."""
    width: int
    """Pixels; 0 for audio."""
    height: int
    default_duration: int
    default_size: int
    default_flags: int


@dataclass(frozen=True, slots=True)
class Run:
    """The samples of one track in one fragment: sequences of one length."""

    track: int
    decode_time: int
    """Of the first, in ticks."""
    durations: list[int]
    compositions: list[int]
    """Presentation minus decode time, in ticks, signed."""
    keys: list[bool]
    data: list[memoryview]

    @property
    def duration(self) -> int:
        """Ticks of all samples."""
        return sum(self.durations)


def boxes(
    data: bytes | memoryview, start: int = 0, end: int | None = None
) -> Iterator[tuple[bytes, int, int]]:
    """(type, start of its payload, end) of each box between two places; raises `BoxError`."""
    at, end = start, len(data) if end is None else end
    while at < end:
        if end - at < _BOX.size:
            raise BoxError(f"{end - at} bytes are too short for a box")
        size, kind = _BOX.unpack_from(data, at)
        if not _BOX.size <= size <= end - at:
            raise BoxError(f"a box {kind!r} of {size} bytes where {end - at} are left")
        yield kind, at + _BOX.size, at + size
        at += size


def read_init(init: bytes) -> tuple[Track, ...]:
    """The tracks of `ftyp` + `moov`; raises `BoxError`."""
    try:
        moov = _one(init, b"moov", 0, len(init))
        defaults = _track_defaults(init, *moov)
        return tuple(
            _read_track(init, start, end, defaults)
            for kind, start, end in boxes(init, *moov)
            if kind == b"trak"
        )
    except (struct.error, IndexError) as exc:
        raise BoxError(f"an init segment that cannot be read: {exc}") from exc


def init_of(init: bytes, track: int) -> bytes:
    """The init segment with this track only; raises `BoxError`."""
    try:
        pieces: list[bytes] = []
        for kind, start, end in boxes(init):
            payload = _moov_of(init, start, end, track) if kind == b"moov" else init[start:end]
            pieces.append(_box(kind, payload))
        return b"".join(pieces)
    except (struct.error, IndexError) as exc:
        raise BoxError(f"an init segment that cannot be read: {exc}") from exc


def read_fragment(fragment: bytes, tracks: tuple[Track, ...]) -> tuple[Run, ...]:
    """The runs of a `moof` + `mdat`, one for each track that has samples in it; raises `BoxError`."""
    by_id = {track.id: track for track in tracks}
    view = memoryview(fragment)
    try:
        return tuple(_read_run(view, traf, by_id) for traf in _trafs(fragment))
    except (struct.error, IndexError, KeyError) as exc:
        raise BoxError(f"a fragment that cannot be read: {exc!r}") from exc


def fragment_of(fragment: bytes, track: int) -> bytes:
    """The fragment with this track only; empty where it has no samples in it. Raises `BoxError`.

    The sequence number in `mfhd` stays, so it grows as it did.
    """
    try:
        return _fragment_of(fragment, track)
    except (struct.error, IndexError) as exc:
        raise BoxError(f"a fragment that cannot be read: {exc!r}") from exc


def shifted(fragment: bytes, by: dict[int, int]) -> bytes:
    """The fragment with the decode time of each track so many ticks later; raises `BoxError`."""
    moved = bytearray(fragment)
    try:
        for traf in _trafs(fragment):
            width, at = _decode_time_at(fragment, *traf)
            time = width.unpack_from(fragment, at)[0] + by.get(_track_of(fragment, *traf), 0)
            width.pack_into(moved, at, time)
    except (struct.error, IndexError) as exc:
        raise BoxError(f"a fragment that cannot be shifted: {exc!r}") from exc
    return bytes(moved)


def _read_track(init: bytes, start: int, end: int, defaults: dict[int, tuple[int, int, int]]) -> Track:
    header = _one(init, b"tkhd", start, end)[0]
    track = _U32.unpack_from(init, header + (20 if init[header] else 12))[0]
    mdia = _one(init, b"mdia", start, end)
    media_header = _one(init, b"mdhd", *mdia)[0]
    timescale = _U32.unpack_from(init, media_header + (20 if init[media_header] else 12))[0]
    handler = _one(init, b"hdlr", *mdia)[0]
    is_video = init[handler + 8 : handler + 12] == b"vide"
    table = _one(init, b"stbl", *_one(init, b"minf", *mdia))
    description = _one(init, b"stsd", *table)
    kind, at, entry_end = next(boxes(init, description[0] + 8, description[1]))
    width = height = 0
    if is_video:
        width, height = struct.unpack_from("!HH", init, at + 24)
    children = boxes(init, at + (_VISUAL_ENTRY if is_video else _AUDIO_ENTRY), entry_end)
    config, at, after = next(children, (b"", 0, 0))
    record = init[at:after] if config != b"esds" else _decoder_specific(init[at + 4 : after])
    return Track(
        track, timescale, is_video, kind.decode("latin-1"), record, width, height,
        *defaults.get(track, (0, 0, 0)),
    )  # fmt: skip


def _decoder_specific(descriptors: bytes) -> bytes:
    """DecoderSpecificInfo within ES_Descriptor and DecoderConfigDescriptor (ISO/IEC 14496-1, 7.2.6)."""
    at, fixed = 0, {3: 3, 4: 13}
    while at < len(descriptors):
        tag, size, at = descriptors[at], 0, at + 1
        for _ in range(4):
            byte, at = descriptors[at], at + 1
            size = size << 7 | byte & 0x7F
            if byte < 0x80:
                break
        if tag == _DECODER_SPECIFIC:
            return descriptors[at : at + size]
        at += fixed.get(tag, size)
    return b""


def _track_defaults(init: bytes, start: int, end: int) -> dict[int, tuple[int, int, int]]:
    found = {}
    for kind, at, _ in boxes(init, *_one(init, b"mvex", start, end)):
        if kind == b"trex":
            track, _, duration, size, flags = struct.unpack_from("!5I", init, at + 4)
            found[track] = duration, size, flags
    return found


def _moov_of(init: bytes, start: int, end: int, track: int) -> bytes:
    pieces = []
    for kind, at, after in boxes(init, start, end):
        payload = init[at:after]
        if kind == b"trak":
            header = _one(init, b"tkhd", at, after)[0]
            if _U32.unpack_from(init, header + (20 if init[header] else 12))[0] != track:
                continue
        elif kind == b"mvex":
            kept = [
                _box(inner, init[place:stop])
                for inner, place, stop in boxes(init, at, after)
                if inner != b"trex" or _U32.unpack_from(init, place + 4)[0] == track
            ]
            payload = b"".join(kept)
        pieces.append(_box(kind, payload))
    return b"".join(pieces)


def _trafs(fragment: bytes) -> list[tuple[int, int]]:
    moof = _one(fragment, b"moof", 0, len(fragment))
    return [(start, end) for kind, start, end in boxes(fragment, *moof) if kind == b"traf"]


def _track_of(fragment: bytes, start: int, end: int) -> int:
    number: int = _U32.unpack_from(fragment, _one(fragment, b"tfhd", start, end)[0] + 4)[0]
    return number


def _decode_time_at(fragment: bytes, start: int, end: int) -> tuple[struct.Struct, int]:
    at = _one(fragment, b"tfdt", start, end)[0]
    return (_U64 if fragment[at] else _U32), at + 4


def _read_run(view: memoryview, traf: tuple[int, int], tracks: dict[int, Track]) -> Run:
    fragment = view.obj
    assert isinstance(fragment, bytes)  # as its callers give it
    header = _one(fragment, b"tfhd", *traf)[0]
    number = _U32.unpack_from(fragment, header + 4)[0]
    track = tracks[number]
    duration, size, flags = _fragment_defaults(fragment, header, track)
    width, at = _decode_time_at(fragment, *traf)
    run = Run(number, width.unpack_from(fragment, at)[0], [], [], [], [])
    for kind, start, _ in boxes(fragment, *traf):
        if kind == b"trun":
            place = _moof_start(fragment) + _run_offset(fragment, start)
            for length, lasts, sample_flags, composition in _samples(fragment, start, duration, size, flags):
                if place + length > len(fragment):
                    raise BoxError("a sample beyond the end of its fragment")
                run.durations.append(lasts)
                run.compositions.append(composition)
                run.keys.append(not sample_flags & NON_SYNC)
                run.data.append(view[place : place + length])
                place += length
    return run


def _fragment_defaults(fragment: bytes, header: int, track: Track) -> tuple[int, int, int]:
    """Duration, size and flags of a sample that says none: of `tfhd`, else of `trex` (8.8.7)."""
    flags = _U32.unpack_from(fragment, header)[0] & 0xFFFFFF
    at = header + 8
    found = {0x8: track.default_duration, 0x10: track.default_size, 0x20: track.default_flags}
    for flag, size in _TFHD_FIELDS:
        if flags & flag:
            if flag in found:
                found[flag] = _U32.unpack_from(fragment, at)[0]
            at += size
    return found[0x8], found[0x10], found[0x20]


def _moof_start(fragment: bytes) -> int:
    return _one(fragment, b"moof", 0, len(fragment))[0] - _BOX.size


def _run_offset(fragment: bytes, trun: int) -> int:
    if not _U32.unpack_from(fragment, trun)[0] & _DATA_OFFSET:
        raise BoxError("a run without its data offset")
    offset: int = struct.unpack_from("!i", fragment, trun + 8)[0]
    return offset


def _samples(
    fragment: bytes, trun: int, duration: int, size: int, flags: int
) -> Iterator[tuple[int, int, int, int]]:
    """(size, duration, flags, composition) of each sample of a `trun` (8.8.8)."""
    head, count = struct.unpack_from("!II", fragment, trun)
    if count > len(fragment):
        # A run that says nothing of its samples one by one takes no room, whatever their number.
        raise BoxError(f"a run of {count} samples in {len(fragment)} bytes")
    at = trun + 12
    first_flags = None
    if head & _FIRST_FLAGS:
        first_flags = _U32.unpack_from(fragment, at)[0]
        at += 4
    fields = [bool(head & bit) for bit in (0x100, 0x200, 0x400, 0x800)]
    width = sum(fields)
    values = struct.unpack_from(f"!{count * width}I", fragment, at)
    signed = head >> 24
    for index in range(count):
        row = iter(values[index * width : (index + 1) * width])
        lasts = next(row) if fields[0] else duration
        length = next(row) if fields[1] else size
        marked = next(row) if fields[2] else flags
        composition = next(row) if fields[3] else 0
        if signed and composition & 0x80000000:
            composition -= 1 << 32
        if index == 0 and first_flags is not None:
            marked = first_flags
        yield length, lasts, marked, composition


def _fragment_of(fragment: bytes, track: int) -> bytes:
    base = _moof_start(fragment)
    moof: list[bytes] = []
    data: list[bytes] = []
    patches: list[tuple[int, int]] = []
    """Place of a data offset within the new moof's payload, and what it is behind the new moof."""
    size = data_size = 0
    for kind, start, end in boxes(fragment, *_one(fragment, b"moof", 0, len(fragment))):
        if kind == b"traf":
            if _track_of(fragment, start, end) != track:
                continue
            defaults = _fragment_defaults(
                fragment,
                _one(fragment, b"tfhd", start, end)[0],
                Track(track, 0, False, "", b"", 0, 0, 0, 0, 0),
            )
            for inner, at, _ in boxes(fragment, start, end):
                if inner == b"trun":
                    length = sum(sample[0] for sample in _samples(fragment, at, *defaults))
                    place = base + _run_offset(fragment, at)
                    patches.append((size + at + 8 - (start - _BOX.size), data_size))
                    data.append(fragment[place : place + length])
                    data_size += length
        piece = _box(kind, fragment[start:end])
        moof.append(piece)
        size += len(piece)
    if not patches:
        return b""
    body = bytearray(b"".join(moof))
    for at, offset in patches:
        struct.pack_into("!i", body, at, _BOX.size + size + _BOX.size + offset)
    return b"".join(
        (_BOX.pack(_BOX.size + size, b"moof"), body, _BOX.pack(_BOX.size + data_size, b"mdat"), *data)
    )


def _one(data: bytes, wanted: bytes, start: int, end: int) -> tuple[int, int]:
    """Payload of the first box of a type between two places."""
    for kind, at, after in boxes(data, start, end):
        if kind == wanted:
            return at, after
    raise BoxError(f"no box {wanted!r}")


def _box(kind: bytes, payload: bytes) -> bytes:
    return _BOX.pack(_BOX.size + len(payload), kind) + payload
