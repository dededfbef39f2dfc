"""Delivery as viewers get it: joins, a slow viewer among others, hls.js in Chromium, many blocked reloads."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest

from bench import hls_player, slow
from bench.picture import make_loop
from bench.rtmp import RtmpClient
from bench.stack import Stack
from bench.viewers import FIRST_TAGS, FlvViewer
from tests.e2e.people import person, until_live
from tests.stack import MatineeStack

pytestmark = pytest.mark.e2e


@asynccontextmanager
async def a_live_stream(stack: MatineeStack, gop_s: float = 2.0) -> AsyncIterator[tuple[str, Stack]]:
    """A stream that is published, by id, and the stack as the benchmarks see it."""
    async with person(stack) as ann, aiohttp.ClientSession() as session:
        made = await ann.call("POST", "streams", {"title": "delivery"})
        url = f"{stack.rtmp}/{made['stream_key']}"
        publishing = asyncio.ensure_future(RtmpClient(url).publish(make_loop(500, gop_s=gop_s), 600))
        try:
            await until_live(ann, made["stream"])
            yield made["stream"], Stack(stack.directory / "ready.json", session)
        finally:
            publishing.cancel()
            with suppress(asyncio.CancelledError):
                await publishing


async def test_who_joins_in_the_middle_of_a_gop_starts_at_once(stack: MatineeStack) -> None:
    """Metadata, clock, both codec headers, then the key frame that was, whenever one comes; nothing is missing."""
    async with a_live_stream(stack, gop_s=4.0) as (stream, seen):
        joiners = [FlvViewer(f"{stack.http}/live/{stream}.flv", 40) for _ in range(10)]
        for joiner in joiners:
            enough = asyncio.Event()
            asyncio.get_running_loop().call_later(0.2 + random.random() * 0.3, enough.set)
            await joiner.run(seen.session, enough)

    for joiner in joiners:
        assert [tag for tag in joiner.first_tags if tag != "audio"][: len(FIRST_TAGS)] == FIRST_TAGS
        assert joiner.first_key_s is not None
        assert joiner.first_key_s < 2, "less than the rest of a group of pictures of 4 s"
        assert joiner.gaps == []


async def test_a_slow_viewer_and_unknown_names_cost_others_nothing(stack: MatineeStack) -> None:
    """One takes a tenth among ten healthy ones who miss nothing; names nobody has are 404, and leave no memory."""
    async with a_live_stream(stack) as (_, seen):
        table = await slow.run(seen, viewers=10, kbps=1_000, names=600, seconds=8)

    assert table.failures == []


async def test_blocked_reloads_are_all_answered_with_the_part(stack: MatineeStack) -> None:
    """Two hundred at once, none refused, none forgotten."""
    async with a_live_stream(stack) as (stream, seen):
        late, unanswered = await hls_player.block_reloads(
            seen, f"{stack.http}/live/{stream}/source/index.m3u8", 200
        )

    assert (len(late), unanswered) == (200, 0)
    assert max(late) < 3_000


@pytest.mark.alone
@pytest.mark.browser
async def test_hls_js_keeps_its_place_behind_the_edge(stack: MatineeStack, chromium: str) -> None:
    """Its default settings: it plays on without a fatal error, near the edge it aims at."""
    if not hls_player.HLS_JS.exists():
        pytest.skip("no hls.js: npm install in web/")
    async with a_live_stream(stack) as (stream, _):
        seen = await hls_player.watch_in_browser(
            stack.http, f"{stack.http}/live/{stream}/index.m3u8", chromium, 6
        )

    assert seen["fatal"] == []
    # hls.js adds a second for each stall, of which a busy machine makes some.
    assert seen["target"] % 1 == pytest.approx(0.63)
    assert seen["played"] > 0.8
    assert seen["latencies"][-1] < seen["target"] + 3, "`bench hls` measures it"
