"""kill -9 of any part while people stream, watch and talk: nobody loses anything."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from bench.hls import HlsPuller
from bench.hls_check import Checker
from bench.picture import make_loop
from bench.rtmp import RtmpClient, RtmpRefusedError
from bench.viewers import FlvViewer
from tests.e2e.people import Member, Person, person, until_live
from tests.stack import MatineeStack, start_matinee

pytestmark = pytest.mark.e2e

LOOP = make_loop(500)
BACK_WITHIN = 40.0


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MatineeStack]:
    """Two of each kind, so that there is always another."""
    scale = "gateway=2,ingest=2,transmux=2,sync=2,chat=2"
    running = start_matinee(
        tmp_path_factory.mktemp("scaled"), "--scale", scale, environment={"MATINEE_LIMITS__ENABLED": "false"}
    )
    yield running
    running.stop()


@dataclass
class Evening:
    """Everything that goes on while something is killed."""

    ann: Person
    stream: str
    flv: FlvViewer
    hls: HlsPuller
    rules: Checker
    speaker: Member
    listener: Member
    said: list[str] = field(default_factory=list)
    commanded: list[int] = field(default_factory=list)
    """Revisions of the playback that were acknowledged, in the order of the commands."""


async def _publish_for_ever(url: str) -> None:
    """An encoder that connects again by itself, as they do."""
    while True:
        with suppress(RtmpRefusedError, ConnectionError, OSError, asyncio.TimeoutError):
            await RtmpClient(url).publish(LOOP, 600)
        await asyncio.sleep(0.5)


async def _talk(evening: Evening) -> None:
    for number in range(10_000):
        text = f"message {number}"
        evening.said.append(text)
        await evening.speaker.say(text)
        await asyncio.sleep(0.1)


async def _command(evening: Evening) -> None:
    for number in range(10_000):
        state = await evening.speaker.command(action="rate", rate=1 + number % 100 / 100)
        evening.commanded.append(state["revision"])
        await asyncio.sleep(0.1)


@asynccontextmanager
async def an_evening(stack: MatineeStack) -> AsyncIterator[Evening]:
    """A stream watched over FLV and LL-HLS on the first gateway; a speaker there, a listener on the second."""
    gateways = [str(gateway["http"]).rstrip("/") for gateway in stack.gateways]
    async with (
        person(stack) as ann,
        aiohttp.ClientSession() as viewers,
        aiohttp.ClientSession(auto_decompress=False) as judges,
    ):
        ann.base = gateways[0]
        made = await ann.call("POST", "streams", {"title": "evening"})
        room = (await ann.call("POST", "rooms", {"name": "evening"}))["id"]
        base = f"{gateways[0]}/live/{made['stream']}"
        evening = Evening(
            ann,
            made["stream"],
            FlvViewer(f"{base}.flv", LOOP.frame_ms),
            HlsPuller(f"{base}/source/index.m3u8"),
            Checker(f"{base}/source/index.m3u8", retry_s=10),
            Member(ann, room, gateways),
            Member(ann, room, gateways[::-1]),
        )
        until = asyncio.Event()
        publishing = asyncio.ensure_future(_publish_for_ever(f"{stack.rtmp}/{made['stream_key']}"))
        tasks = [publishing]
        try:
            await until_live(ann, made["stream"])
            tasks += [
                asyncio.ensure_future(evening.flv.run(viewers, until)),
                asyncio.ensure_future(evening.hls.run(viewers, until)),
                asyncio.ensure_future(evening.rules.run(judges, until)),
                asyncio.ensure_future(evening.speaker.live()),
                asyncio.ensure_future(evening.listener.live()),
                asyncio.ensure_future(_talk(evening)),
                asyncio.ensure_future(_command(evening)),
            ]
            await asyncio.sleep(3)
            yield evening
        finally:
            until.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _kill(stack: MatineeStack, kind: str, number: int = 0) -> None:
    """kill -9, then wait until the supervisor has put another in its place."""
    victim = stack.pids(kind)[number]
    os.kill(victim, signal.SIGKILL)
    deadline = asyncio.get_running_loop().time() + BACK_WITHIN
    while victim in stack.pids(kind) or not stack.pids(kind):
        assert asyncio.get_running_loop().time() < deadline, (
            f"{kind} was not replaced:\n{stack.log()[-3000:]}"
        )
        await asyncio.sleep(0.05)


def _progress(evening: Evening) -> tuple[int, ...]:
    return (evening.flv.tags, evening.hls.parts, len(evening.speaker.acked), len(evening.commanded))


async def _all_goes_on(evening: Evening) -> None:
    """Wait until more came of everything: tags, parts, messages and commands."""
    before = _progress(evening)
    deadline = asyncio.get_running_loop().time() + BACK_WITHIN
    while any(now <= then for now, then in zip(_progress(evening), before, strict=True)):
        assert asyncio.get_running_loop().time() < deadline, (before, _progress(evening))
        await asyncio.sleep(0.05)


async def _asked(someone: Person, path: str) -> dict[str, Any]:
    """What is answered once nothing is `unavailable` any more, which a restart may be for a moment."""
    deadline = asyncio.get_running_loop().time() + BACK_WITHIN
    while True:
        try:
            return await someone.call("GET", path)
        except AssertionError as refused:
            if "503" not in str(refused) or asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.2)


async def _nothing_lost_or_doubled(evening: Evening) -> None:
    """Every acked message stands once in the history, and came to both members once, in one order; so did commands."""
    spoken, commanded = list(evening.speaker.acked), list(evening.commanded)
    await asyncio.sleep(1.5)
    room = evening.speaker.room
    history: list[str] = []
    before = ""
    while True:
        page: dict[str, Any] = await _asked(evening.ann, f"rooms/{room}/messages?limit=100{before}")
        history += [item["text"] for item in page["items"]]
        if not page.get("next"):
            break
        before = f"&before={page['next']}"
    assert [text for text, times in Counter(history).items() if times > 1] == []
    assert set(spoken) <= set(history)
    assert commanded == sorted(set(commanded)), "a command was answered with an older state"
    for member in (evening.speaker, evening.listener):
        sequence = [event["seq"] for event in member.events]
        assert sequence == sorted(set(sequence)), "an event came twice or out of order"
        revisions = [event["state"]["revision"] for event in member.events if event["type"] == "playback"]
        assert revisions == sorted(set(revisions)), "the room's state went back"
        if member.snapshots <= 1 and revisions:
            assert revisions == list(range(revisions[0], revisions[-1] + 1)), "a state is missing"
            assert revisions[-1] >= max(commanded, default=0)
        heard = [event["message"]["text"] for event in member.events if event["type"] == "chat"]
        assert [text for text, times in Counter(heard).items() if times > 1] == []
        if member.snapshots <= 1:
            first = spoken.index(heard[0]) if heard and heard[0] in spoken else 0
            assert [text for text in spoken[first:] if text not in heard] == []


@pytest.mark.parametrize("kind", ["transmux", "sync", "chat"])
async def test_a_worker_killed_is_not_noticed(scaled: MatineeStack, kind: str) -> None:
    """Either worker of a kind dies, one after the other: FLV and HLS have no gap, chat loses and doubles nothing."""
    async with an_evening(scaled) as evening:
        for number in (0, 1):
            await _kill(scaled, kind, number)
            await asyncio.sleep(4)

        await _all_goes_on(evening)

        assert (evening.flv.gaps, evening.hls.gaps) == ([], [])
        assert evening.rules.book.faults == []
        assert evening.hls.longest_wait_s < 3
        await _nothing_lost_or_doubled(evening)


async def test_a_gateway_killed_costs_its_members_one_reconnect(scaled: MatineeStack) -> None:
    """The other gateway's viewers see nothing; the dead one's member resumes elsewhere without loss or repeat."""
    async with an_evening(scaled) as evening:
        await _kill(scaled, "gateway", 1)
        await asyncio.sleep(4)

        assert (evening.flv.gaps, evening.hls.gaps) == ([], [])
        assert evening.speaker.connections == 1
        assert evening.listener.connections >= 2
        await _nothing_lost_or_doubled(evening)


async def test_an_ingest_killed_keeps_its_viewers(scaled: MatineeStack) -> None:
    """The publisher comes back to the other ingest; FLV viewers stay connected, the media sequence goes on."""
    async with an_evening(scaled) as evening:
        for number in (0, 1):
            await _kill(scaled, "ingest", number)
            await asyncio.sleep(4)

        await _all_goes_on(evening)

        assert [gap for gap in evening.flv.gaps if not gap.startswith("DTS")] == []
        assert evening.hls.gaps == []
        assert evening.rules.book.faults == []


@pytest.mark.parametrize("server", ["nats", "postgres", "redis"])
async def test_a_server_killed_comes_back_by_itself(scaled: MatineeStack, server: str) -> None:
    """Five seconds after a server died under load everything goes on: viewers, playlists, chat."""
    async with an_evening(scaled) as evening:
        await _kill(scaled, server)
        await asyncio.sleep(5)

        await _all_goes_on(evening)

        assert [gap for gap in evening.flv.gaps if not gap.startswith("DTS")] == []
        await _nothing_lost_or_doubled(evening)
