"""`matinee bench sync --browsers N`: real Chromium pages in one room, each shown frame against the server's time.

The film's frames tell their place by `mediaTime`; a live stream carries the publisher's clock in its picture, read
back from a canvas, so that every step between the encoder and the screen is in the figure.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from playwright.async_api import Browser, Page, async_playwright

from bench.stack import Stack
from bench.sync.coded_picture import BITS, BLOCK, film
from bench.sync.slow_way import slow_way
from bench.tables import Table, percentile

_FILM_S: Final = 300
_LOADED_MS: Final = 30_000
_SETTLED_S: Final = 4.0
_FIRST_S: Final = 3.0
_CHROMIUM: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS: Final = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required", "--mute-audio", "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows",
)  # fmt: skip

_WATCH: Final = """
([bits, block, coded]) => {
  const video = document.querySelector('video');
  const canvas = new OffscreenCanvas(bits, 1);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const seen = (window.seen = { frames: [], seeks: 0, waits: 0 });
  video.addEventListener('seeking', () => { seen.seeks += 1; });
  video.addEventListener('waiting', () => { seen.waits += 1; });
  const code = () => {
    context.drawImage(video, 0, block / 2, bits * block, block / 2, 0, 0, bits, 1);
    const { data } = context.getImageData(0, 0, bits, 1);
    let value = 0;
    for (let bit = 0; bit < bits; bit++) value = value * 2 + (data[bit * 4] > 127 ? 1 : 0);
    return value / 1000;
  };
  // The page's monotonic clock on the axis of the machine's, which is the server's.
  const ahead = Date.now() - (performance.timeOrigin + performance.now());
  const note = (_now, frame) => {
    video.requestVideoFrameCallback(note);
    const { state } = window.__matinee;
    const wall = performance.timeOrigin + frame.expectedDisplayTime + ahead;
    if (video.seeking || !state || !state.playing || wall < state.at) return;
    const target = state.position + (wall - state.at) / 1000 * state.rate;
    const axis = frame.mediaTime + window.__matinee.position() - video.currentTime;
    seen.frames.push([wall, ((coded ? code() : axis) - target) * 1000, (axis - target) * 1000]);
  };
  video.requestVideoFrameCallback(note);
}
"""


@dataclass
class Seen:
    """What one page showed: wall ms, error ms by what the picture says, error ms by what the player says."""

    frames: list[tuple[float, float, float]]
    seeks: int
    waits: int

    def errors(self, since: float, until: float = float("inf")) -> list[float]:
        """Signed errors of that time, ms."""
        return [error for wall, error, _ in self.frames if since <= wall < until]


@dataclass
class Party:
    """One room with its pages."""

    stack: Stack
    accounts: list[dict[str, Any]]
    room: str
    pages: list[Page] = field(default_factory=list)

    async def call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """An API call by the room's owner."""
        return await self.stack.call(method, path, body, token=str(self.accounts[0]["access_token"]))

    async def playback(self, **command: Any) -> dict[str, Any]:
        """A playback command by the room's owner; the state after it."""
        answer = await self.call("POST", f"rooms/{self.room}/playback", command)
        state: dict[str, Any] = answer["state"]
        return state

    async def open(self, chromium: Browser, base: str) -> None:
        """Everybody opens the room."""
        for account in self.accounts:
            context = await chromium.new_context(viewport={"width": 960, "height": 600})
            session = {
                "user": account["user"], "accessToken": account["access_token"], "refreshToken": None,
                "expiresAt": 4_102_444_800_000,
            }  # fmt: skip
            kept = json.dumps(json.dumps(session))
            await context.add_init_script(f"localStorage.setItem('matinee.session', {kept})")
            page = await context.new_page()
            await page.goto(f"{base}/r/{self.room}")
            self.pages.append(page)

    async def until(self, condition: str) -> None:
        """Wait until that is so on every page."""
        for page in self.pages:
            await page.wait_for_function(condition, timeout=_LOADED_MS)

    async def watch(self, *, coded: bool) -> None:
        """From now on every page notes its frames."""
        for page in self.pages:
            await page.evaluate(_WATCH, [BITS, BLOCK, coded])

    async def seen(self) -> list[Seen]:
        """What they noted."""
        found = [await page.evaluate("window.seen") for page in self.pages]
        return [Seen([tuple(frame) for frame in one["frames"]], one["seeks"], one["waits"]) for one in found]

    async def close(self) -> None:
        """Everybody goes."""
        for page in self.pages:
            await page.context.close()


async def run(stack: Stack, *, browsers: int = 3, seconds: float = 20.0) -> Table:
    """Film and live, over loopback and over a way of 100 ± 50 ms."""
    table = Table(
        f"The same frame in {browsers} Chromium pages, against the server's time",
        (
            "what",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "pages apart p95 ms",
            "first 3 s p95 ms",
            "seeks",
            "waits",
            "frames",
        ),
    )
    table.conditions += [
        f"{seconds:g} s from {_SETTLED_S:g} s after play; first 3 s from the scheduled moment on",
        "film: mediaTime of requestVideoFrameCallback at its expectedDisplayTime; live: the clock in the picture,"
        " less the median way from drawing to ingest",
        "slow: every piece between page and gateway delayed, 100 ± 50 ms there and back, socket and media alike",
    ]
    async with _chromium() as chromium, _cinema() as url:
        for way, limit_film, limit_live in (("loopback", 20.0, 40.0), ("100 ± 50 ms", 40.0, 40.0)):
            async with AsyncExitStack() as block:
                base = stack.http
                if way != "loopback":
                    base = await block.enter_async_context(slow_way(base, 100, 50))
                film_seen = await _film(stack, chromium, base, url, browsers, seconds)
                _report(table, f"film, {way}", *film_seen, seconds, limit_film)
                live_seen = await _live(stack, chromium, base, browsers, seconds)
                _report(table, f"LL-HLS, {way}", *live_seen, seconds, limit_live)
    table.conditions.append(f"load average of the machine at the end: {os.getloadavg()[0]:.1f}")
    return table


