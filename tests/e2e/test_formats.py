"""Every delivery format of a live stream, as tools and players that others have written take it."""

import asyncio
import itertools
import subprocess
from typing import Any
from urllib.parse import quote

import av
import pytest
from playwright.async_api import Page

from tests.e2e.people import browser, encoder, person, until_live
from tests.e2e.players import player_pages
from tests.stack import MatineeStack

pytestmark = pytest.mark.e2e

NOT_OURS = {
    # Its HLS reader takes the init segment for a new one at each reload of any live playlist with EXT-X-MAP.
    "/index.m3u8": "Found duplicated MOOV Atom. Skipped it",
    # ffprobe knows no decoder for the script tags onClock, which FLV players want.
    ".flv": "Unsupported codec with id 0 for input stream",
}
FORMATS = [".flv", "/index.m3u8", "/source/ts.m3u8", ".mp4"]


def _watch(url: str, frames: int, log: list[Any]) -> tuple[list[float], int]:
    """Presentation times of so many pictures, and how many audio frames came with them."""
    times: list[float] = []
    sounds = 0
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as said, av.open(url, "r", timeout=15) as source:
            for frame in source.decode(video=0, audio=0):
                if isinstance(frame, av.VideoFrame):
                    times.append(float(frame.time or 0))
                else:
                    sounds += 1
                if len(times) >= frames:
                    break
            log += said
    finally:
        av.logging.set_level(None)
    return times, sounds


@pytest.mark.parametrize("path", FORMATS)
async def test_libavformat_plays_it_without_a_warning(stack: MatineeStack, path: str) -> None:
    """Every picture in its place, sound beside it, and not one complaint."""
    said: list[Any] = []
    async with person(stack) as ann:
        made = await ann.call("POST", "streams", {"title": "formats"})
        with encoder(f"{stack.rtmp}/{made['stream_key']}"):
            await until_live(ann, made["stream"])
            url = f"{stack.http}/live/{made['stream']}{path}"

            times, sounds = await asyncio.to_thread(_watch, url, 100, said)

    steps = [round((after - before) * 1000) for before, after in itertools.pairwise(times)]
    assert all(39 <= step <= 41 for step in steps), steps
    assert sounds > 100
    assert [line for line in said if not _is_known(path, line[2])] == []


@pytest.mark.parametrize("path", [*FORMATS, "/manifest.mpd"])
async def test_ffprobe_says_what_is_in_it_and_nothing_else(stack: MatineeStack, path: str) -> None:
    """Codecs, size and rates are read; nothing is written to its log at warning level."""
    async with person(stack) as ann:
        made = await ann.call("POST", "streams", {"title": "formats"})
        with encoder(f"{stack.rtmp}/{made['stream_key']}"):
            await until_live(ann, made["stream"])
            await asyncio.sleep(5)

            found = await asyncio.to_thread(_probe, f"{stack.http}/live/{made['stream']}{path}")

    assert [line for line in found.stderr.splitlines() if not _is_known(path, line)] == []
    assert {"h264,640,360", "aac,44100,2"} <= set(found.stdout.split())


def _is_known(path: str, line: str) -> bool:
    return path in NOT_OURS and NOT_OURS[path] in line


def _probe(url: str) -> subprocess.CompletedProcess[str]:
    shown = ["-show_entries", "stream=codec_name,width,height,sample_rate,channels", "-of", "csv=p=0"]
    return subprocess.run(
        ["ffprobe", "-v", "warning", *shown, url], capture_output=True, text=True, timeout=40, check=False
    )


CAN_HLS = "document.createElement('video').canPlayType('application/vnd.apple.mpegurl')"


@pytest.mark.browser
@pytest.mark.parametrize(
    ("player", "path"),
    [
        ("mpegts", "ws"),
        ("mpegts", ".flv"),
        ("hls", "/source/ts.m3u8"),
        ("hls", "/index.m3u8"),
        ("dash", "/manifest.mpd"),
        ("native", ".mp4"),
        ("native", "/index.m3u8"),
    ],
)
async def test_a_player_in_chromium_plays_it(
    stack: MatineeStack, chromium: str, player: str, path: str
) -> None:
    """A moving picture from another origin, for some seconds, without a fault."""
    async with person(stack) as ann, browser(chromium) as running, player_pages() as pages:
        made = await ann.call("POST", "streams", {"title": "formats"})
        with encoder(f"{stack.rtmp}/{made['stream_key']}"):
            await until_live(ann, made["stream"])
            await asyncio.sleep(3)
            base = f"{stack.http}/live/{made['stream']}"
            url = base.replace("http", "ws", 1) + "/ws" if path == "ws" else base + path

            page = await running.new_page()
            if player == "native" and path.endswith(".m3u8") and not await page.evaluate(CAN_HLS):
                pytest.skip("this Chromium does not play HLS by itself: versions from 142 on may")
            await page.goto(f"{pages}/{player}?url={quote(url, safe='')}")
            begun, after = await _play_for(page, 6)

    assert 4.5 < after - begun < 7.5


@pytest.mark.browser
async def test_dash_js_plays_to_the_end_of_a_stream_that_ends(stack: MatineeStack, chromium: str) -> None:
    """Its last manifest is static: the player plays what there is and says that it has ended."""
    async with person(stack) as ann, browser(chromium) as running, player_pages() as pages:
        made = await ann.call("POST", "streams", {"title": "formats"})
        with encoder(f"{stack.rtmp}/{made['stream_key']}", seconds=12):
            await until_live(ann, made["stream"])
            url = f"{stack.http}/live/{made['stream']}/manifest.mpd"
            page = await running.new_page()
            await page.goto(f"{pages}/dash?url={quote(url, safe='')}")

            await page.wait_for_function("() => document.querySelector('video').ended", timeout=30_000)

            assert await page.evaluate("window.faults") == []
        async with ann.http.get(url) as answer:
            assert (answer.status, (await answer.json())["code"]) == (404, "stream_offline")


async def _play_for(page: Page, seconds: float) -> tuple[float, float]:
    """The video's time when it moves, and so many seconds later; faults fail the test."""
    moves = "v => v.videoWidth === 640 && v.currentTime > 0 && !v.paused && v.readyState > 2"
    shown = f"() => window.faults.length || ({moves})(document.querySelector('video'))"
    await page.wait_for_function(shown, timeout=20_000)
    await asyncio.sleep(1)
    begun = await page.evaluate("document.querySelector('video').currentTime")
    await asyncio.sleep(seconds)
    after = await page.evaluate("document.querySelector('video').currentTime")
    assert await page.evaluate("window.faults") == []
    return float(begun), float(after)
