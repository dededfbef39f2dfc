"""`up --demo`: makes a room on a live stream and publishes the test picture to it, again whenever it is cut off.

Runs as `python -m ops.demo HTTP RTMP FILE`; FILE remembers the room and its key from one start to the next.
"""

import http.client
import json
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

from ops.connections import load_settings
from ops.embedded.secret import write_private
from ops.errors import OperatorError
from ops.test_picture import FRAME_RATE, HEIGHT, SAMPLE_RATE, WIDTH, TestPicture, Tone
from runtime.clock import now_ms
from runtime.ids import new_id, new_secret
from runtime.logs import configure, get_logger

log = get_logger("demo")

_HTTP_TIMEOUT = 10.0
_LINK_TIMEOUT = 10.0
_AGAIN_AFTER = 1.0
_GOP_SECONDS = 2
_AUDIO_BLOCK = 1024
_KBPS = 600


@dataclass(frozen=True, slots=True)
class Demo:
    """The room of the test picture."""

    username: str
    password: str
    room: str
    stream: str
    stream_key: str


class Api:
    """Calls to our own gateway, as any client would make them."""

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._token = ""

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Status and JSON body of one call; raises OSError where there is no answer."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_HTTP_TIMEOUT)
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, f"/api/v1/{path}", json.dumps(body or {}), headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(content) if content else {}

    def sign_in(self, username: str, password: str) -> bool:
        """Take this account for the calls that follow; False where it is refused."""
        status, body = self.call("POST", "auth/login", {"username": username, "password": password})
        self._token = body.get("access_token", "")
        return status == 200

    def register(self, username: str, password: str) -> None:
        """Make an account and take it. Raises OperatorError where registration is closed."""
        status, body = self.call("POST", "auth/register", {"username": username, "password": password})
        if status != 201:
            raise OperatorError(
                f"The demo could not make its account ({body.get('detail', status)}): "
                f"set MATINEE_AUTH__REGISTRATION=open for it."
            )
        self._token = body["access_token"]


def room_of(api: Api, memory: Path) -> Demo:
    """The room remembered, else a new one with a stream on its playlist, playing."""
    remembered = _remembered(memory)
    if remembered is not None and api.sign_in(remembered.username, remembered.password):
        status, _ = api.call("GET", f"rooms/{remembered.room}")
        live, _ = api.call("GET", f"streams/{remembered.stream}")
        if status == live == 200:
            return remembered
    username, password = f"demo-{new_id(6)}", new_secret()[:20]
    api.register(username, password)
    room = _made(api, "rooms", {"name": "Test picture"})["id"]
    stream = _made(api, f"rooms/{room}/streams", {"title": "Clock and tone"})
    item = stream["item"]
    chosen = item if isinstance(item, str) else item["id"]
    for command in ({"action": "select", "item": chosen}, {"action": "play"}):
        status, body = api.call("POST", f"rooms/{room}/playback", command)
        if status >= 400:
            log.warning(
                "the test picture is not on", command=command, status=status, detail=body.get("detail")
            )
    demo = Demo(username, password, room, stream["stream"], stream["stream_key"])
    write_private(memory, json.dumps(asdict(demo)))
    return demo


def publish(url: str, stop: threading.Event) -> None:
    """Publish in real time until told to stop; raises av.FFmpegError where the link is lost."""
    with av.open(url, "w", format="flv", timeout=_LINK_TIMEOUT) as container:
        video, audio = _streams(container)
        picture, tone = TestPicture(), Tone()
        # Whole seconds, so that the beep and the clock's second meet.
        origin = now_ms() // 1000 * 1000 + 1000
        began = time.monotonic() + (origin - now_ms()) / 1000
        samples = 0
        number = 0
        while not stop.wait(max(0.0, began + number / FRAME_RATE - time.monotonic())):
            _send_picture(container, video, picture, origin, number)
            number += 1
            while samples < number * SAMPLE_RATE // FRAME_RATE:
                _send_tone(container, audio, tone, samples)
                samples += _AUDIO_BLOCK
        for stream in (video, audio):
            container.mux(stream.encode(None))


def _streams(container: OutputContainer) -> tuple[VideoStream, AudioStream]:
    options = {"preset": "veryfast", "tune": "zerolatency", "threads": "1", "x264-params": "scenecut=0"}
    video = container.add_stream("libx264", rate=FRAME_RATE, options=options)
    video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    video.codec_context.gop_size = FRAME_RATE * _GOP_SECONDS
    video.codec_context.max_b_frames = 0
    video.bit_rate = _KBPS * 1000
    audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
    audio.bit_rate = 64_000
    return video, audio


def _send_picture(
    container: OutputContainer, stream: VideoStream, picture: TestPicture, origin: int, number: int
) -> None:
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    planes = picture.frame(origin + number * 1000 // FRAME_RATE)
    for plane, width, content in zip(frame.planes, (WIDTH, WIDTH // 2, WIDTH // 2), planes, strict=True):
        plane.update(_padded(content, width, plane.line_size))
    frame.pts = number
    frame.time_base = Fraction(1, FRAME_RATE)
    container.mux(stream.encode(frame))


def _padded(plane: bytes, width: int, stride: int) -> bytes:
    """The plane with its lines as long as libav wants them."""
    if stride == width:
        return plane
    filler = bytes(stride - width)
    return b"".join(plane[at : at + width] + filler for at in range(0, len(plane), width))


def _send_tone(container: OutputContainer, stream: AudioStream, tone: Tone, first: int) -> None:
    frame = av.AudioFrame("s16", "mono", _AUDIO_BLOCK)
    frame.planes[0].update(tone.block(first, _AUDIO_BLOCK))
    frame.sample_rate = SAMPLE_RATE
    frame.pts = first
    frame.time_base = Fraction(1, SAMPLE_RATE)
    container.mux(stream.encode(frame))


def _remembered(memory: Path) -> Demo | None:
    try:
        return Demo(**json.loads(memory.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _made(api: Api, path: str, body: dict[str, Any]) -> dict[str, Any]:
    status, answer = api.call("POST", path, body)
    if status != 201:
        raise OperatorError(f"The demo could not make {path} ({answer.get('detail', status)}): see the log.")
    return answer


def main(http_base: str, rtmp_base: str, memory: Path) -> None:
    """Make the room, print its links, publish until told to stop."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    configure(load_settings().log, kind="demo", node="demo")
    demo = room_of(Api(http_base), memory)
    print(
        f"The test picture is on:\n\n"
        f"  Room         {http_base}/r/{demo.room}\n"
        f"  Stream       {http_base}/s/{demo.stream}\n"
        f"  FLV          {http_base}/live/{demo.stream}.flv\n"
        f"  HLS          {http_base}/live/{demo.stream}/index.m3u8\n",
        flush=True,
    )
    while not stop.is_set():
        try:
            publish(f"{rtmp_base}/{demo.stream_key}", stop)
        except (av.FFmpegError, OSError) as error:
            log.warning("the test picture was cut off, publishing again", error=type(error).__name__)
            stop.wait(_AGAIN_AFTER)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    except OperatorError as fault:
        sys.exit(f"matinee: {fault}")
