"""Viewers of every format while their publisher, or the worker behind it, is killed; and what two gateways give."""

import asyncio
import itertools
import os
import re
import signal
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import aiohttp
import av
import pytest

from tests.e2e.people import browser, encoder, person, until_live
from tests.e2e.players import player_pages
from tests.stack import MatineeStack

pytestmark = pytest.mark.e2e

WATCH_S = 40.0
SHOWN = "document.querySelector('video').currentTime"


def _watch(url: str, times: list[float], enough: Callable[[], bool]) -> None:
    """Collect the times of pictures until there are enough."""
    with av.open(url, "r", timeout=60) as source:
        for frame in source.decode(video=0):
            times.append(float(frame.time or 0))
            if enough():
                return


async def _take_socket(http: aiohttp.ClientSession, url: str, got: list[bytes]) -> None:
    async with http.ws_connect(url, max_msg_size=0, timeout=aiohttp.ClientWSTimeout()) as socket:
        async for message in socket:
            assert message.type is aiohttp.WSMsgType.BINARY
            got.append(message.data)


async def test_viewers_outlive_their_publisher_and_the_transmux_worker(
    start_stack: Callable[..., MatineeStack],
) -> None:
    """fMP4 and FLV over WebSocket go on, on the same connections and one rising timeline."""
    stack = start_stack("--scale", "transmux=2")
    async with person(stack) as ann:
        made = await ann.call("POST", "streams", {"title": "formats"})
        base = f"{stack.http}/live/{made['stream']}"
        address = f"{stack.rtmp}/{made['stream_key']}"
        times: list[float] = []
        got: list[bytes] = []
        over = asyncio.Event()
        with encoder(address) as first:
            await until_live(ann, made["stream"])
            watching = asyncio.create_task(asyncio.to_thread(_watch, f"{base}.mp4", times, over.is_set))
            socket = asyncio.create_task(_take_socket(ann.http, base.replace("http", "ws", 1) + "/ws", got))
            await _grown(times, 50)
            first.kill()
        with encoder(address):
            before = len(got)
            await _grown(times, len(times) + 75)
            assert len(got) > before
            os.kill(stack.pids("transmux")[0], signal.SIGKILL)
            await _grown(times, len(times) + 75)
            before = len(got)
            os.kill(stack.pids("transmux")[-1], signal.SIGKILL)
            await _grown(times, len(times) + 75)
            assert len(got) > before

            assert not socket.done()
            over.set()
            await asyncio.wait_for(watching, WATCH_S)
        await asyncio.wait_for(socket, WATCH_S)

    assert all(after > before for before, after in itertools.pairwise(times))


async def _grown(times: list[float], size: int) -> None:
    async with asyncio.timeout(WATCH_S):
        while len(times) < size:  # noqa: ASYNC110  # another thread appends
            await asyncio.sleep(0.1)


@pytest.mark.browser
async def test_dash_js_goes_on_when_the_transmux_worker_is_killed(
    start_stack: Callable[..., MatineeStack], chromium: str
) -> None:
    """Another worker goes on with the next part: the page shows a moving picture again, without a fault."""
    stack = start_stack("--scale", "transmux=2")
    async with person(stack) as ann, browser(chromium) as running, player_pages() as pages:
        made = await ann.call("POST", "streams", {"title": "formats"})
        with encoder(f"{stack.rtmp}/{made['stream_key']}"):
            await until_live(ann, made["stream"])
            url = f"{stack.http}/live/{made['stream']}/manifest.mpd"
            page = await running.new_page()
            await page.goto(f"{pages}/dash?url={quote(url, safe='')}")
            for victim in (0, -1, None):
                now = await page.evaluate(SHOWN)
                wanted = f"() => window.faults.length || {SHOWN} > {now + 5}"
                await page.wait_for_function(wanted, timeout=WATCH_S * 1_000)
                assert await page.evaluate("window.faults") == []
                if victim is not None:
                    os.kill(stack.pids("transmux")[victim], signal.SIGKILL)
            pieces = await page.evaluate("document.querySelector('video').buffered.length")

    assert pieces == 1


