"""Servers and workers that die under a room: it goes on by itself, nothing acknowledged is lost or doubled."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from tests.embedded import RunningServer
from tests.integration.gateway_process import GatewayProcess, Person, visiting
from tests.integration.room_stack import RoomStack
from tests.integration.sockets import Socket, connected
from tests.workers import Worker

pytestmark = pytest.mark.connected


@pytest.fixture(scope="module")
def rooms(
    tmp_path_factory: pytest.TempPathFactory,
    nats_url: str,
    module_postgres_dsn: str,
    module_redis_url: str,
) -> Iterator[RoomStack]:
    """Gateways and workers as they are asked for."""
    stack = RoomStack(
        tmp_path_factory.mktemp("outage"), nats=nats_url, postgres=module_postgres_dsn, redis=module_redis_url
    )
    try:
        yield stack
    finally:
        stack.close()


@pytest.fixture(scope="module")
def workers(rooms: RoomStack) -> dict[str, list[Worker]]:
    """Two workers of each kind."""
    return {kind: rooms.workers.start(kind, 2) for kind in ("sync", "chat")}


@pytest.fixture(scope="module")
def gateways(rooms: RoomStack, workers: dict[str, list[Worker]]) -> tuple[GatewayProcess, GatewayProcess]:
    """Two gateways."""
    return rooms.gateway(), rooms.gateway()


@pytest.fixture
async def people(gateways: tuple[GatewayProcess, GatewayProcess]) -> AsyncIterator[tuple[Person, Person]]:
    """Somebody at each gateway."""
    async with visiting(gateways[0].own) as ann:
        await ann.register(f"ann-{time.time_ns()}")
        yield ann, await ann.somebody_else(gateways[1].own).register(f"bob-{time.time_ns()}")


async def say(socket: Socket, room: str, text: str) -> None:
    """Say it until it is acknowledged, as a client does that knows a resend is harmless."""
    for _ in range(10):
        answer = await socket.ask("chat", room=room, client_id=text, text=text)
        if answer["type"] == "ack":
            return
        assert answer["code"] == "unavailable", answer
        await asyncio.sleep(0.1)
    raise AssertionError(f"{text} was never acknowledged")


async def test_a_killed_chat_worker_loses_and_doubles_nothing(
    people: tuple[Person, Person], workers: dict[str, list[Worker]], rooms: RoomStack
) -> None:
    """Messages acknowledged while a worker dies are all there, once, in the same order for both."""
    ann, bob = people
    room = await ann.make_room()
    async with connected(ann) as a, connected(bob) as b:
        await a.join(room)
        await b.join(room)
        for number in range(40):
            if number == 10:
                workers["chat"].pop().kill()
            await say(a, room, f"m{number}")
        for socket in (a, b):
            await socket.until(lambda _, s=socket: s.texts(room)[-1:] == ["m39"])

        assert a.texts(room) == b.texts(room) == [f"m{number}" for number in range(40)]
    workers["chat"] += rooms.workers.start("chat")


async def test_a_killed_sync_worker_never_sets_the_room_back(
    people: tuple[Person, Person], workers: dict[str, list[Worker]], rooms: RoomStack
) -> None:
    """Commands are answered while a worker dies; revisions rise without a hole."""
    ann, bob = people
    room = await ann.make_room()
    async with connected(ann) as a, connected(bob) as b:
        await a.join(room)
        await b.join(room)
        for number in range(30):
            if number == 10:
                workers["sync"].pop().kill()
            answer = await a.ask("playback", room=room, action="rate", rate=1 + number / 100)
            assert answer["type"] == "ack", answer
        await b.until(lambda f: f["type"] == "playback" and f["state"]["rate"] == 1.29)

        revisions = [event["state"]["revision"] for event in b.events(room) if event["type"] == "playback"]
        assert revisions == list(range(1, 31))
    workers["sync"] += rooms.workers.start("sync")


async def test_sockets_live_through_a_restart_of_nats(
    people: tuple[Person, Person], nats_server: RunningServer
) -> None:
    """NATS killed under talk: the sockets stay, everything goes on within seconds, nothing is lost or doubled."""
    ann, bob = people
    room = await ann.make_room()
    async with connected(ann) as a, connected(bob) as b:
        joined = await a.join(room)
        await b.join(room)
        for number in range(10):
            await say(a, room, f"before {number}")
        nats_server.kill()
        saying = asyncio.ensure_future(say(a, room, "during"))
        await asyncio.sleep(0.3)
        nats_server.start()
        began = time.monotonic()
        await saying
        assert time.monotonic() - began < 15
        answer = await b.ask("playback", room=room, action="rate", rate=1.25)
        assert answer["type"] == "ack", answer
        for number in range(10):
            await say(b, room, f"after {number}")
        wanted = [f"before {n}" for n in range(10)] + ["during"] + [f"after {n}" for n in range(10)]
        for socket in (a, b):
            await socket.until(lambda _, s=socket: s.texts(room)[-1:] == ["after 9"])

        assert a.texts(room) == b.texts(room) == wanted
        async with connected(bob) as back:
            resumed = await back.join(room, after=joined["seq"], epoch=joined["epoch"])
            await back.until(lambda _: back.texts(room)[-1:] == ["after 9"])
            assert resumed["type"] == "resumed"
            assert back.texts(room) == wanted


async def test_a_room_whose_events_are_gone_begins_anew(
    people: tuple[Person, Person], nats_url: str, nats_server: RunningServer
) -> None:
    """Another stream of events is another epoch: members are given the room once more, and it goes on."""
    import nats

    ann, _ = people
    room = await ann.make_room()
    async with connected(ann) as a:
        joined = await a.join(room)
        await say(a, room, "kept in the database")
        client = await nats.connect(nats_url)
        await client.jetstream().delete_stream("ROOM_EVENTS")
        await client.close()
        nats_server.kill()
        nats_server.start()
        anew = await a.until(lambda f: f["type"] == "joined" and "id" not in f, within=20)
        await say(a, room, "in the new stream")
        await a.until(lambda _: a.texts(room)[-1:] == ["in the new stream"])

        assert anew["epoch"] != joined["epoch"]
        assert [message["text"] for message in anew["messages"]] == ["kept in the database"]
        async with connected(ann) as back:
            assert (await back.join(room, after=joined["seq"], epoch=joined["epoch"]))["type"] == "joined"


async def test_without_workers_a_command_is_unavailable_in_time(
    people: tuple[Person, Person], workers: dict[str, list[Worker]], rooms: RoomStack
) -> None:
    """Nobody there to answer: `unavailable` with a time to try again, and the socket goes on."""
    ann, _ = people
    room = await ann.make_room()
    for worker in workers["sync"]:
        worker.kill()
    workers["sync"].clear()
    async with connected(ann) as a:
        await a.join(room)
        began = time.monotonic()
        answer = await a.ask("playback", room=room, action="rate", rate=2)

        assert (answer["type"], answer["code"]) == ("error", "unavailable")
        assert answer["retry_after"] > 0
        assert time.monotonic() - began < 15
        assert (await a.ask("ping"))["type"] == "pong"
    workers["sync"] += rooms.workers.start("sync")


class Follower:
    """A client as it is to be: it keeps the newest `seq`, and resumes elsewhere when its gateway is gone."""

    def __init__(self, person: Person, room: str, *gateways: str) -> None:
        self.person = person
        self.room = room
        self.gateways = list(gateways)
        self.events: list[dict[str, Any]] = []
        self.joined_at = 0
        self.answers: list[str] = []
        """What each `join` was answered with."""
        self.socket: Socket | None = None
        self.inside = asyncio.Event()
        self._more = asyncio.Event()
        self._epoch: object = None

    async def follow(self) -> None:
        """Until cancelled; at the first gateway that answers."""
        while True:
            with suppress(aiohttp.ClientError, AssertionError, ConnectionError):
                async with connected(self.person, self.gateways[0]) as socket:
                    await self._read(socket)
            self.inside.clear()
            self.socket = None
            if len(self.gateways) > 1:
                del self.gateways[0]
            await asyncio.sleep(0.05)

    async def _read(self, socket: Socket) -> None:
        last = self.events[-1]["seq"] if self.events else self.joined_at
        resume = {} if self._epoch is None else {"after": last, "epoch": self._epoch}
        answer = await socket.join(self.room, **resume)
        self.answers.append(answer["type"])
        if self._epoch is None:
            self._epoch, self.joined_at = answer["epoch"], answer["seq"]
        self.socket = socket
        self.inside.set()
        taken = len(socket.events(self.room))
        self.events += socket.events(self.room)
        while True:
            await socket.next(within=30)
            seen = socket.events(self.room)
            self.events += seen[taken:]
            taken = len(seen)
            self._more.set()

    async def do(self, kind: str, *, again: bool, **fields: Any) -> dict[str, Any] | None:
        """Send a frame and give its answer; where the gateway dies with it, `again` elsewhere, or None."""
        while True:
            async with asyncio.timeout(20):
                await self.inside.wait()
            socket = self.socket
            if socket is None:
                continue
            with suppress(aiohttp.ClientError, ConnectionError):
                frame_id = await socket.send(kind, room=self.room, **fields)
                while self.socket is socket:
                    for frame in socket.frames:
                        if frame.get("id") == frame_id:
                            return frame
                    await asyncio.sleep(0.005)
            if not again:
                return None

    async def until_said(self, text: str) -> None:
        """Until this was said in the room, as this one sees it."""
        async with asyncio.timeout(30):
            while not any(e["type"] == "chat" and e["message"]["text"] == text for e in self.events):
                self._more.clear()
                await self._more.wait()


async def test_a_gateway_killed_under_load_is_resumed_exactly(
    people: tuple[Person, Person], rooms: RoomStack
) -> None:
    """kill -9 amid chat and playback: who was on it goes on at the other with each event once, in the one order."""
    ann, bob = people
    victim = rooms.gateway()
    room = await ann.make_room()
    witness = Follower(bob, room, bob.http)
    moved = [Follower(ann, room, victim.own, bob.http) for _ in range(4)]
    following = [asyncio.ensure_future(one.follow()) for one in (witness, *moved)]
    acked: list[str] = []
    revisions: list[int] = []
    amid = asyncio.Event()

    async def talk(one: Follower, name: str) -> None:
        for number in range(60):
            text = f"{name}{number}"
            answer = await one.do("chat", again=True, client_id=text, text=text)
            assert answer is not None
            assert answer["type"] == "ack", answer
            acked.append(text)
            if len(acked) == 40:
                amid.set()

    async def steer(one: Follower) -> None:
        for number in range(60):
            answer = await one.do("playback", again=False, action="rate", rate=1 + number / 100)
            if answer is not None:
                assert answer["type"] == "ack", answer
                revisions.append(answer["state"]["revision"])

    async def kill() -> None:
        await amid.wait()
        victim.process.kill()

    try:
        for one in (witness, *moved):
            async with asyncio.timeout(20):
                await one.inside.wait()
        await asyncio.gather(
            talk(witness, "w"),
            talk(moved[0], "m"),
            talk(moved[1], "n"),
            steer(moved[2]),
            steer(witness),
            kill(),
        )
        assert (await witness.do("chat", again=True, client_id="end", text="end") or {})["type"] == "ack"
        for one in (witness, *moved):
            await one.until_said("end")
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)

    end = next(e["seq"] for e in witness.events if e["type"] == "chat" and e["message"]["text"] == "end")
    true = [event for event in witness.events if event["seq"] <= end]
    for one in moved:
        assert one.answers == ["joined", "resumed"]
        expected = [event for event in true if event["seq"] > one.joined_at]
        assert [event for event in one.events if event["seq"] <= end] == expected
    said = [event["message"]["text"] for event in true if event["type"] == "chat"]
    assert sorted(said) == sorted({*acked, "end"})
    for name in "wmn":
        assert [text for text in said if text[0] == name] == [f"{name}{number}" for number in range(60)]
    told = [event["state"]["revision"] for event in true if event["type"] == "playback"]
    assert told == list(range(1, len(told) + 1))
    assert set(revisions) <= set(told)
    assert len(revisions) == len(set(revisions))
