"""Pictures that come slowly or stand still: the playlists stay legal, and hls.js plays on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import accumulate, chain, repeat
from typing import Any

import aiohttp
import pytest

from bench.hls_check import Checker, get
from bench.hls_player import watch_in_browser
from bench.picture import Loop, make_loop
from bench.rtmp import RtmpClient
from media.flv import Tag, TagType
from tests.e2e.people import person, until_live
from tests.stack import MatineeStack

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

WATCHED_S = 14.0
RHYTHM = [
    *repeat(1_000 / 30, 60), *repeat(333, 12), *repeat(1_000 / 30, 48), 1_800.0, *repeat(1_000 / 30, 60),
    700.0, 250.0, 900.0, *repeat(1_000 / 30, 56),
]  # fmt: skip
"""How long pictures stay, ms: usual ones, a shared screen at three a second, two that freeze."""


def uneven(tracks: str) -> Loop:
    """Pictures encoded at thirty a second, sent in that rhythm, with the sound as it is."""
    loop, sound = make_loop(600, seconds=8, fps=30, tracks=tracks), make_loop(600, seconds=20, tracks="a")
    times = [round(time) for time in accumulate(RHYTHM, initial=0)]
    pictures = [tag for tag in loop.tags if tag.type is TagType.VIDEO]
    video = [Tag(tag.type, time, tag.payload) for time, tag in zip(times[:-1], pictures, strict=False)]
    audio = [tag for tag in sound.tags if tag.timestamp_ms < times[-1]] if "a" in tracks else []
    tags = sorted(chain(video, audio), key=lambda tag: tag.timestamp_ms)
    return Loop(loop.headers, tuple(tags), times[-1], loop.fps)


@asynccontextmanager
async def publishing(url: str, loop: Loop) -> AsyncIterator[None]:
    """An encoder, for as long as the block lasts."""
    task = asyncio.ensure_future(RtmpClient(url).publish(loop, 600))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def judged(url: str) -> Checker:
    """The rule book, after a player of so many seconds."""
    checker, until = Checker(url), asyncio.Event()
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        checker.book.multivariant(await get(session, url.replace("/source/", "/")))
        running = asyncio.ensure_future(checker.run(session, until))
        await asyncio.wait([running], timeout=WATCHED_S)
        until.set()
        await running
    return checker


async def played(stack: MatineeStack, chromium: str, tracks: str) -> tuple[Checker, dict[str, Any]]:
    """One such stream, judged by the rule book and played by hls.js."""
    loop = uneven(tracks)
    async with person(stack) as ann:
        made = await ann.call("POST", "streams", {"title": "uneven"})
        async with publishing(f"{stack.rtmp}/{made['stream_key']}", loop):
            await until_live(ann, made["stream"])
            base = f"{stack.http}/live/{made['stream']}"
            return await asyncio.gather(
                judged(f"{base}/source/index.m3u8"),
                watch_in_browser(stack.http, f"{base}/index.m3u8", chromium, WATCHED_S / 2),
            )


@pytest.mark.browser
async def test_an_uneven_rhythm_breaks_no_rule_and_plays(stack: MatineeStack, chromium: str) -> None:
    """With sound, and without: then there are parts in which nothing begins."""
    seen = await asyncio.gather(*(played(stack, chromium, tracks) for tracks in ("av", "v")))

    for checker, player in seen:
        assert not checker.book.faults, "\n".join(checker.book.faults)
        assert checker.book.parts > 2 * WATCHED_S
        assert player["fatal"] == []
        assert player["played"] > 0.7
