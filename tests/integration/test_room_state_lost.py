"""What a room is worth when the bus has lost it: its queue is in PostgreSQL, its playback begins again."""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Iterator
from typing import Any

import nats
import pytest

from tests.embedded import RunningServer
from tests.integration.gateway_process import GatewayProcess, Person, visiting
from tests.integration.room_stack import RoomStack
from tests.integration.sockets import Socket, connected

pytestmark = pytest.mark.connected

_names = itertools.count(1)


@pytest.fixture(scope="module")
def rooms(
    tmp_path_factory: pytest.TempPathFactory,
    nats_url: str,
    module_postgres_dsn: str,
    module_redis_url: str,
) -> Iterator[RoomStack]:
    """Two sync workers, a chat worker, and gateways as they are asked for."""
    stack = RoomStack(
        tmp_path_factory.mktemp("lost"), nats=nats_url, postgres=module_postgres_dsn, redis=module_redis_url
    )
    try:
        stack.workers.start("sync", 2)
        stack.workers.start("chat")
        yield stack
    finally:
        stack.close()


@pytest.fixture(scope="module")
def gateways(rooms: RoomStack) -> tuple[GatewayProcess, GatewayProcess]:
    """Two gateways."""
    return rooms.gateway(), rooms.gateway()


@pytest.fixture
async def ann(gateways: tuple[GatewayProcess, GatewayProcess]) -> AsyncIterator[Person]:
    """Somebody with an account at the first gateway."""
    async with visiting(gateways[0].own) as person:
        yield await person.register(f"ann-{next(_names)}")


async def command(socket: Socket, room: str, **fields: Any) -> dict[str, Any]:
    """A command, as often as it takes while parts come back; the state after it."""
    for _ in range(20):
        answer = await socket.ask("playback", room=room, **fields)
        if answer["type"] == "ack":
            state: dict[str, Any] = answer["state"]
            return state
        assert answer["code"] == "unavailable", answer
        await asyncio.sleep(0.2)
    raise AssertionError("never answered")


async def test_a_room_goes_on_when_the_bus_has_lost_everything(
    ann: Person, gateways: tuple[GatewayProcess, GatewayProcess], nats_server: RunningServer
) -> None:
    """All of JetStream gone: members get a fresh `joined` with playlist and history, and playback works at once."""
    room = await ann.make_room()
    item = (
        await ann.post(f"rooms/{room}/playlist", {"kind": "url", "url": "http://media.example/a.mp4"})
    ).json["id"]
    async with connected(ann) as here, connected(ann, gateways[1].own) as there:
        for socket in (here, there):
            await socket.join(room)
        await command(here, room, action="select", item=item)
        await command(here, room, action="play")
        await there.until(lambda f: f["type"] == "playback" and f["state"]["playing"])
        nats_server.stop()
        shutil.rmtree(nats_server.server.directory / "jetstream")
        nats_server.start()

        for socket in (here, there):
            joined = await socket.of("joined", within=20)
            assert [one["id"] for one in joined["playlist"]["items"]] == [item]
            again = joined["state"]
            if again["item"] is None:  # else it began again before this one came back
                event = await socket.until(
                    lambda f: f["type"] == "playback" and f["state"]["item"] is not None, within=20
                )
                again = event["state"]
            assert (again["item"], again["position"], again["playing"]) == (item, 0, False)
        state = await command(there, room, action="play")
        await here.until(lambda f: f["type"] == "playback" and f["state"] == state)
        assert state["item"] == item
        assert (await ann.get(f"rooms/{room}/playback")).json["state"] == state


async def test_a_room_begins_with_the_mode_it_is_set_to(ann: Person) -> None:
    """As it is made, and again whenever the setting is set; members change the playback's mode, not the setting."""
    room = await ann.make_room(settings={"mode": "repeat_all"})
    async with connected(ann) as a:
        joined = await a.join(room)
        if joined["state"]["mode"] != "repeat_all":
            await a.until(lambda f: f["type"] == "playback" and f["state"]["mode"] == "repeat_all")
        await command(a, room, action="mode", mode="shuffle")
        kept = (await ann.get(f"rooms/{room}")).json["settings"]["mode"]
        await ann.send("PATCH", f"rooms/{room}", {"settings": {"mode": "repeat_all"}})
        await a.until(lambda f: f["type"] == "playback" and f["state"]["mode"] == "shuffle")
        again = await a.until(lambda f: f["type"] == "playback" and f["state"]["mode"] == "repeat_all")

    assert kept == "repeat_all"
    assert again["by"]["id"] == ann.user


async def test_a_room_goes_on_when_the_bucket_of_states_was_lost(
    ann: Person, gateways: tuple[GatewayProcess, GatewayProcess], nats_server: RunningServer
) -> None:
    """The bucket alone gone, the events kept: states are heard again, in one order with the rest."""
    room = await ann.make_room()
    item = (
        await ann.post(f"rooms/{room}/playlist", {"kind": "url", "url": "http://media.example/a.mp4"})
    ).json["id"]
    async with connected(ann) as here, connected(ann, gateways[1].own) as there:
        for socket in (here, there):
            await socket.join(room)
        await command(here, room, action="select", item=item)
        before = await command(here, room, action="rate", rate=1.5)
        client = await nats.connect(nats_server.url)
        await client.jetstream().delete_stream("KV_ROOMS")
        await client.close()
        nats_server.stop()
        nats_server.start()
        await here.of("playback")

        state = await command(there, room, action="play")
        heard = await here.until(lambda f: f["type"] == "playback" and f["state"]["playing"], within=20)
        assert (heard["state"], state["item"], state["rate"]) == (state, item, 1)
        assert state["revision"] > before["revision"]
        assert (await here.join(room))["state"] == state
