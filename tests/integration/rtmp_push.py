"""`python -m tests.integration.rtmp_push URL SECONDS`: publish by libavformat, in real time or at once."""

import argparse
import time
from fractions import Fraction

import av


def push(url: str, seconds: float, *, video: bool, audio: bool, paced: bool) -> None:
    """Encode a moving picture and silence, and publish them."""
    with av.open(url, "w", format="flv", options={"flvflags": "no_duration_filesize"}) as out:
        picture = sound = None
        if video:
            picture = out.add_stream("libx264", rate=25)
            picture.width, picture.height, picture.pix_fmt = 160, 120, "yuv420p"
            picture.options = {"g": "25", "preset": "ultrafast", "bf": "2", "x264-params": "scenecut=0"}
        if audio:
            sound = out.add_stream("aac", rate=44100, layout="mono")
        began, samples = time.monotonic(), 0
        for number in range(int(seconds * 25)):
            if picture is not None:
                frame = av.VideoFrame(160, 120, "yuv420p")
                for plane in frame.planes:
                    plane.update(bytes((number * 3 % 256,)) * plane.buffer_size)
                frame.pts, frame.time_base = number, Fraction(1, 25)
                out.mux(picture.encode(frame))
            while sound is not None and samples < (number + 1) * 1764:
                block = av.AudioFrame(format="fltp", layout="mono", samples=1024)
                block.planes[0].update(bytes(block.planes[0].buffer_size))
                block.sample_rate, block.pts, block.time_base = 44100, samples, Fraction(1, 44100)
                samples += 1024
                out.mux(sound.encode(block))
            if paced:
                time.sleep(max(0.0, began + number / 25 - time.monotonic()))
        for stream in (picture, sound):
            if stream is not None:
                out.mux(stream.encode(None))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--no-video", action="store_true")
    parser.add_argument("--no-audio", action="store_true")
    parser.add_argument("--paced", action="store_true")
    given = parser.parse_args()
    push(given.url, given.seconds, video=not given.no_video, audio=not given.no_audio, paced=given.paced)
