"""Every delivery format of a live stream, as tools and players that others have written take it."""

import asyncio
import itertools
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import av
import pytest
from playwright.async_api import Page

from tests.e2e.people import browser, encoder, on_air, person, until_live
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
SEGMENTS = 3
"""So many are there before a player comes: some want as many to begin with."""
SEGMENTS_WITHIN_S = 60.0

PLAYED_WITHIN_MS = 60_000
_WATCH = """() => {
  const video = document.querySelector('video');
  window.begun = video.currentTime;
  window.furthest = 0;
  let last = window.begun;
  video.requestVideoFrameCallback(function note(_, frame) {
    window.furthest = Math.max(window.furthest, frame.mediaTime - last);
    last = frame.mediaTime;
    video.requestVideoFrameCallback(note);
  });
}"""
"""Note where it begins to be watched, and the longest step between two pictures shown, s."""


@pytest.fixture(scope="module")
def live(stack: MatineeStack) -> Iterator[str]:
    """Address of a stream that is published all the time, without what follows its id."""
    with on_air(stack, "formats") as stream:
        base = f"{stack.http}/live/{stream}"
        give_up = time.monotonic() + SEGMENTS_WITHIN_S
        while _segments(f"{base}/source/ts.m3u8") < SEGMENTS:
            assert time.monotonic() < give_up, "no segments within the time allowed"
            time.sleep(0.2)
        yield base


def _segments(url: str) -> int:
    with urllib.request.urlopen(url, timeout=20) as answer:
        playlist: bytes = answer.read()
    return playlist.count(b"#EXTINF")


def _watch(url: str, frames: int, log: list[Any]) -> tuple[list[float], int]:
    """Presentation times of so many pictures, and how many audio frames came with them."""
    times: list[float] = []
    sounds = 0
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as said, av.open(url, "r", timeout=60) as source:
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
async def test_libavformat_plays_it_without_a_warning(live: str, path: str) -> None:
    """Every picture in its place, sound beside it, and not one complaint."""
    said: list[Any] = []

    times, sounds = await asyncio.to_thread(_watch, live + path, 100, said)

    steps = [round((after - before) * 1000) for before, after in itertools.pairwise(times)]
    assert all(39 <= step <= 41 for step in steps), steps
    assert sounds > 100
    assert [line for line in said if not _is_known(path, line[2])] == []


@pytest.mark.parametrize("path", [*FORMATS, "/manifest.mpd"])
@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="no ffprobe on this machine")
async def test_ffprobe_says_what_is_in_it_and_nothing_else(live: str, path: str) -> None:
    """Codecs, size and rates are read; nothing is written to its log at warning level."""
    found = await asyncio.to_thread(_probe, live + path)

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
async def test_a_player_in_chromium_plays_it(live: str, chromium: str, player: str, path: str) -> None:
    """A moving picture from another origin, for some seconds, without a fault."""
    url = live.replace("http", "ws", 1) + "/ws" if path == "ws" else live + path
    async with browser(chromium) as running, player_pages() as pages:
        page = await running.new_page()
        if player == "native" and path.endswith(".m3u8") and not await page.evaluate(CAN_HLS):
            pytest.skip("this Chromium does not play HLS by itself: versions from 142 on may")
        await page.goto(f"{pages}/{player}?url={quote(url, safe='')}")

        await _play_for(page, 4)


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

            await page.wait_for_function("() => document.querySelector('video').ended", timeout=60_000)

            assert await page.evaluate("window.faults") == []
        async with ann.http.get(url) as answer:
            assert (answer.status, (await answer.json())["code"]) == (404, "stream_offline")


async def _play_for(page: Page, seconds: float) -> None:
    """Wait until it moves, and has moved on by so much without a jump; faults fail the test.

    A machine that is busy plays slower, but nothing is left out.
    """
    moves = "v => v.videoWidth === 640 && v.currentTime > 0 && !v.paused && v.readyState > 2"
    shown = f"() => window.faults.length || ({moves})(document.querySelector('video'))"
    await page.wait_for_function(shown, timeout=PLAYED_WITHIN_MS)
    await page.evaluate(_WATCH)
    moved = f"() => window.faults.length || document.querySelector('video').currentTime > begun + {seconds}"
    await page.wait_for_function(moved, timeout=PLAYED_WITHIN_MS)
    assert await page.evaluate("window.faults") == []
    assert await page.evaluate("window.furthest") < 1
