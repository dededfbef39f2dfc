"""The newer codecs, published by a current ffmpeg, as viewers meet them: over FLV, over LL-HLS, in a browser."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import av
import imageio_ffmpeg
import pytest

from tests.e2e.people import browser, page_of, person, until_live
from tests.stack import MatineeStack

pytestmark = pytest.mark.e2e

HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:scenecut=0", "-c:a", "aac")
AV1 = ("-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1", "-c:a", "libopus")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "flac")


@contextlib.asynccontextmanager
async def published(url: str, codecs: tuple[str, ...]) -> AsyncIterator[None]:
    """A moving picture and a tone in these codecs, in real time, until the block ends."""
    process = await asyncio.create_subprocess_exec(
        imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin",
        "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=48000",
        "-t", "40", *codecs, "-pix_fmt", "yuv420p", "-ac", "2", "-b:v", "400k", "-g", "50",
        "-rtmp_enhanced_codecs", "hvc1,av01,vp09,Opus,fLaC,ac-3,ec-3", "-f", "flv", url,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def decoded(url: str, frames: int) -> tuple[list[str], int, int]:
    """The codecs that libavformat finds, the pictures' width, and how many sounds came with so many pictures."""
    pictures = sounds = width = 0
    with av.open(url, timeout=60) as source:
        streams = (source.streams.video[0], source.streams.audio[0])
        names = [stream.codec_context.codec.canonical_name for stream in streams]
        for frame in source.decode(video=0, audio=0):
            if isinstance(frame, av.VideoFrame):
                pictures, width = pictures + 1, frame.width
            else:
                sounds += 1
            if pictures >= frames:
                break
    return names, width, sounds


@pytest.mark.parametrize(
    ("codecs", "line", "names"),
    [
        (HEVC, "hvc1.1.6.L60.90,mp4a.40.2", ("hevc", "aac")),
        (AV1, "av01.0.00M.08,Opus", ("av1", "opus")),
        (VP9, "vp09.00.11.08,fLaC", ("vp9", "flac")),
    ],
)
async def test_it_is_decoded_out_of_flv_and_ll_hls(
    stack: MatineeStack, codecs: tuple[str, ...], line: str, names: tuple[str, str]
) -> None:
    """The multivariant playlist names the codecs, and libavformat decodes what it finds."""
    async with person(stack) as ann:
        made = await ann.call("POST", "streams", {"title": "e2e"})
        async with published(f"{stack.rtmp}/{made['stream_key']}", codecs):
            await until_live(ann, made["stream"])
            base = f"{stack.http}/live/{made['stream']}"
            async with ann.http.get(f"{base}/index.m3u8") as answer:
                text = await answer.text()
            found = [
                await asyncio.to_thread(decoded, url, 25) for url in (f"{base}.flv", f"{base}/index.m3u8")
            ]

    assert f'CODECS="{line}"' in text
    assert "RESOLUTION=320x180" in text
    for found_names, width, sounds in found:
        assert (tuple(found_names), width) == (names, 320)
        assert sounds > 10


@pytest.mark.browser
async def test_chromium_plays_av1_and_opus(stack: MatineeStack, chromium: str) -> None:
    """A person opens the stream's page and sees a moving picture."""
    async with person(stack) as ann, browser(chromium) as running:
        made = await ann.call("POST", "streams", {"title": "e2e"})
        async with published(f"{stack.rtmp}/{made['stream_key']}", AV1):
            await until_live(ann, made["stream"])

            page = await page_of(running, ann, f"/s/{made['stream']}")
            await page.wait_for_function(
                "() => (v => v?.videoWidth === 320 && v.currentTime > 0)(document.querySelector('video'))",
                timeout=60_000,
            )
            begun = await page.evaluate("document.querySelector('video').currentTime")
            await page.wait_for_function(
                f"() => document.querySelector('video').currentTime > {begun} + 2", timeout=60_000
            )