def _report(table: Table, what: str, seen: list[Seen], at: float, seconds: float, limit: float) -> None:
    settled = at + _SETTLED_S * 1_000
    errors = [abs(error) for one in seen for error in one.errors(settled, settled + seconds * 1_000)]
    first = [abs(error) for one in seen for error in one.errors(at, at + _FIRST_S * 1_000)]
    middles = [percentile(one.errors(settled), 0.5) for one in seen]
    apart = [abs(error - middle) for one in seen for error in one.errors(settled) for middle in middles]
    p95, began = percentile(errors, 0.95), percentile(first, 0.95)
    table.add(
        what, percentile(errors, 0.5), p95, percentile(errors, 0.99), percentile(apart, 0.95),
        began if first else "-", sum(one.seeks for one in seen), sum(one.waits for one in seen), len(errors),
    )  # fmt: skip
    if not p95 <= limit:
        table.failures.append(f"{what}: p95 {p95:.1f} ms, promised {limit:g}")
    if first and began > 60:
        table.failures.append(f"{what}: p95 of the first three seconds {began:.1f} ms, promised 60")


async def _party(stack: Stack, members: int) -> Party:
    accounts = []
    for _ in range(members):
        name = {"username": "bench" + secrets.token_hex(6), "password": secrets.token_hex(12)}
        accounts.append(await stack.call("POST", "auth/register", name))
    room = await stack.call("POST", "rooms", {"name": "bench"}, token=str(accounts[0]["access_token"]))
    party = Party(stack, accounts, str(room["id"]))
    for account in accounts[1:]:
        await stack.call("POST", f"rooms/{party.room}/join", {}, token=str(account["access_token"]))
    return party


async def _film(
    stack: Stack, chromium: Browser, base: str, url: str, browsers: int, seconds: float
) -> tuple[list[Seen], float]:
    party = await _party(stack, browsers)
    item = await party.call(
        "POST", f"rooms/{party.room}/playlist",
        {"kind": "url", "title": "film", "url": url, "duration": _FILM_S},
    )  # fmt: skip
    await party.playback(action="select", item=item["id"])
    await party.open(chromium, base)
    try:
        await party.until(
            "() => document.querySelector('video')?.readyState >= 3 && window.__matinee?.clock.samples >= 8"
        )
        await party.watch(coded=False)
        state = await party.playback(action="play")
        await asyncio.sleep(_SETTLED_S + seconds + 1)
        return await party.seen(), float(state["at"])
    finally:
        await party.close()


async def _live(
    stack: Stack, chromium: Browser, base: str, browsers: int, seconds: float
) -> tuple[list[Seen], float]:
    party = await _party(stack, browsers)
    made = await party.call("POST", f"rooms/{party.room}/streams", {"title": "bench"})
    rtmp = str(stack.ready["rtmp"]).rstrip("/")
    command = [sys.executable, "-m", "bench.sync.coded_picture", f"{rtmp}/{made['stream_key']}", "600"]
    encoder = await asyncio.create_subprocess_exec(*command)
    try:
        await _until_live(stack, str(made["stream"]))
        await party.playback(action="select", item=made["item"]["id"])
        await party.playback(action="play")
        await party.open(chromium, base)
        await party.until("() => document.querySelector('video')?.currentTime > 1")
        await asyncio.sleep(2)
        await party.watch(coded=True)
        began = float(await party.pages[0].evaluate("Date.now()"))
        await asyncio.sleep(_SETTLED_S + seconds + 1)
        seen = await party.seen()
        for one in seen:
            # There was no common start: the first seconds are a film's business.
            one.frames = [frame for frame in one.frames if frame[0] >= began + _SETTLED_S * 1_000]
        # From drawing to arrival at ingest: the same for all who watch, and no matter of theirs.
        late = percentile([said - axis for one in seen for _, said, axis in one.frames], 0.5)
        for one in seen:
            one.frames = [(wall, said - late, axis) for wall, said, axis in one.frames]
        return seen, began
    finally:
        await party.close()
        with contextlib.suppress(ProcessLookupError):
            encoder.kill()
        await encoder.wait()


async def _until_live(stack: Stack, stream: str) -> None:
    async with asyncio.timeout(20):
        while True:
            async with stack.session.get(f"{stack.http}/live/{stream}/source/index.m3u8") as answer:
                if answer.status == 200 and "#EXT-X-PART:" in await answer.text():
                    return
            await asyncio.sleep(0.1)


@asynccontextmanager
async def _chromium() -> AsyncIterator[Browser]:
    named = os.environ.get("MATINEE_CHROMIUM") or next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if named is None:
        raise RuntimeError("no Chromium on this machine: install chromium, or name one in MATINEE_CHROMIUM")
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=named, args=list(_FLAGS))
        try:
            yield running
        finally:
            await running.close()


@asynccontextmanager
async def _cinema() -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory(prefix="matinee-bench-") as folder:
        path = Path(folder) / "film.mp4"
        await asyncio.to_thread(film, str(path), _FILM_S)

        async def serve(_request: web.Request) -> web.FileResponse:
            return web.FileResponse(path, headers={"Access-Control-Allow-Origin": "*"})

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
