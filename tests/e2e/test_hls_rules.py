"""The rule book of LL-HLS held against a running stack: every frame rate, every break a stream can have."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from fractions import Fraction
from typing import Any

import aiohttp
import pytest

from bench.hls_check import Checker, get, probe
from bench.picture import Loop, make_loop
from bench.rtmp import RtmpClient
from tests.e2e.people import Person, person, until_live
from tests.stack import MatineeStack

pytestmark = pytest.mark.e2e

WATCHED_S = 9.0


@asynccontextmanager
async def a_stream(stack: MatineeStack) -> AsyncIterator[tuple[Person, str, str]]:
    """Somebody's stream: its id and the address to publish to."""
    async with person(stack) as ann:
        made = await ann.call("POST", "streams", {"title": "rules"})
        yield ann, made["stream"], f"{stack.rtmp}/{made['stream_key']}"


@asynccontextmanager
async def publishing(url: str, loop: Loop, switch: tuple[float, Loop] | None = None) -> AsyncIterator[None]:
    """An encoder, for as long as the block lasts."""
    task = asyncio.ensure_future(RtmpClient(url).publish(loop, 600, switch=switch))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def watch(url: str, seconds: float, checker: Checker | None = None) -> Checker:
    """A player for so long; gives the checker that watched over it."""
    checker = checker or Checker(url)
    until = asyncio.Event()
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        master = await get(session, url.replace("/source/", "/"))
        checker.book.multivariant(master)
        running = asyncio.ensure_future(checker.run(session, until))
        await asyncio.wait([running], timeout=seconds)
        until.set()
        await running
    return checker


KINDS: dict[str, dict[str, Any]] = {
    "25 fps": {},
    "30 fps": {"fps": 30},
    "29.97 fps": {"fps": Fraction(30_000, 1_001)},
    "60 fps": {"fps": 60},
    "12 fps": {"fps": 12},
    "2 fps": {"fps": 2},
    "long GOP": {"gop_s": 8.0},
    "audio only": {"tracks": "a"},
    "audio only at 24 kHz": {"tracks": "a", "audio_rate": 24_000},
    "video only": {"tracks": "v"},
}


async def test_every_kind_of_stream_keeps_the_rules(stack: MatineeStack) -> None:
    """Playlists, parts, segments and headers of ten streams at once, judged in the order players get them."""

    async def one(kind: dict[str, Any]) -> Checker:
        async with a_stream(stack) as (ann, stream, rtmp), publishing(rtmp, make_loop(600, **kind)):
            await until_live(ann, stream)
            return await watch(f"{stack.http}/live/{stream}/source/index.m3u8", WATCHED_S)

    for kind in KINDS.values():
        make_loop(600, **kind)
    checkers = dict(zip(KINDS, await asyncio.gather(*map(one, KINDS.values())), strict=True))

    faults = [f"{kind}: {fault}" for kind, checker in checkers.items() for fault in checker.book.faults]
    assert not faults, "\n".join(faults)
    for kind, checker in checkers.items():
        assert checker.book.parts > WATCHED_S, kind
        assert checker.book.deltas > 0, kind


async def test_what_must_block_blocks_and_what_must_be_refused_is(stack: MatineeStack) -> None:
    """Parameters, names, paths and byte ranges out of range; hints and reloads held back."""
    async with a_stream(stack) as (ann, stream, rtmp), publishing(rtmp, make_loop(600)):
        await until_live(ann, stream)
        checker = Checker(f"{stack.http}/live/{stream}/source/index.m3u8")
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            await probe(session, checker.url, checker.book)

    assert not checker.book.faults, "\n".join(checker.book.faults)


async def test_a_codec_change_is_a_discontinuity_and_nothing_else(stack: MatineeStack) -> None:
    """Another picture size on the same connection: a new init segment, the numbers go on."""
    loop, larger = make_loop(600, seconds=4), make_loop(600, seconds=4, size="320x180")
    async with a_stream(stack) as (ann, stream, rtmp), publishing(rtmp, loop, (6.0, larger)):
        await until_live(ann, stream)

        checker = await watch(f"{stack.http}/live/{stream}/source/index.m3u8", 14)

    assert not checker.book.faults, "\n".join(checker.book.faults)
    assert checker.inits == 2


async def test_a_publisher_who_comes_back_breaks_no_rule(stack: MatineeStack) -> None:
    """The link is lost, and there again 2 s later."""
    async with a_stream(stack) as (ann, stream, rtmp):
        client = RtmpClient(rtmp)
        first = asyncio.ensure_future(client.publish(make_loop(600), 600))
        await until_live(ann, stream)
        watching = asyncio.ensure_future(watch(f"{stack.http}/live/{stream}/source/index.m3u8", 14))
        await asyncio.sleep(4)
        client.vanish()
        await asyncio.gather(first, return_exceptions=True)
        await asyncio.sleep(2)
        async with publishing(rtmp, make_loop(600)):
            checker = await watching

    assert not checker.book.faults, "\n".join(checker.book.faults)
    assert checker.book.parts > 15


async def test_a_transmux_killed_or_stalled_breaks_no_rule(stack: MatineeStack) -> None:
    """kill -9, later SIGSTOP and SIGCONT: numbers without holes, nothing twice."""
    async with a_stream(stack) as (ann, stream, rtmp), publishing(rtmp, make_loop(600)):
        await until_live(ann, stream)
        url = f"{stack.http}/live/{stream}/source/index.m3u8"
        watching = asyncio.ensure_future(watch(url, 16, Checker(url, retry_s=5)))
        await asyncio.sleep(3)
        os.kill(stack.pids("transmux")[0], signal.SIGKILL)
        await asyncio.sleep(5)
        stalled = stack.pids("transmux")[0]
        os.kill(stalled, signal.SIGSTOP)
        await asyncio.sleep(3)
        os.kill(stalled, signal.SIGCONT)
        checker = await watching

    assert not checker.book.faults, "\n".join(checker.book.faults)
    assert checker.book.parts > 20
