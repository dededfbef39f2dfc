"""FLV tags as viewers get them: one monotonic timeline over all publish sessions of a stream, sans-I/O.

Bytes go through untouched as long as a session continues the timeline before it, which is the rule:
ingest repairs timestamps. Where one does not (a publisher returned to another ingest worker, NATS lost
its memory), its tags are shifted here once for all viewers of the stream.
"""

from __future__ import annotations

import struct
from typing import Final

from bus_schemas.tags import TagFlags, TagHeader
from media import av_tags, flv
from media.formats import MP3_RECORD

MAX_SILENCE_MS: Final = 60_000
"""The longest silence that is kept on the timeline."""
MIN_STEP_MS: Final = 100
"""A new session begins at least so far behind the old one: a message's tags reach beyond its first DTS."""

_CLOCK_NAME: Final = b"\x02\x00\x07onClock"
_METADATA_NAME: Final = b"\x02\x00\x0aonMetaData"
_MP3_NAME: Final = len(MP3_RECORD).to_bytes(2, "big") + MP3_RECORD.encode()
_CLOCK_DTS: Final = b"\x00\x03dts\x00"
_DOUBLE: Final = struct.Struct("!d")


class Timeline:
    """Places the messages of a stream one after another."""

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._offset = 0
        self._last_dts = 0
        self._last_arrival_us = 0

    def place(self, header: TagHeader, tags: bytes) -> tuple[bytes, int]:
        """The message's tags on the viewers' timeline, and the DTS there, ms."""
        dts = header.dts_ms + self._offset
        if self._epoch is None:
            self._epoch = header.epoch
        elif header.epoch != self._epoch or header.flags & TagFlags.DISCONTINUITY:
            self._epoch = header.epoch
            if not self._last_dts <= dts <= self._last_dts + MAX_SILENCE_MS:
                silence = (header.arrival_us - self._last_arrival_us) // 1_000
                dts = self._last_dts + min(max(silence, MIN_STEP_MS), MAX_SILENCE_MS)
                self._offset = dts - header.dts_ms
        self._last_dts = max(self._last_dts, dts)
        self._last_arrival_us = header.arrival_us
        return (shift(tags, self._offset) if self._offset else tags), dts


def shift(tags: bytes, by_ms: int) -> bytes:
    """The same tags `by_ms` later; the `dts` of an `onClock` moves along."""
    moved = bytearray(tags)
    for at, size in _walk(moved):
        _stamp(moved, at, _timestamp(moved, at) + by_ms)
        body = at + flv.TAG_HEADER_SIZE
        if moved[at] == flv.TagType.SCRIPT and moved.startswith(_CLOCK_NAME, body):
            found = moved.find(_CLOCK_DTS, body, body + size)
            if found >= 0:
                number = found + len(_CLOCK_DTS)
                _DOUBLE.pack_into(moved, number, _DOUBLE.unpack_from(moved, number)[0] + by_ms)
    return bytes(moved)


def stamp(tags: bytes, dts_ms: int) -> bytes:
    """The same tags, all of them at one time: headers in front of a key frame."""
    moved = bytearray(tags)
    for at, _ in _walk(moved):
        _stamp(moved, at, dts_ms)
    return bytes(moved)


def leading_headers(tags: bytes) -> bytes:
    """The codec headers a message flagged HEADER begins with: metadata and sequence headers."""
    end = 0
    for at, size in _walk(tags):
        if not _is_header(tags, at, size):
            break
        end = at + flv.TAG_HEADER_SIZE + size + flv.PREVIOUS_TAG_SIZE
    return tags[:end]


def opening(headers: bytes, message: bytes, dts_ms: int) -> bytes:
    """What a viewer who begins at this key message gets first, its codec headers in front or given apart.

    Metadata, `onClock`, audio header, video header, key frame, in this order: players make up their minds by
    it. The few audio frames in front of a key frame are left out.
    """
    tags = stamp(headers, dts_ms) + message
    first: list[tuple[int, bytes]] = []
    sounds: list[bytes] = []
    end = 0
    for at, size in _walk(tags):
        after = at + flv.TAG_HEADER_SIZE + size + flv.PREVIOUS_TAG_SIZE
        rank = _rank(tags, at, size)
        if rank is None and tags[at] == flv.TagType.VIDEO:
            sounds.clear()
            break
        if rank is None:
            sounds.append(tags[at:after])
        else:
            first.append((rank, tags[at:after]))
        end = after
    first.sort(key=lambda ranked: ranked[0])
    return b"".join([*(tag for _, tag in first), *sounds, tags[end:]])


def _rank(tags: bytes, at: int, size: int) -> int | None:
    """The place of a tag among those before the first frame; None for a frame."""
    kind, body = tags[at], at + flv.TAG_HEADER_SIZE
    if kind == flv.TagType.SCRIPT:
        return 0 if tags.startswith(_METADATA_NAME, body) else 1
    if not _is_header(tags, at, size):
        return None
    return 3 if kind == flv.TagType.VIDEO else 2


def tracks_of(headers: bytes) -> tuple[bool, bool]:
    """Whether codec headers announce audio, and video: the flags of an FLV file header."""
    walked = _walk(headers)
    kinds = {headers[at] for at, _ in walked}
    # MP3 has no header: the metadata alone tell of it.
    untold = any(
        _MP3_NAME in headers[at : at + flv.TAG_HEADER_SIZE + size]
        for at, size in walked
        if headers[at] == flv.TagType.SCRIPT
    )
    return untold or flv.TagType.AUDIO in kinds, flv.TagType.VIDEO in kinds


def _is_header(tags: bytes, at: int, size: int) -> bool:
    body = at + flv.TAG_HEADER_SIZE
    kind = tags[at]
    if kind == flv.TagType.SCRIPT:
        return tags.startswith(_METADATA_NAME, body)
    return av_tags.is_codec_header(tags[body : body + min(size, 2)], video=kind == flv.TagType.VIDEO)


def _walk(tags: bytes | bytearray) -> list[tuple[int, int]]:
    """Offset and payload size of each complete tag; what follows a tag that is cut off is not walked."""
    found = []
    at, end = 0, len(tags)
    while at + flv.TAG_HEADER_SIZE + flv.PREVIOUS_TAG_SIZE <= end:
        size = int.from_bytes(tags[at + 1 : at + 4], "big")
        after = at + flv.TAG_HEADER_SIZE + size + flv.PREVIOUS_TAG_SIZE
        if after > end:
            break
        found.append((at, size))
        at = after
    return found


def _timestamp(tags: bytearray, at: int) -> int:
    return int.from_bytes(tags[at + 4 : at + 7], "big") | tags[at + 7] << 24


def _stamp(tags: bytearray, at: int, dts_ms: int) -> None:
    tags[at + 4 : at + 7] = (dts_ms & 0xFFFFFF).to_bytes(3, "big")
    tags[at + 7] = dts_ms >> 24 & 0xFF
