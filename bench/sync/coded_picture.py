"""A picture that carries a clock: its top row of blocks is a number of milliseconds in binary.

`python -m bench.sync.coded_picture URL SECONDS` publishes it over RTMP in real time, each frame coded with the epoch
time at which it was drawn.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from typing import Final

import av
import av.video.stream

WIDTH: Final = 672
HEIGHT: Final = 360
FPS: Final = 25
BITS: Final = 42
"""Enough for epoch ms until 2109."""
BLOCK: Final = WIDTH // BITS
_GREY: Final = 96


def _frame(code: int, number: int) -> av.VideoFrame:
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    blocks = b"".join((b"\xeb" if code >> (BITS - 1 - bit) & 1 else b"\x10") * BLOCK for bit in range(BITS))
    at = number * 8 % (WIDTH - 64)
    moving = bytes([_GREY]) * at + b"\xc8" * 64 + bytes([_GREY]) * (WIDTH - 64 - at)
    for index, plane in enumerate(frame.planes):
        if index == 0:
            pad = bytes(plane.line_size - WIDTH)
            plane.update((blocks + pad) * (2 * BLOCK) + (moving + pad) * (HEIGHT - 2 * BLOCK))
        else:
            plane.update(b"\x80" * plane.buffer_size)
    frame.pts, frame.time_base = number, Fraction(1, FPS)
    return frame


def _video(out: av.container.OutputContainer, tune: dict[str, str]) -> av.video.stream.VideoStream:
    video = out.add_stream("libx264", rate=FPS)
    assert isinstance(video, av.video.stream.VideoStream)
    video.width, video.height, video.pix_fmt, video.bit_rate = WIDTH, HEIGHT, "yuv420p", 600_000
    video.options = {"preset": "ultrafast", "g": str(FPS), "keyint_min": str(FPS), **tune}
    return video


def film(path: str, seconds: float) -> None:
    """Write an MP4 to seek in; each frame is coded with its own place, ms."""
    with av.open(path, "w", format="mp4", options={"movflags": "+faststart"}) as out:
        video = _video(out, {})
        for number in range(int(seconds * FPS)):
            out.mux(video.encode(_frame(number * 1_000 // FPS, number)))
        out.mux(video.encode(None))


def _due(seconds: float) -> Iterator[int]:
    began = time.monotonic()
    for number in count():
        if number / FPS >= seconds:
            return
        time.sleep(max(0.0, began + number / FPS - time.monotonic()))
        yield number


def publish(url: str, seconds: float) -> None:
    """Publish in real time for so long, then end the stream as encoders do."""
    with av.open(url, "w", format="flv", options={"flush_packets": "1"}) as out:
        video = _video(out, {"tune": "zerolatency"})
        # Else the encoder's waking up stands in every figure: the stream's axis begins at its first arrival.
        out.start_encoding()
        for number in _due(seconds):
            out.mux(video.encode(_frame(time.time_ns() // 1_000_000, number)))
        out.mux(video.encode(None))


if __name__ == "__main__":
    publish(sys.argv[1], float(sys.argv[2]))