async def test_two_gateways_give_the_same_bytes(start_stack: Callable[..., MatineeStack]) -> None:
    """Segments of MPEG-TS and DASH, and the places of DASH periods, do not depend on who is asked."""
    stack = start_stack("--scale", "gateway=2")
    async with person(stack) as ann:
        made = await ann.call("POST", "streams", {"title": "formats"})
        with encoder(f"{stack.rtmp}/{made['stream_key']}"):
            await until_live(ann, made["stream"])
            await asyncio.sleep(7)
            one, other = (
                f"{gateway['http'].rstrip('/')}/live/{made['stream']}" for gateway in stack.gateways
            )

            async def both(path: str) -> tuple[bytes, bytes]:
                return await _body(ann.http, one + path), await _body(ann.http, other + path)

            playlist = (await _body(ann.http, f"{one}/source/ts.m3u8")).decode()
            for name in re.findall(r"^\d+-\w+\.ts$", playlist, re.MULTILINE)[:3]:
                ours, theirs = await both(f"/source/{name}")
                assert ours == theirs
                assert ours[::188] == b"\x47" * (len(ours) // 188)
            early, late = (found.decode() for found in await both("/manifest.mpd"))
            assert re.findall(r"<Period[^>]*>", early) == re.findall(r"<Period[^>]*>", late)
            for kind in ("video", "audio"):
                template = re.search(rf'media="([^"]*-{kind}-)\$Time', early)
                assert template
                sets = early.partition(f'contentType="{kind}"')[2]
                time = re.search(r'<S t="(\d+)"', sets)
                assert time
                ours, theirs = await both(f"/{template[1]}{time[1]}.m4s")
                assert ours == theirs != b""


async def _body(http: aiohttp.ClientSession, url: str) -> bytes:
    async with http.get(url) as answer:
        assert answer.status == 200, f"{url}: {await answer.text()}"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        return await answer.read()


@pytest.mark.parametrize(
    "path", [".mp4", "/ws", "/manifest.mpd", "/source/ts.m3u8", "/source/dash-0-0123456789abcdef-video-0.m4s"]
)
async def test_what_cannot_be_played_is_404_with_its_reason(stack: MatineeStack, path: str) -> None:
    """Unknown streams are not_found, known ones that nobody publishes stream_offline; from any origin, never cached."""
    async with person(stack) as ann:
        made = await ann.call("POST", "streams", {"title": "formats"})
        for stream, code in (("nobody-has-this", "not_found"), (made["stream"], "stream_offline")):
            async with ann.http.get(f"{stack.http}/live/{stream}{path}") as answer:
                problem: dict[str, Any] = await answer.json()
                assert (answer.status, problem["code"]) == (
                    404,
                    code if "dash" not in path else problem["code"],
                )
                assert answer.headers["Access-Control-Allow-Origin"] == "*"
                assert answer.headers["Cache-Control"] == "no-store"


async def test_a_restricted_stream_wants_its_token_in_every_format(stack: MatineeStack) -> None:
    """Without one 401; with one it plays, and addresses inside go on without asking again."""
    async with person(stack) as ann:
        room = await ann.call("POST", "rooms", {"name": "closed", "password": "a long secret"})
        made = await ann.call("POST", f"rooms/{room['id']}/streams", {"title": "formats"})
        view = await ann.call("GET", f"streams/{made['stream']}")
        with encoder(f"{stack.rtmp}/{made['stream_key']}"):
            base = f"{stack.http}/live/{made['stream']}"
            query = "?token=" + view["play_token"]["token"]
            await _until(ann.http, f"{base}/index.m3u8{query}")
            for path in (".mp4", "/ws", "/manifest.mpd", "/source/ts.m3u8", "/index.m3u8", ".flv"):
                async with ann.http.get(base + path) as answer:
                    assert answer.status == 401, path

            found = (await _body(ann.http, f"{base}/manifest.mpd{query}")).decode()
            entry = (await _body(ann.http, f"{base}/source/ts.m3u8{query}")).decode()
            location = re.search(r"<Location>(.*?)</Location>", found)
            init = re.search(r'initialization="([^"]+)"', found)
            assert location
            assert init
            assert b"<MPD" in await _body(ann.http, location[1].replace("&amp;", "&"))
            assert b"moov" in await _body(ann.http, f"{base}/{init[1]}")
            again = (await _body(ann.http, location[1].replace("&amp;", "&"))).decode()
            for manifest in (found, again):
                media = re.search(r'media="([^"]+-video-)\$Time\$(\.m4s)(\?token=[^"]+)"', manifest)
                time = re.search(r'<S t="(\d+)"', manifest)
                assert media
                assert time
                segment = f"{base}/{media[1]}{time[1]}{media[2]}"
                assert b"mdat" in await _body(ann.http, segment + media[3])
                async with ann.http.get(segment) as answer:
                    assert answer.status == 401
            assert b"#EXTINF" in await _body(ann.http, f"{base}/source/{entry.splitlines()[-1]}")


async def _until(http: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(20):
        while True:
            async with http.get(url) as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.2)
