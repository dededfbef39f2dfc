"""The stream all benchmarks publish: H.264 and AAC encoded once, stamped with the time of sending."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import av.filter

from media.flv import Tag, TagType, demux

STAMP: Final = bytes.fromhex("6d6174696e65657374616d705f303031")
"""UUID of the SEI that carries the stamp (user_data_unregistered, H.264 D.1.7); no zero byte in it."""
_STAMP_DIGITS: Final = 20
_FLV_HEADER: Final = 13
_AVC: Final = 7


@dataclass(frozen=True, slots=True)
class Loop:
    """One turn of the stream: the codec headers, then tags from 0 ms to `duration_ms`."""

    headers: tuple[Tag, ...]
    tags: tuple[Tag, ...]
    duration_ms: int
    fps: Fraction
    """Frames a second; without video, of audio."""

    @property
    def frame_ms(self) -> float:
        """What a frame lasts."""
        return float(1_000 / self.fps)

    @property
    def bitrate(self) -> float:
        """Bits a second."""
        return sum(len(tag.payload) for tag in self.tags) * 8_000 / self.duration_ms


@functools.cache
def make_loop(
    kbps: int = 2_000,
    *,
    seconds: int = 8,
    fps: int | Fraction = 25,
    gop_s: float = 2.0,
    size: str = "640x360",
    audio_rate: int = 44_100,
    tracks: str = "av",
) -> Loop:
    """Encode the test picture and a tone at a constant bit rate, filler included, so that the load is exact.

    `tracks`: "av", "a" or "v". The loop lasts a whole number of groups of pictures, about `seconds`.
    """
    sink = io.BytesIO()
    gop = max(1, round(gop_s * fps))
    frames = gop * max(1, round(seconds * fps / gop))
    duration_ms = round(frames * 1_000 / fps) if "v" in tracks else seconds * 1_000
    with av.open(sink, "w", format="flv", options={"flvflags": "no_duration_filesize"}) as out:
        video = _add_video(out, max(100, kbps - 64), Fraction(fps), gop, size) if "v" in tracks else None
        audio = _add_audio(out, audio_rate) if "a" in tracks else None
        if video is not None:
            pictures = _source(
                f"testsrc2=size={size}:rate={fps}:duration={duration_ms / 1_000 + 1}", "buffersink"
            )
            for frame in pictures[:frames]:
                frame.pict_type = av.video.frame.PictureType.NONE  # type: ignore[attr-defined]
                out.mux(video.encode(frame))  # type: ignore[arg-type]
            out.mux(video.encode(None))
        if audio is not None:
            tones = _source(
                f"sine=frequency=440:sample_rate={audio_rate}:duration={duration_ms / 1_000 + 1}",
                "abuffersink",
            )
            resampler = av.AudioResampler("fltp", "stereo", audio_rate)
            for tone in tones:
                for frame in resampler.resample(tone):  # type: ignore[arg-type]
                    out.mux(audio.encode(frame))
            out.mux(audio.encode(None))
    tags = sorted(demux(sink.getvalue()[_FLV_HEADER:]), key=lambda tag: tag.timestamp_ms)
    headers = tuple(
        tag for tag in tags if tag.type is TagType.SCRIPT or (tag.payload[1] == 0 and _has_header(tag))
    )
    media = tuple(
        tag
        for tag in tags
        if tag not in headers and 0 <= tag.timestamp_ms < duration_ms and len(tag.payload) > 5
    )
    rate = Fraction(fps) if video is not None else Fraction(audio_rate, 1_024)
    return Loop(headers, media, duration_ms, rate)


def _add_video(
    out: av.container.OutputContainer, kbps: int, fps: Fraction, gop: int, size: str
) -> av.VideoStream:
    video = out.add_stream(
        "libx264",
        rate=fps,
        options={
            "preset": "ultrafast",
            "b": f"{kbps}k",
            "maxrate": f"{kbps}k",
            "bufsize": f"{kbps // 4}k",
            "x264-params": f"nal-hrd=cbr:force-cfr=1:keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0",
        },
    )
    assert isinstance(video, av.VideoStream)
    video.width, video.height = map(int, size.split("x"))
    video.pix_fmt = "yuv420p"
    return video


def _add_audio(out: av.container.OutputContainer, rate: int) -> av.AudioStream:
    audio = out.add_stream("aac", rate=rate, options={"b": "64k"})
    assert isinstance(audio, av.AudioStream)
    audio.layout = "stereo"
    return audio


def _has_header(tag: Tag) -> bool:
    if tag.type is TagType.AUDIO:
        return tag.payload[0] >> 4 == 10
    return tag.payload[0] & 0x0F == _AVC


def _source(description: str, sink: str) -> list[object]:
    graph = av.filter.Graph()
    name, _, args = description.partition("=")
    source = graph.add(name, args)
    end = graph.add(sink)
    source.link_to(end)
    graph.configure()
    frames: list[object] = []
    while True:
        try:
            frames.append(end.pull())
        except (av.error.EOFError, av.error.BlockingIOError):
            return frames


def is_key(tag: Tag) -> bool:
    """Whether this is a video key frame."""
    return tag.type is TagType.VIDEO and tag.payload[0] >> 4 == 1


def stamp(tag: Tag, now_us: int) -> bytes:
    """The payload of a video tag with an SEI in front that says when it was sent."""
    sei = b"\x06\x05" + bytes((len(STAMP) + _STAMP_DIGITS,)) + STAMP + b"%020d" % now_us + b"\x80"
    return b"".join((tag.payload[:5], len(sei).to_bytes(4, "big"), sei, tag.payload[5:]))


def read_stamp(data: bytes | memoryview) -> int | None:
    """When the first stamped frame in these bytes was sent, µs; None if none is stamped."""
    raw = bytes(data)
    at = raw.find(STAMP)
    if at < 0:
        return None
    digits = raw[at + len(STAMP) : at + len(STAMP) + _STAMP_DIGITS]
    return int(digits) if digits.isdigit() and len(digits) == _STAMP_DIGITS else None


def read_stamps(data: bytes) -> list[int]:
    """All stamps in these bytes, in order."""
    stamps = []
    at = data.find(STAMP)
    while at >= 0:
        digits = data[at + len(STAMP) : at + len(STAMP) + _STAMP_DIGITS]
        if digits.isdigit():
            stamps.append(int(digits))
        at = data.find(STAMP, at + 1)
    return stamps
