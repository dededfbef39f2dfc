"""An encoder as people run one: libavformat publishing a moving picture and a tone over RTMP, in real time."""

import sys
import time
from fractions import Fraction
from itertools import count

import av
import av.filter

WIDTH, HEIGHT, FPS, RATE = 640, 360, 25, 44_100
_SAMPLES = 1_024


def _picture() -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add("testsrc2", f"size={WIDTH}x{HEIGHT}:rate={FPS}")
    sink = graph.add("buffersink")
    source.link_to(sink)
    graph.configure()
    return graph


def publish(url: str, seconds: float, gop_s: float = 2.0) -> None:
    """Publish for so long, then end the stream as encoders do."""
    with av.open(url, "w", format="flv") as out:
        gop = int(gop_s * FPS)
        video = out.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt, video.bit_rate = WIDTH, HEIGHT, "yuv420p", 1_000_000
        video.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(gop), "keyint_min": str(gop)}
        audio = out.add_stream("aac", rate=RATE)
        audio.layout = "stereo"
        graph = _picture()
        began, samples = time.monotonic(), 0
        for number in count():
            due = number / FPS
            if due >= seconds:
                break
            time.sleep(max(0.0, began + due - time.monotonic()))
            frame = graph.pull()
            frame.pict_type = 0
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            out.mux(video.encode(frame))
            while samples / RATE < due:
                silence = av.AudioFrame(format="fltp", layout="stereo", samples=_SAMPLES)
                for plane in silence.planes:
                    plane.update(bytes(plane.buffer_size))
                silence.sample_rate, silence.pts, silence.time_base = RATE, samples, Fraction(1, RATE)
                out.mux(audio.encode(silence))
                samples += _SAMPLES
        out.mux(video.encode(None))
        out.mux(audio.encode(None))


def film(path: str, seconds: float) -> None:
    """Write an MP4 of the same picture that a browser can seek in."""
    with av.open(path, "w", format="mp4", options={"movflags": "+faststart"}) as out:
        video = out.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt, video.bit_rate = WIDTH, HEIGHT, "yuv420p", 400_000
        video.options = {"preset": "ultrafast", "g": str(FPS)}
        graph = _picture()
        for number in range(int(seconds * FPS)):
            frame = graph.pull()
            frame.pict_type = 0
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))


if __name__ == "__main__":
    publish(sys.argv[1], float(sys.argv[2]))
