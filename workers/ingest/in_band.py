"""Codec headers made of what stands in the frames themselves, where a publisher sends none, or sends
other frames than he announced. Sans-I/O.

Parameter sets within H.264 and HEVC key frames, AV1's sequence header, VP9's frame header, AC-3's
syncframe; of Opus only the number of channels. What has the same codec string and the same size as the
header that is known changes nothing: encoders repeat their parameter sets, and not always to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from media import ac3, av1, av_tags, avc, formats, hevc, mp3, opus, vp9
from media.codec import AudioCodec, CodecError, VideoCodec
from media.formats import VideoFormat

NAL_PPS: Final = 8
MAX_UNITS: Final = 16
"""NAL units of one frame that are looked at: parameter sets stand in front."""
_FIRST_PARAMETER_SET: Final = {VideoCodec.AVC: 6, VideoCodec.HEVC: 32}
_SEI: Final = {VideoCodec.AVC: 6, VideoCodec.HEVC: 39}
_RECOVERY_POINT: Final = 6
"""Payload type of the SEI message (H.264 D.2.8, H.265 D.3.8)."""
_OPUS_PRE_SKIP: Final = 312


@dataclass(frozen=True, slots=True)
class Seen:
    """What a key frame says."""

    header: bytes | None = None
    """The plain sequence header to take instead of the one that is known; None: that one will do."""
    size: tuple[int, int] | None = None
    """Of a codec whose header does not say it: VP9."""


def look(codec: VideoCodec, record: bytes, known: VideoFormat | None, frame: bytes | memoryview) -> Seen:
    """What the key frame `frame` says beside the header `known`, whose record it is; None: not readable.

    `record` is looked at for the size of NAL unit lengths.
    """
    try:
        if codec is VideoCodec.VP9:
            return _look_at_vp9(known, frame)
        found = _record_in(codec, record, frame)
        if found is None:
            return Seen()
        shown = formats.video_format(codec, found)
    except CodecError:
        return Seen()
    if known is not None and known.kind is codec:
        same_size = not known.width or (known.width, known.height) == (shown.width, shown.height)
        if same_size and known.codec == shown.codec:
            return Seen()
    return Seen(av_tags.video_header(codec, found))


def look_at_audio(codec: AudioCodec, header: bytes | None, frame: bytes | memoryview) -> bytes | None:
    """The plain sequence header of a frame, where `header` does not serve it; None where it does."""
    if codec is AudioCodec.OPUS and header is None:
        channels = 2 if len(frame) and frame[0] & 4 else 1
        head = opus.OpusConfig(channels, _OPUS_PRE_SKIP, opus.SAMPLE_RATE, 0, 0, b"")
        return av_tags.audio_header(codec, head.head())
    if codec is AudioCodec.MP3:
        return _look_at_mp3(header, frame)
    if codec not in (AudioCodec.AC3, AudioCodec.EAC3):
        return None
    enhanced = codec is AudioCodec.EAC3
    try:
        found = ac3.parse_frame(frame)
    except ac3.Ac3Error:
        return None
    if found.enhanced is not enhanced:
        return None
    if header is not None:
        known = ac3.parse_record(header[av_tags.EXTENDED_HEADER_SIZE :], enhanced=enhanced)
        if found.sounds_as(known):
            return None
    return av_tags.audio_header(codec, found.record())


def is_recovery_point(codec: VideoCodec, record: bytes, frame: bytes | memoryview) -> bool:
    """Whether decoding may start at this frame though it is no key frame: so streams with intra refresh say it.

    What is decoded from there on is whole after the frames that the message names.
    """
    if codec not in _SEI:
        return False
    return any(
        kind == _SEI[codec] and _has_recovery_point(bytes(unit[1 if codec is VideoCodec.AVC else 2 :]))
        for kind, unit in _units(codec, _length_size(codec, record), frame)
    )


def _has_recovery_point(messages: bytes) -> bool:
    """Whether one of these SEI messages (H.264 7.3.2.3.1) is the one; a unit that breaks off has said all it says."""
    data = messages.replace(b"\0\0\3", b"\0\0")
    at = 0
    while at + 2 <= len(data):
        kind, at = _sum_of_bytes(data, at)
        if kind == _RECOVERY_POINT:
            return True
        size, at = _sum_of_bytes(data, at)
        at += size
    return False


def _sum_of_bytes(data: bytes, at: int) -> tuple[int, int]:
    """A number written as bytes of 255 and one more, and where it ends."""
    total = 0
    while at < len(data) and data[at] == 0xFF:
        total, at = total + 0xFF, at + 1
    return (total + data[at], at + 1) if at < len(data) else (total, at)


def _length_size(codec: VideoCodec, record: bytes) -> int:
    at = 4 if codec is VideoCodec.AVC else 21
    return (record[at] & 3) + 1 if len(record) > at else 4


def _units(
    codec: VideoCodec, length_size: int, frame: bytes | memoryview
) -> Iterator[tuple[int, bytes | memoryview]]:
    """The first NAL units of a frame, with their types."""
    at, end = 0, len(frame)
    for _ in range(MAX_UNITS):
        body = at + length_size
        at = body + int.from_bytes(frame[at:body], "big")
        if body >= end or at > end or at == body:
            return
        yield frame[body] & 0x1F if codec is VideoCodec.AVC else frame[body] >> 1 & 0x3F, frame[body:at]


def _look_at_mp3(header: bytes | None, frame: bytes | memoryview) -> bytes | None:
    try:
        made = av_tags.audio_header(AudioCodec.MP3, mp3.parse_header(frame).record)
    except mp3.Mp3Error:
        return None
    return made if made != header else None


def _look_at_vp9(known: VideoFormat | None, frame: bytes | memoryview) -> Seen:
    key = vp9.parse_key_frame(frame)
    if known is not None and known.kind is VideoCodec.VP9:
        config = vp9.parse_config(known.record)
        if (config.profile, config.depth) == (key.profile, key.depth):
            return Seen(None, (key.width, key.height))
    return Seen(av_tags.video_header(VideoCodec.VP9, key.config().record()), (key.width, key.height))


def _record_in(codec: VideoCodec, record: bytes, frame: bytes | memoryview) -> bytes | None:
    if codec is VideoCodec.AV1:
        sequence = av1.find_sequence_header(frame)
        return av1.build_config(sequence) if sequence else None
    length_size = _length_size(codec, record)
    sets: dict[int, bytes] = {}
    for kind, unit in _units(codec, length_size, frame):
        if kind not in sets:
            sets[kind] = bytes(unit) if kind >= _FIRST_PARAMETER_SET[codec] else b""
    if codec is VideoCodec.AVC:
        sps, pps = sets.get(avc.NAL_SPS), sets.get(NAL_PPS)
        return avc.build_config(sps, pps, length_size) if sps and pps else None
    vps, sps, pps = sets.get(hevc.NAL_VPS), sets.get(hevc.NAL_SPS), sets.get(hevc.NAL_PPS)
    return hevc.build_config(vps, sps, pps, length_size) if vps and sps and pps else None
