"""Somebody publishes: it is seen over FLV, over LL-HLS and in a browser."""

import asyncio
import itertools
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import av
import pytest

from tests.e2e.people import Person, browser, encoder, page_of, person, until_live
from tests.integration.ingest_worker import RawPublisher
from tests.stack import MatineeStack
from tests.unit.ingest.rtmp_client import HANDSHAKE, key_frame, opening

pytestmark = pytest.mark.e2e


def _decode(url: str, frames: int) -> tuple[list[float], int]:
    """Presentation times of so many video frames, and how many audio frames came with them."""
    times: list[float] = []
    sounds = 0
    with av.open(url, timeout=60) as source:
        for frame in source.decode(video=0, audio=0):
            if isinstance(frame, av.VideoFrame):
                times.append(float(frame.time))
            else:
                sounds += 1
            if len(times) >= frames:
                break
    return times, sounds


@pytest.mark.parametrize("path", ["live/{stream}.flv", "live/{stream}/index.m3u8"])
async def test_a_publish_by_libavformat_is_decoded_by_libavformat(stack: MatineeStack, path: str) -> None:
    """What ffmpeg publishes, ffmpeg plays, over FLV and over LL-HLS, every frame in its place."""
    async with person(stack) as ann:
        made = await ann.call("POST", "streams", {"title": "e2e"})
        with encoder(f"{stack.rtmp}/{made['stream_key']}"):
            await until_live(ann, made["stream"])
            url = f"{stack.http}/{path.format(stream=made['stream'])}"

            times, sounds = await asyncio.to_thread(_decode, url, 60)

    steps = [round((after - before) * 1000) for before, after in itertools.pairwise(times)]
    assert all(39 <= step <= 41 for step in steps), steps
    assert sounds > 60


@pytest.mark.browser
async def test_chromium_plays_the_stream_page(stack: MatineeStack, chromium: str) -> None:
    """A person opens the stream's page and sees a moving picture."""
    async with person(stack) as ann, browser(chromium) as running:
        made = await ann.call("POST", "streams", {"title": "e2e"})
        with encoder(f"{stack.rtmp}/{made['stream_key']}"):
            await until_live(ann, made["stream"])

            page = await page_of(running, ann, f"/s/{made['stream']}")
            await page.wait_for_function(
                "() => (v => v?.videoWidth === 640 && v.currentTime > 0)(document.querySelector('video'))",
                timeout=60_000,
            )
            begun = await page.evaluate("document.querySelector('video').currentTime")
            await page.wait_for_function(
                f"() => document.querySelector('video').currentTime > {begun} + 2", timeout=60_000
            )


@pytest.mark.browser
async def test_the_page_of_a_private_stream_connects_again_with_a_newer_token(
    stack: MatineeStack, chromium: str
) -> None:
    """The token it began with lives for minutes only: after the publisher's end it asks with others.

    The address it shows for other players has one too.
    """
    used: set[str] = set()
    newer: asyncio.Queue[str] = asyncio.Queue()
    async with person(stack) as ann, browser(chromium) as running:
        made = await ann.call("POST", "streams", {"title": "e2e", "private": True})
        with encoder(f"{stack.rtmp}/{made['stream_key']}", seconds=9):
            page = await page_of(running, ann, f"/s/{made['stream']}")

            def note(request: Any) -> None:
                asked = urlsplit(request.url)
                if asked.path == f"/live/{made['stream']}.flv":
                    newer.put_nowait(parse_qs(asked.query)["token"][0])

            page.on("request", note)
            moves = "() => (document.querySelector('video')?.currentTime ?? 0) > 1"
            await page.wait_for_function(moves, timeout=60_000)
            elsewhere = await page.get_by_role("textbox", name="HLS address").input_value()
            async with ann.http.get(elsewhere) as answer:
                assert answer.status == 200, elsewhere
            while not newer.empty():
                used.add(newer.get_nowait())
            async with asyncio.timeout(40):
                while (await newer.get()) in used:
                    pass

    assert used


async def _until_ended(someone: Person, playlist: str, within: float = 20.0) -> str:
    """The last playlist: its worker ends it, in its own time."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        async with someone.http.get(playlist) as answer:
            text = await answer.text()
        if text.rstrip().endswith("#EXT-X-ENDLIST") or asyncio.get_running_loop().time() > deadline:
            return text
        await asyncio.sleep(0.1)


async def _until_offline(someone: Person, url: str, within: float = 20.0) -> dict[str, Any]:
    """The refusal of a newcomer; who comes in the moment of the end may still get what there is of the end."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        async with someone.http.get(url) as answer:
            if answer.status == 404:
                refusal: dict[str, Any] = await answer.json()
                return refusal
            await answer.read()
        assert asyncio.get_running_loop().time() < deadline, f"still {answer.status} after {within} s"
        await asyncio.sleep(0.1)


async def test_a_stream_ends_cleanly_when_its_publisher_does(stack: MatineeStack) -> None:
    """The end of a publish closes FLV, writes ENDLIST, and the stream is offline for newcomers."""
    async with person(stack) as ann:
        made = await ann.call("POST", "streams", {"title": "e2e"})
        with encoder(f"{stack.rtmp}/{made['stream_key']}", seconds=6):
            await until_live(ann, made["stream"])
            playlist = f"{stack.http}/live/{made['stream']}/source/index.m3u8"
            async with ann.http.get(f"{stack.http}/live/{made['stream']}.flv") as flv:
                body = await asyncio.wait_for(flv.content.read(), 20)
            text = await _until_ended(ann, playlist)
            refused = await _until_offline(ann, f"{stack.http}/live/{made['stream']}.flv")

    assert len(body) > 100_000
    assert text.rstrip().endswith("#EXT-X-ENDLIST")
    assert refused["code"] == "stream_offline"


async def test_a_stream_key_is_written_nowhere(stack: MatineeStack) -> None:
    """A good one and a bad one, as name, in the path and as ?key=: no log, metric or description shows either."""
    port = urlsplit(stack.rtmp).port
    assert port is not None
    async with person(stack) as ann:
        made = await ann.call("POST", "streams", {"title": "e2e"})
        good, bad = made["stream_key"], made["stream_key"][::-1]
        for key in (good, bad):
            for app, name in (("live", key), (f"live/{key}", ""), ("live", f"x?key={key}")):
                publisher = await RawPublisher.to(port)
                publisher.writer.write(HANDSHAKE + opening(app, name))
                await publisher.read_until(b"NetStream.Publish.")
                if key == good:
                    publisher.send_headers()
                    publisher.send_frame(key_frame(), 0)
                await publisher.close()
        shown = await ann.call("GET", f"streams/{made['stream']}")
        async with ann.http.get(str(stack.ready["metrics"])) as answer:
            metrics = await answer.text()
            assert answer.status == 200
    written = stack.log() + metrics + json.dumps(shown)

    assert made["stream"] in stack.log()
    assert "refused" in stack.log()
    assert good not in written
    assert bad not in written


@pytest.mark.browser
async def test_swagger_ui_shows_the_api(stack: MatineeStack, chromium: str) -> None:
    """/docs is Swagger UI on this server's own document, under the pages' own policy."""
    async with person(stack) as ann, browser(chromium) as running:
        page = await page_of(running, ann, "/docs")

        await page.wait_for_selector(".opblock-summary-path", timeout=60_000)
        paths = await page.locator(".opblock-summary-path").all_inner_texts()

    assert any("join" in path for path in paths)
