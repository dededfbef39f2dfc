"""FLV tags of every codec that is carried, encoded and muxed by libavformat as enhanced RTMP has them."""

import io
from fractions import Fraction
from functools import cache
from typing import Any

import av

from media import flv
from tests.ordinary_priority import ordinary_priority

QUIET: dict[str, dict[str, str]] = {
    "libx264": {"preset": "ultrafast", "x264-params": "scenecut=0:bframes=2"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:scenecut=0:bframes=2:pools=1"},
    "libsvtav1": {"preset": "12", "svtav1-params": "lp=1:scd=0"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}


@cache
@ordinary_priority()
def enhanced_file(
    video: str | None,
    audio: str | None,
    *,
    seconds: float = 3,
    fps: int = 25,
    gop: int = 25,
    width: int = 322,
    height: int = 182,
    rate: int = 48_000,
    layout: str = "stereo",
    pixels: str = "yuv420p",
    sound_kbps: int = 0,
) -> bytes:
    """An FLV file of moving grey and of silence by these encoders."""
    file = io.BytesIO()
    with av.open(file, "w", format="flv") as container:
        sources: list[tuple[float, Any, Any]] = []
        if video:
            picture: Any = container.add_stream(video, rate=fps, options={"g": str(gop), **QUIET[video]})
            picture.width, picture.height, picture.pix_fmt = width, height, pixels
            picture.gop_size = gop
            for number in range(round(seconds * fps)):
                frame = av.VideoFrame(width, height, pixels)
                for plane in frame.planes:
                    plane.update(bytes([number * 7 % 255]) * plane.buffer_size)
                frame.pts, frame.time_base = number, Fraction(1, fps)
                sources.append((number / fps, picture, frame))
        if audio:
            sound: Any = container.add_stream(audio, rate=rate, layout=layout)
            if sound_kbps:
                sound.codec_context.bit_rate = sound_kbps * 1_000
            sound.codec_context.open()
            size = sound.codec_context.frame_size or 1024
            for number in range(round(seconds * rate / size)):
                block = av.AudioFrame(format=sound.codec_context.format.name, layout=layout, samples=size)
                for sound_plane in block.planes:
                    sound_plane.update(bytes(sound_plane.buffer_size))
                block.sample_rate, block.pts = rate, number * size
                block.time_base = Fraction(1, rate)
                sources.append((number * size / rate, sound, block))
        for _, stream, frame in sorted(sources, key=lambda source: source[0]):
            container.mux(stream.encode(frame))
        streams: list[Any] = list(container.streams)
        for stream in streams:
            container.mux(stream.encode(None))
    return file.getvalue()


def enhanced_tags(video: str | None, audio: str | None, **more: Any) -> list[flv.Tag]:
    """The tags of such a file."""
    return list(flv.demux(enhanced_file(video, audio, **more)[13:]))


def bodies(tags: list[flv.Tag], kind: flv.TagType) -> list[bytes]:
    """The payloads of one kind."""
    return [tag.payload for tag in tags if tag.type is kind]
