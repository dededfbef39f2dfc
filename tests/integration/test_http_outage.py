"""PostgreSQL, Redis and NATS go away and come back while a gateway serves."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import nats
import pytest

from ops.embedded.postgres import PostgresServer
from runtime.postgres import migrate
from tests.embedded import RunningServer, servers_in
from tests.integration.gateway_process import GatewayProcess, Person, visiting

pytestmark = pytest.mark.connected


class Site:
    """A gateway and servers of its own, which a test may kill."""

    def __init__(self, directory: Path) -> None:
        servers = servers_in(directory)
        self.nats = RunningServer(servers.nats)
        self.redis = RunningServer(servers.redis)
        self.postgres = RunningServer(servers.postgres)
        assert isinstance(servers.postgres, PostgresServer)
        self.dsn = servers.postgres.url_of("postgres")
        self.log = directory / "gateway.log"
        self.gateway: GatewayProcess | None = None

    @property
    def http(self) -> str:
        assert self.gateway is not None
        return self.gateway.http

    def start(self) -> None:
        for server in (self.nats, self.redis, self.postgres):
            server.start()
        asyncio.run(migrate(self.dsn))
        self.gateway = GatewayProcess(
            self.log, nats=self.nats.url, postgres=self.dsn, redis=self.redis.url, LIMITS__ENABLED="false"
        )
        self.gateway.wait_ready()

    async def flush(self) -> None:
        """Make what was committed outlive a kill: test servers commit without waiting for it."""
        connection = await asyncpg.connect(self.dsn)
        await connection.execute("SET synchronous_commit = on")
        await connection.execute("UPDATE users SET email = email")
        await connection.close()

    def stop(self) -> None:
        if self.gateway is not None:
            self.gateway.stop()
        for server in (self.nats, self.redis, self.postgres):
            server.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Shared by the tests of this module, each of which leaves all servers running."""
    running = Site(tmp_path_factory.mktemp("site"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


async def test_while_postgres_is_away_it_is_unavailable_and_then_heals(site: Site) -> None:
    """503 with Retry-After within the deadline, not a hang and not a 500; not ready; then all is well."""
    async with visiting(site.http) as person:
        await person.register("ada")
        room = await person.make_room()
        await site.flush()
        site.postgres.kill()
        try:
            began = time.monotonic()
            answers = await asyncio.gather(
                *(person.get("users/me") for _ in range(10)),
                *(person.get(f"rooms/{room}") for _ in range(10)),
            )
            assert time.monotonic() - began < 20
            assert {(answer.status, answer.code) for answer in answers} == {(503, "unavailable")}
            assert all(answer.headers["Retry-After"] for answer in answers)
            await until(person, "/readyz", 503)
            assert (await person.get("time?t0=0")).status == 200
        finally:
            site.postgres.start()
        await until(person, "users/me", 200)
        await until(person, "/readyz", 200)
        assert (await person.get(f"rooms/{room}")).status == 200


async def test_while_redis_is_away_people_sign_in_and_what_was_revoked_stays_so(site: Site) -> None:
    """Signing out is unavailable, but counts here; an empty Redis is filled again."""
    async with visiting(site.http) as person:
        out = await person.somebody_else().register("bob")
        await out.post("auth/logout")
        site.redis.kill()
        try:
            other = await person.somebody_else().register("eve")
            assert (await other.get("users/me")).status == 200
            assert (await out.get("users/me")).status == 401
            assert (await other.post("auth/logout")).status == 503
        finally:
            site.redis.start()
        give_up = time.monotonic() + 20
        while (
            await (await person.somebody_else().register(f"x{time.monotonic()}")).post("auth/logout")
        ).status != 204:
            assert time.monotonic() < give_up
            await asyncio.sleep(0.1)
        assert (await out.get("users/me")).status == 401
        assert (await other.get("users/me")).status == 401


async def test_events_written_while_nats_is_away_go_out_once_it_is_back(site: Site) -> None:
    """The change is made, the event follows later, in order, once."""
    async with visiting(site.http) as person:
        await person.register("grace")
        room = await person.make_room()
        site.nats.kill()
        try:
            for n in range(3):
                answer = await person.post(
                    f"rooms/{room}/playlist", {"kind": "url", "url": f"https://media.example/{n}"}
                )
                assert answer.status == 201
            await until(person, "/readyz", 503)
        finally:
            site.nats.start()
        events = await room_events(site.nats.url, room, 3)
        await until(person, "/readyz", 200)

    assert [event["version"] for event in events] == [1, 2, 3]
    await outbox_is_empty(site.dsn)


async def test_rows_left_by_a_gateway_that_died_are_relayed_by_another(site: Site) -> None:
    """A row in the outbox goes out, whoever wrote it; twice in it, it is stored once."""
    async with visiting(site.http) as person:
        await person.register("alan")
        room = await person.make_room()
    body = json.dumps({"type": "room_deleted", "room": room, "at": 1})
    connection = await asyncpg.connect(site.dsn)
    for _ in range(2):
        await connection.execute(
            "INSERT INTO outbox (id, subject, stream, body, traceparent) VALUES ('left', $1, 'ROOM_EVENTS', $2, '')",
            f"room.{room}.event", body,
        )  # fmt: skip
    await connection.close()

    assert await room_events(site.nats.url, room, 1) == [json.loads(body)]

    await outbox_is_empty(site.dsn)
    client = await nats.connect(site.nats.url)
    info = await client.jetstream().stream_info("ROOM_EVENTS", subjects_filter=f"room.{room}.event")
    await client.close()
    assert (info.state.subjects or {})[f"room.{room}.event"] == 1


async def test_a_row_too_large_for_the_bus_does_not_hold_up_the_others(site: Site) -> None:
    """It is given up and logged; the event behind it goes out."""
    async with visiting(site.http) as person:
        await person.register("ken")
        room = await person.make_room()
        connection = await asyncpg.connect(site.dsn)
        await connection.execute(
            "INSERT INTO outbox (id, subject, stream, body, traceparent)"
            " VALUES ('huge', $1, 'ROOM_EVENTS', repeat('x', 9000000), '')",
            f"room.{room}.event",
        )
        await connection.close()
        await person.send("PATCH", f"rooms/{room}", {"name": "After it"})

        events = await room_events(site.nats.url, room, 1)

    assert [event["type"] for event in events] == ["settings"]
    assert "over the bus's limit given up" in site.log.read_text()


async def until(person: Person, path: str, status: int, within: float = 20.0) -> None:
    """Ask until the answer has this status."""
    give_up = time.monotonic() + within
    while (answer := await person.get(path)).status != status:
        assert time.monotonic() < give_up, answer
        await asyncio.sleep(0.05)


async def outbox_is_empty(dsn: str) -> None:
    """All rows are gone in time."""
    connection = await asyncpg.connect(dsn)
    try:
        give_up = time.monotonic() + 20
        while await connection.fetchval("SELECT count(*) FROM outbox"):
            assert time.monotonic() < give_up
            await asyncio.sleep(0.05)
    finally:
        await connection.close()


async def room_events(nats_url: str, room: str, count: int) -> list[dict[str, object]]:
    """The first events of a room, waited for."""
    give_up = time.monotonic() + 20
    client = await nats.connect(nats_url)
    try:
        while True:
            info = await client.jetstream().stream_info("ROOM_EVENTS", subjects_filter=f"room.{room}.event")
            if (info.state.subjects or {}).get(f"room.{room}.event", 0) >= count:
                break
            assert time.monotonic() < give_up
            await asyncio.sleep(0.05)
        subscription = await client.jetstream().subscribe(
            f"room.{room}.event", stream="ROOM_EVENTS", ordered_consumer=True
        )
        return [json.loads((await subscription.next_msg(timeout=20)).data) for _ in range(count)]
    finally:
        await client.close()
