"""Servers and workers that die under a room: it goes on by itself, nothing acknowledged is lost or doubled."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

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
    redis_server: RunningServer,
) -> Iterator[RoomStack]:
    """Gateways and workers as they are asked for."""
    stack = RoomStack(
        tmp_path_factory.mktemp("outage"), nats=nats_url, postgres=module_postgres_dsn, redis=redis_server.url
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
