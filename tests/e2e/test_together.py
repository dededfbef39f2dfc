"""Two pages in one room see the same frame."""

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page

from tests.e2e.encoder import film
from tests.e2e.people import Person, browser, encoder, page_of, person, until_live
from tests.stack import MatineeStack

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.alone]

FILM_SECONDS = 120
APART_MS = 100
SETTLED_WITHIN_S = 40.0

_WATCH = """
() => {
  const video = document.querySelector('video');
  window.shown = [];
  const note = (now, frame) => {
    window.shown.push([performance.timeOrigin + frame.expectedDisplayTime, frame.mediaTime]);
    video.requestVideoFrameCallback(note);
  };
  video.requestVideoFrameCallback(note);
}
"""


@functools.cache
def _film() -> Path:
    path = Path("/tmp") / f"matinee-e2e-film-{FILM_SECONDS}.mp4"
    if not path.exists():
        draft = path.with_suffix(".draft.mp4")
        film(str(draft), FILM_SECONDS)
        draft.rename(path)
    return path


@asynccontextmanager
async def cinema() -> AsyncIterator[str]:
    """A plain web server with a film on it; gives the film's address."""

    async def serve(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(_film(), headers={"Access-Control-Allow-Origin": "*"})

    app = web.Application()
    app.router.add_get("/film.mp4", serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/film.mp4"
    finally:
        await runner.cleanup()


async def _offsets(page: Page, since_ms: float) -> list[float]:
    """For each frame shown since then: its place in the film minus the wall clock, ms."""
    shown: list[list[float]] = await page.evaluate("window.shown")
    return [media * 1000 - wall for wall, media in shown if wall >= since_ms]


async def _difference(pages: list[Page], seconds: float) -> float:
    """p95 of how far two pages' shown frames lie apart, ms, over the next seconds."""
    since = await pages[0].evaluate("performance.timeOrigin + performance.now()")
    await asyncio.sleep(seconds)
    first, second = [sorted(await _offsets(page, since)) for page in pages]
    assert len(first) > 10, "the first page showed no frames"
    assert len(second) > 10, "the second page showed no frames"
    middle = second[len(second) // 2]
    other = first[len(first) // 2]
    apart = sorted([abs(value - middle) for value in first] + [abs(value - other) for value in second])
    return apart[int(len(apart) * 0.95)]


async def _settled(pages: list[Page], seconds: float) -> float:
    """The same, once they are together, or what it came to in the end: a busy machine shows pictures late."""
    give_up = asyncio.get_running_loop().time() + SETTLED_WITHIN_S
    apart = await _difference(pages, seconds)
    while apart >= APART_MS and asyncio.get_running_loop().time() < give_up:
        apart = await _difference(pages, seconds)
    return apart


async def _playback(someone: Person, room: str, **command: Any) -> dict[str, Any]:
    return (await someone.call("POST", f"rooms/{room}/playback", command))["state"]


async def test_two_pages_hold_one_room_in_sync_through_play_seek_and_pause(
    stack: MatineeStack, chromium: str
) -> None:
    """After play, after a seek and after a pause two pages show the same moment, within 100 ms p95."""
    async with person(stack) as ann, person(stack) as ben, cinema() as url, browser(chromium) as running:
        room = (await ann.call("POST", "rooms", {"name": "two pages"}))["id"]
        await ben.call("POST", f"rooms/{room}/join", {})
        item = await ann.call(
            "POST",
            f"rooms/{room}/playlist",
            {"kind": "url", "title": "film", "url": url, "duration": FILM_SECONDS},
        )
        await _playback(ann, room, action="select", item=item["id"])
        pages = [await page_of(running, who, f"/r/{room}") for who in (ann, ben)]
        for page in pages:
            await page.wait_for_function(
                "() => document.querySelector('video')?.readyState >= 3", timeout=60_000
            )
            await page.evaluate(_WATCH)

        await _playback(ann, room, action="play")
        await asyncio.sleep(4)
        after_play = await _settled(pages, 4)
        await _playback(ben, room, action="seek", position=60.0)
        await asyncio.sleep(3)
        after_seek = await _settled(pages, 4)
        state = await _playback(ann, room, action="pause")
        await asyncio.sleep(1.5)
        stopped = [await page.evaluate("document.querySelector('video').currentTime") for page in pages]

    assert after_play < APART_MS
    assert after_seek < APART_MS
    assert all(abs(place - state["position"]) < 0.1 for place in stopped), (stopped, state)


async def test_a_late_page_lands_where_the_room_is(stack: MatineeStack, chromium: str) -> None:
    """Somebody who opens the room in the middle of the film is with the others within seconds, and moves nobody."""
    async with person(stack) as ann, person(stack) as ben, cinema() as url, browser(chromium) as running:
        room = (await ann.call("POST", "rooms", {"name": "late"}))["id"]
        item = await ann.call(
            "POST",
            f"rooms/{room}/playlist",
            {"kind": "url", "title": "film", "url": url, "duration": FILM_SECONDS},
        )
        await _playback(ann, room, action="select", item=item["id"])
        first = await page_of(running, ann, f"/r/{room}")
        await first.wait_for_function(
            "() => document.querySelector('video')?.readyState >= 3", timeout=60_000
        )
        await first.evaluate(_WATCH)
        playing = await _playback(ann, room, action="play")
        await asyncio.sleep(5)

        second = await page_of(running, ben, f"/r/{room}")
        await second.wait_for_function(
            "() => document.querySelector('video')?.currentTime > 1", timeout=60_000
        )
        await second.evaluate(_WATCH)
        await asyncio.sleep(4)
        apart = await _settled([first, second], 3)
        state = (await ann.call("GET", f"rooms/{room}/playback"))["state"]

    assert apart < APART_MS
    assert state["revision"] == playing["revision"]


async def test_a_live_room_plays_in_the_browser(stack: MatineeStack, chromium: str) -> None:
    """A stream made in a room, published by libavformat, plays on the room's page in sync with the room's delay."""
    async with person(stack) as ann, browser(chromium) as running:
        room = (await ann.call("POST", "rooms", {"name": "live"}))["id"]
        made = await ann.call("POST", f"rooms/{room}/streams", {"title": "our stream"})
        with encoder(f"{stack.rtmp}/{made['stream_key']}"):
            await until_live(ann, made["stream"])
            await _playback(ann, room, action="select", item=made["item"]["id"])
            await _playback(ann, room, action="play")
            page = await page_of(running, ann, f"/r/{room}")
            await page.wait_for_function(
                "() => document.querySelector('video')?.currentTime > 1", timeout=60_000
            )
            await page.wait_for_function(
                "() => Math.abs(window.__matinee.driftMs() ?? 1e9) < 250", timeout=60_000
            )


async def _places(pages: list[Page]) -> list[float]:
    """Where each page stands on the room's axis: program date-time, s."""
    return [float(await page.evaluate("window.__matinee.position()")) for page in pages]


async def _behind(page: Page) -> float:
    """How far behind the wall clock a page's picture is, s."""
    return float(await page.evaluate("Date.now() / 1000 - window.__matinee.position()"))


async def _in_step(pages: list[Page]) -> None:
    """Wait until every page follows the room within 100 ms."""
    for page in pages:
        await page.wait_for_function(
            "() => Math.abs(window.__matinee?.driftMs() ?? 1e9) < 100"
            " && !document.querySelector('video').paused && !document.querySelector('video').seeking",
            timeout=60_000,
        )


async def test_a_live_room_is_one_picture_paused_rewound_and_back(stack: MatineeStack, chromium: str) -> None:
    """Two pages live at the room's delay; paused at one moment and on from there; rewound together; back to live."""
    async with person(stack) as ann, person(stack) as ben, browser(chromium) as running:
        draft = {"name": "live", "settings": {"live_delay_ms": 4_000}}
        room = (await ann.call("POST", "rooms", draft))["id"]
        await ben.call("POST", f"rooms/{room}/join", {})
        made = await ann.call("POST", f"rooms/{room}/streams", {"title": "our stream"})
        with encoder(f"{stack.rtmp}/{made['stream_key']}"):
            await until_live(ann, made["stream"])
            await asyncio.sleep(4)
            await _playback(ann, room, action="select", item=made["item"]["id"])
            pages = [await page_of(running, who, f"/r/{room}") for who in (ann, ben)]
            await _playback(ann, room, action="play")
            await _in_step(pages)
            live = [await _behind(page) for page in pages]

            paused = await _playback(ben, room, action="pause")
            await asyncio.sleep(2.5)
            stood = await _places(pages)
            await _playback(ann, room, action="play")
            await asyncio.sleep(0.5)
            await _in_step(pages)
            resumed = [await _behind(page) for page in pages]

            state = await _playback(ben, room, action="seek", position=paused["position"] - 5)
            await asyncio.sleep(0.5)
            await _in_step(pages)
            rewound = [await _behind(page) for page in pages]

            await pages[0].get_by_title("Back to the live moment").click()
            await pages[0].get_by_title("At the live moment").wait_for()
            await asyncio.sleep(0.5)
            await _in_step(pages)
            back = [await _behind(page) for page in pages]

    assert live == pytest.approx([4.0, 4.0], abs=0.3)
    assert stood == pytest.approx([paused["position"]] * 2, abs=0.2)
    assert resumed == pytest.approx([resumed[0]] * 2, abs=0.3)
    assert min(resumed) > 6
    assert rewound == pytest.approx([state["at"] / 1000 - state["position"]] * 2, abs=0.3)
    assert back == pytest.approx([4.0, 4.0], abs=0.3)
