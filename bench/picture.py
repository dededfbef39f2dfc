"""The stream all benchmarks publish: H.264 and AAC encoded once, stamped with the time of sending."""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
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
    fps: int

    @property
    def bitrate(self) -> float:
        """Bits a second."""
        return sum(len(tag.payload) for tag in self.tags) * 8_000 / self.duration_ms


@functools.cache
def make_loop(kbps: int = 2_000, *, seconds: int = 8, fps: int = 25, gop_s: float = 2.0) -> Loop:
    """Encode the test picture and a tone at a constant bit rate, filler included, so that the load is exact."""
    sink = io.BytesIO()
    video_kbps = max(100, kbps - 64)
    with av.open(sink, "w", format="flv", options={"flvflags": "no_duration_filesize"}) as out:
        gop = int(gop_s * fps)
        video = out.add_stream(
            "libx264",
            rate=fps,
            options={
                "preset": "ultrafast",
                "b": f"{video_kbps}k",
                "maxrate": f"{video_kbps}k",
                "bufsize": f"{video_kbps // 4}k",
                "x264-params": f"nal-hrd=cbr:force-cfr=1:keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0",
            },
        )
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        audio = out.add_stream("aac", rate=44_100, options={"b": "64k"})
        assert isinstance(audio, av.AudioStream)
        audio.layout = "stereo"
        pictures = _source(f"testsrc2=size=640x360:rate={fps}:duration={seconds}", "buffersink")
        tones = _source(f"sine=frequency=440:sample_rate=44100:duration={seconds}", "abuffersink")
        for frame in pictures:
            frame.pict_type = av.video.frame.PictureType.NONE  # type: ignore[attr-defined]
            out.mux(video.encode(frame))  # type: ignore[arg-type]
        out.mux(video.encode(None))
        resampler = av.AudioResampler("fltp", "stereo", 44_100)
        for tone in tones:
            for frame in resampler.resample(tone):  # type: ignore[arg-type]
                out.mux(audio.encode(frame))
        out.mux(audio.encode(None))
    tags = sorted(demux(sink.getvalue()[_FLV_HEADER:]), key=lambda tag: tag.timestamp_ms)
    headers = tuple(
        tag for tag in tags if tag.type is TagType.SCRIPT or (tag.payload[1] == 0 and _has_header(tag))
    )
    duration_ms = seconds * 1_000
    media = tuple(
        tag
        for tag in tags
        if tag not in headers and 0 <= tag.timestamp_ms < duration_ms and len(tag.payload) > 5
    )
    return Loop(headers, media, duration_ms, fps)


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
