"""The init segment: `ftyp` and a `moov` that holds no samples, only what the tracks are."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from media import mp3
from media.codec import AudioCodec, VideoCodec
from media.colour import NOTHING_KNOWN, Colour
from workers.transmux.cmaf.boxes import IDENTITY_MATRIX, box, descriptor, full_box

VIDEO_TRACK: Final = 1
AUDIO_TRACK: Final = 2
VIDEO_TIMESCALE: Final = 1000
"""Ticks per second of the video track: those of FLV, so that no timestamp is ever rounded."""

_LANGUAGE_UNDETERMINED: Final = 0x55C4  # "und", ISO/IEC 14496-12, 8.4.2.3
_HIDDEN_TABLES: Final = (
    full_box(b"stts", 0, 0, bytes(4)),
    full_box(b"stsc", 0, 0, bytes(4)),
    full_box(b"stsz", 0, 0, bytes(8)),
    full_box(b"stco", 0, 0, bytes(4)),
)
_SELF_CONTAINED: Final = box(b"dinf", full_box(b"dref", 0, 0, struct.pack("!I", 1), full_box(b"url ", 0, 1)))


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """A video track."""

    codec: VideoCodec
    record: bytes
    """Its codec record: the body of avcC, hvcC or av1C, or of vpcC without version and flags."""
    width: int
    height: int
    colour: Colour = NOTHING_KNOWN


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """An audio track; its timescale is `sample_rate`."""

    codec: AudioCodec
    record: bytes
    """AudioSpecificConfig, or the body of dOps, dac3 or dec3, or of dfLa without version and flags; of MP3 a
    frame's header."""
    sample_rate: int
    channels: int
    """0 where only the frames say it."""
    frame_samples: int
    depth: int = 16
    """Bits of a sample."""


def init_segment(video: VideoTrack | None, audio: AudioTrack | None) -> bytes:
    """`ftyp` + `moov` for the tracks there are: video is track 1, audio track 2."""
    traks, defaults = [], []
    if video:
        traks.append(_video_trak(video))
        defaults.append(_track_defaults(VIDEO_TRACK, 0))
    if audio:
        traks.append(_audio_trak(audio))
        defaults.append(_track_defaults(AUDIO_TRACK, audio.frame_samples))
    header = full_box(
        b"mvhd",
        0,
        0,
        struct.pack("!IIIIIH10x", 0, 0, VIDEO_TIMESCALE, 0, 0x10000, 0x100),
        IDENTITY_MATRIX,
        bytes(24),
        struct.pack("!I", AUDIO_TRACK + 1),
    )
    brands = [b"iso6", b"cmfc", b"mp41"]
    if video and video.codec is VideoCodec.AV1:
        brands.append(b"av01")  # AV1 in ISOBMFF, 2.1
    return box(b"ftyp", b"iso6", bytes(4), *brands) + box(b"moov", header, *traks, box(b"mvex", *defaults))


def _track_defaults(track: int, duration: int) -> bytes:
    return full_box(b"trex", 0, 0, struct.pack("!IIIII", track, 1, duration, 0, 0))


def _trak(
    track: int, timescale: int, handler: bytes, media_header: bytes, entry: bytes, size: tuple[int, int]
) -> bytes:
    width, height = size
    volume = 0 if width else 0x100
    return box(
        b"trak",
        full_box(
            b"tkhd",
            0,
            3,  # enabled, in movie
            struct.pack("!IIIII8xhhHH", 0, 0, track, 0, 0, 0, 0, volume, 0),
            IDENTITY_MATRIX,
            struct.pack("!II", width << 16, height << 16),
        ),
        box(
            b"mdia",
            full_box(b"mdhd", 0, 0, struct.pack("!IIIIHH", 0, 0, timescale, 0, _LANGUAGE_UNDETERMINED, 0)),
            full_box(b"hdlr", 0, 0, bytes(4), handler, bytes(12), b"\0"),
            box(
                b"minf",
                media_header,
                _SELF_CONTAINED,
                box(b"stbl", full_box(b"stsd", 0, 0, struct.pack("!I", 1), entry), *_HIDDEN_TABLES),
            ),
        ),
    )


def _video_trak(track: VideoTrack) -> bytes:
    # `hvc1` says that the parameter sets stand in the record; players that Apple made want it.
    entry = box(
        track.codec.encode(),
        struct.pack("!6xH16xHHIIIH32xHh", 1, track.width, track.height, 0x480000, 0x480000, 0, 1, 0x18, -1),
        _video_record(track),
        _colour(track.colour),
    )
    media_header = full_box(b"vmhd", 0, 1, bytes(8))
    return _trak(VIDEO_TRACK, VIDEO_TIMESCALE, b"vide", media_header, entry, (track.width, track.height))


def _video_record(track: VideoTrack) -> bytes:
    match track.codec:
        case VideoCodec.AVC:
            return box(b"avcC", track.record)
        case VideoCodec.HEVC:
            return box(b"hvcC", track.record)
        case VideoCodec.AV1:
            return box(b"av1C", track.record)
        case VideoCodec.VP9:
            return full_box(b"vpcC", 1, 0, track.record)


def _colour(colour: Colour) -> bytes:
    """`colr` with code points (12.1.5), where there is anything to say."""
    if not colour.is_known:
        return b""
    codes = (colour.primaries, colour.transfer, colour.matrix, colour.full_range << 7)
    return box(b"colr", b"nclx", struct.pack("!HHHB", *codes))


def _audio_trak(track: AudioTrack) -> bytes:
    # ISO/IEC 14496-12, 12.2.3: 16.16 fixed point cannot hold rates from 65,536; the decoder reads the record.
    rate = track.sample_rate if track.sample_rate < 1 << 16 else 0
    named = AudioCodec.AAC if track.codec is AudioCodec.MP3 else track.codec
    entry = box(
        named.encode(),
        struct.pack("!6xH8xHHHHI", 1, track.channels or 2, track.depth, 0, 0, rate << 16),
        _audio_record(track),
    )
    return _trak(AUDIO_TRACK, track.sample_rate, b"soun", full_box(b"smhd", 0, 0, bytes(4)), entry, (0, 0))


def _audio_record(track: AudioTrack) -> bytes:
    match track.codec:
        case AudioCodec.AAC:
            return full_box(b"esds", 0, 0, _descriptor(0x40, descriptor(5, track.record)))
        case AudioCodec.MP3:
            return full_box(b"esds", 0, 0, _descriptor(mp3.parse_header(track.record).object_type))
        case AudioCodec.OPUS:
            return box(b"dOps", track.record)
        case AudioCodec.FLAC:
            return full_box(b"dfLa", 0, 0, track.record)
        case AudioCodec.AC3:
            return box(b"dac3", track.record)
        case AudioCodec.EAC3:
            return box(b"dec3", track.record)


def _descriptor(object_type: int, *specific: bytes) -> bytes:
    """ES_Descriptor of MPEG audio with DecoderSpecificInfo, where there is any."""
    return descriptor(
        3,  # ES_DescrTag
        struct.pack("!HB", AUDIO_TRACK, 0),
        # DecoderConfigDescr: audio stream (5 << 2 | reserved 1), buffer and bit rates unknown
        descriptor(4, struct.pack("!BBHBII", object_type, 0x15, 0, 0, 0, 0), *specific),
        descriptor(6, b"\x02"),  # SLConfigDescr, predefined for MP4
    )
