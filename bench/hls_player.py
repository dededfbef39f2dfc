"""LL-HLS in a real browser: hls.js's latency, stalls and errors; and many blocked reloads at once."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.async_api import Page, async_playwright

from bench.hls_playlist import MediaPlaylist
from bench.picture import make_loop
from bench.rtmp import RtmpClient
from bench.stack import Stack
from bench.tables import Table, percentile

LATENCY_OVER_HOLD_BACK_S: Final = 0.5
RELOAD_MS: Final = 100.0
HLS_JS: Final = Path(__file__).resolve().parents[1] / "web/node_modules/hls.js/dist/hls.min.js"
_START_S: Final = 60.0
_SAMPLE_S: Final = 0.25
_ROUNDS: Final = 20
_PLAY: Final = """
(url) => {
  const video = document.createElement('video'); video.muted = true; document.body.append(video);
  const hls = new Hls({lowLatencyMode: true});
  const seen = window.seen = {fatal: [], errors: [], stalls: 0, hls, video};
  hls.on(Hls.Events.ERROR, (_, error) => {
    (error.fatal ? seen.fatal : seen.errors).push(error.details);
    if (error.details === 'bufferStalledError') seen.stalls += 1;
  });
  hls.loadSource(url); hls.attachMedia(video); video.play();
}
"""
_LOOK: Final = """
() => ({time: seen.video.currentTime, latency: seen.hls.latency, target: seen.hls.targetLatency,
        behind: seen.hls.playingDate ? (Date.now() - seen.hls.playingDate.getTime()) / 1000 : null,
        fatal: seen.fatal, errors: seen.errors, stalls: seen.stalls})
"""


@asynccontextmanager
async def player_page(base: str, chromium: str) -> AsyncIterator[Page]:
    """A blank page of that origin with hls.js in it."""
    async with async_playwright() as playwright:
        flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--disable-dev-shm-usage"]
        browser = await playwright.chromium.launch(executable_path=chromium, args=flags)
        try:
            context = await browser.new_context(bypass_csp=True)
            page = await context.new_page()
            await page.goto(f"{base}/healthz")
            await page.add_script_tag(path=HLS_JS)
            yield page
        finally:
            await browser.close()


async def watch_in_browser(base: str, url: str, chromium: str, seconds: float) -> dict[str, Any]:
    """Play for so long; gives samples of latency (hls.js's own, and by program date-time), stalls and errors."""
    latencies: list[float] = []
    behind: list[float] = []
    async with player_page(base, chromium) as page:
        await page.evaluate(_PLAY, url)
        await page.wait_for_function("() => seen.video.currentTime > 1", timeout=_START_S * 1_000)
        await asyncio.sleep(8.0)  # it starts where it may and catches up
        first = await page.evaluate(_LOOK)
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            await asyncio.sleep(_SAMPLE_S)
            look = await page.evaluate(_LOOK)
            latencies.append(look["latency"])
            if look["behind"] is not None:
                behind.append(look["behind"])
        passed = time.monotonic() - began
    played = look["time"] - first["time"]
    return {**look, "stalls": look["stalls"] - first["stalls"], "latencies": latencies, "behind": behind,
            "played": played / passed}  # fmt: skip


class BlockedReload(asyncio.Protocol):
    """One connection that asks for a playlist and notes when the answer began to come."""

    def __init__(self) -> None:
        self.status = 0
        self.at = 0.0
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """The head is in the first bytes."""
        if not self.at:
            self.at = time.monotonic()
            self.status = int(data[9:12])
            self.answered.set_result(None)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Closed before an answer."""
        if not self.answered.done():
            self.answered.set_result(None)


async def block_reloads(stack: Stack, url: str, reloads: int) -> tuple[list[float], int]:
    """So many players ask for a part to come: ms each was answered after the first, and how many were not."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    opened = [await loop.create_connection(BlockedReload, host, port) for _ in range(reloads)]
    async with stack.session.get(url) as response:
        msn, part = MediaPlaylist.parse(await response.text()).next
    query = f"{parts.path}?_HLS_msn={msn}&_HLS_part={part + 2}"
    request = f"GET {query} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept-Encoding: gzip\r\n\r\n".encode()
    for transport, _ in opened:
        transport.write(request)
    asked = time.monotonic()
    waiting = [protocol for _, protocol in opened]
    await asyncio.wait([one.answered for one in waiting], timeout=10)
    for transport, _ in opened:
        transport.close()
    times = [one.at for one in waiting if one.status == 200]
    came = max(asked, min(times, default=asked))
    return [max(0.0, at - came) * 1_000 for at in times], len(waiting) - len(times)


async def run(stack: Stack, *, reloads: int = 500, kbps: int = 2_000, seconds: float = 120.0) -> Table:
    """Play in Chromium for `seconds`, then rounds of blocked reloads."""
    loop = make_loop(kbps)
    ((stream, rtmp),) = await stack.streams(1)
    url = f"{stack.http}/live/{stream}/index.m3u8"
    chromium = os.environ.get("MATINEE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    table = Table("LL-HLS as players get it", ("what", "p50", "p95", "p99", "samples"))
    late: list[float] = []
    unanswered = 0
    async with asyncio.TaskGroup() as group:
        publishing = group.create_task(RtmpClient(rtmp).publish(loop, 3_600))
        await asyncio.sleep(4)
        if chromium and HLS_JS.exists():
            seen = await watch_in_browser(stack.http, url, chromium, seconds)
            _judge(table, seen)
        else:
            table.conditions.append("no browser, or no hls.js (npm install in web/): only reloads measured")
        media = url.replace("/index.m3u8", "/source/index.m3u8")
        for _ in range(_ROUNDS):
            spread, silent = await block_reloads(stack, media, reloads)
            late += spread
            unanswered += silent
        publishing.cancel()
    table.add(f"{reloads} blocked reloads, ms after the first answer", percentile(late, 0.5),
              percentile(late, 0.95), percentile(late, 0.99), len(late))  # fmt: skip
    table.conditions.append(f"the last of {reloads} reloads came at most {max(late):.0f} ms after the first")
    if unanswered or percentile(late, 0.99) > RELOAD_MS:
        table.failures.append(f"reloads: {unanswered} not answered, p99 {percentile(late, 0.99):.0f} ms")
    return table


def _judge(table: Table, seen: dict[str, Any]) -> None:
    limit = seen["target"] + LATENCY_OVER_HOLD_BACK_S
    for name, values in (
        ("hls.js latency, s", seen["latencies"]),
        ("behind program date-time, s", seen["behind"]),
    ):
        table.add(name, *(percentile(values, share) for share in (0.5, 0.95, 0.99)), len(values))
    table.conditions.append(
        f"hls.js in Chromium: {seen['stalls']} stalls, errors {seen['errors']}, fatal {seen['fatal']}, "
        f"played {seen['played']:.3f} s a second"
    )
    if percentile(seen["latencies"], 0.95) > limit:
        table.failures.append(f"latency p95 above {limit:.2f} s")
    if seen["stalls"] or seen["fatal"]:
        table.failures.append(f"{seen['stalls']} stalls, fatal {seen['fatal']}")
