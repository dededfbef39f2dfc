"""Independent encoders publish as their users would; each is left out where it is not on the machine."""

import asyncio
import importlib.util
import shutil
import subprocess
from collections.abc import AsyncIterator

import pytest

from bus_schemas.tags import TagFlags
from tests.embedded import fresh_name
from tests.integration.ingest_worker import Ingest, running, until

pytestmark = pytest.mark.connected

GSTREAMER = shutil.which("gst-launch-1.0")


def installed_ffmpegs() -> list[str]:
    """Debian's and the static one of `imageio-ffmpeg`, as far as they are here."""
    found = [path for path in (shutil.which("ffmpeg"),) if path]
    if importlib.util.find_spec("imageio_ffmpeg") is not None:
        found.append(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    return found


def gstreamer_has(element: str) -> bool:
    """Whether GStreamer knows this element."""
    inspect = shutil.which("gst-inspect-1.0")
    if inspect is None:
        return False
    return subprocess.run([inspect, "--exists", element], check=False, timeout=20).returncode == 0


@pytest.fixture
async def ingest(nats_url: str) -> AsyncIterator[Ingest]:
    async with running(nats_url, "n1", ingest={"idle_timeout_s": 5.0, "handshake_timeout_s": 5.0}) as worker:
        yield worker


async def finished(*command: str) -> bytes:
    """Run it to its end, which must be a good one; gives what it complained of."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        _, said = await process.communicate()
    assert process.returncode == 0, said[-2_000:]
    return said


def check_published(ingest: Ingest, stream: str, *, frames: int, audio: int) -> None:
    """An opening with headers, rising time, so many frames, an END."""
    messages = ingest.of(stream)
    assert messages[0][0].flags & (TagFlags.KEY | TagFlags.HEADER) == TagFlags.KEY | TagFlags.HEADER
    stamps = [header.dts_ms for header, _ in messages]
    assert stamps == sorted(stamps)
    assert messages[-1][0].flags & TagFlags.END
    tags = [tag for _, tags in messages for tag in tags]
    assert sum(1 for tag in tags if tag.type == 9) >= frames
    assert sum(1 for tag in tags if tag.type == 8) >= audio


@pytest.mark.skipif(not installed_ffmpegs(), reason="no ffmpeg on this machine")
@pytest.mark.parametrize("place", ["name", "query", "app"])
async def test_ffmpeg(ingest: Ingest, place: str) -> None:
    """Every ffmpeg here, its key in the name, as ?key=, and in the application's path."""
    for ffmpeg in installed_ffmpegs():
        stream = fresh_name("s")
        await ingest.add_key(stream, stream)
        base = f"rtmp://127.0.0.1:{ingest.port}/live"
        target = {"name": [f"{base}/{stream}"], "query": [f"{base}/x?key={stream}"]}.get(
            place, ["-rtmp_app", f"live/{stream}", "-rtmp_playpath", "", base + "/"]
        )

        complaints = await finished(
            ffmpeg, "-hide_banner", "-loglevel", "warning", "-nostdin",
            "-f", "lavfi", "-i", "testsrc=size=160x120:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=44100",
            "-t", "1", "-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "25", "-pix_fmt", "yuv420p",
            "-c:a", "aac", "-flvflags", "no_duration_filesize", "-f", "flv", *target,
        )  # fmt: skip

        assert b"rror" not in complaints
        await until(lambda stream=stream: any(h.flags & TagFlags.END for h, _ in ingest.of(stream)))
        check_published(ingest, stream, frames=25, audio=40)


@pytest.mark.parametrize("sink", ["rtmp2sink", "rtmpsink"])
async def test_gstreamer(ingest: Ingest, sink: str) -> None:
    """GStreamer's own RTMP, and librtmp through its older sink: H.264 and AAC, to the end of the stream."""
    video = next((name for name in ("x264enc", "openh264enc") if gstreamer_has(name)), None)
    sound = next((name for name in ("voaacenc", "fdkaacenc", "avenc_aac") if gstreamer_has(name)), None)
    if GSTREAMER is None or video is None or sound is None or not gstreamer_has(sink):
        pytest.skip(f"GStreamer's {sink}, an H.264 and an AAC encoder are not all on this machine")
    stream = fresh_name("s")
    await ingest.add_key(stream, stream)
    url = f"rtmp://127.0.0.1:{ingest.port}/live/{stream}"
    pictures = "videotestsrc num-buffers=50 ! video/x-raw,width=160,height=120,framerate=25/1"
    tones = "audiotestsrc num-buffers=86 ! audio/x-raw,rate=44100,channels=1"
    pipeline = (
        f"flvmux name=mux streamable=true ! {sink} location={url} "
        f"{pictures} ! {video} ! h264parse ! mux. {tones} ! {sound} ! aacparse ! mux."
    )

    await finished(GSTREAMER, "-q", *pipeline.split())

    await until(lambda: len(ingest.of(stream)) >= 50)
    stamps = [header.dts_ms for header, _ in ingest.of(stream)]
    assert stamps == sorted(stamps)
    assert sum(1 for _, tags in ingest.of(stream) for tag in tags if tag.type == 8) > 60
