"""The codecs that live streams carry, by the four letters that ISO files and enhanced RTMP know them by."""

from __future__ import annotations

from enum import StrEnum


class CodecError(ValueError):
    """Bytes that are not the codec record they should be."""


class VideoCodec(StrEnum):
    """Video, by FourCC."""

    AVC = "avc1"
    HEVC = "hvc1"
    AV1 = "av01"
    VP9 = "vp09"


class AudioCodec(StrEnum):
    """Audio, by FourCC."""

    AAC = "mp4a"
    OPUS = "Opus"
    FLAC = "fLaC"
    AC3 = "ac-3"
    EAC3 = "ec-3"
    MP3 = ".mp3"
