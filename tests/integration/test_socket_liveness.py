"""Peers that are gone without a word, and tokens that run out: found in time, whatever the other end does or not.

The intervals are settings, and short here. That the usual ones lead to 45 s is a unit test of `gateway.ws.liveness`.
"""

import asyncio
import base64
import itertools
import json
import os
import struct
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import jwt
import pytest
from yarl import URL

from gateway.auth.keys import Keys
from gateway.auth.tokens import ALGORITHM
from runtime.postgres import connect
from tests.integration.gateway_process import GatewayProcess, Person, visiting
from tests.integration.room_stack import RoomStack
from tests.integration.sockets import connected

pytestmark = pytest.mark.connected

PING_S = 0.4
DEAD_WITHIN_S = 2.15 * PING_S + 3
"""Two pings and their answer, and it is looked once a second what is due."""
TOLD_S = 6.0
"""Beyond it: presence, and that somebody left."""
GRACE_S = 1.0

_names = itertools.count(1)


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory,
    nats_url: str,
    module_postgres_dsn: str,
    module_redis_url: str,
) -> Iterator[GatewayProcess]:
    """A gateway that asks often, with a chat worker behind it."""
    stack = RoomStack(
        tmp_path_factory.mktemp("liveness"),
        nats=nats_url,
        postgres=module_postgres_dsn,
        redis=module_redis_url,
    )
    try:
        stack.workers.start("chat")
        yield stack.gateway(GATEWAY__PING_S=str(PING_S), GATEWAY__TOKEN_GRACE_S=str(GRACE_S))
    finally:
        stack.close()


@pytest.fixture
async def ann(gateway: GatewayProcess) -> AsyncIterator[Person]:
    """Somebody with an account."""
    async with visiting(gateway.own) as person:
        yield await person.register(f"ann-{next(_names)}")


@asynccontextmanager
async def silent_peer(
    person: Person, room: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that joined a room and answers no ping: like one whose other end lost its power."""
    url = URL(person.http)
    # So little room that whoever does not read is soon full.
    reader, writer = await asyncio.open_connection(url.host, url.port, limit=2_048)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /ws?token={person.token} HTTP/1.1\r\nHost: {url.host}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: matinee.v1\r\n\r\n".encode()
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    writer.write(masked({"type": "join", "id": "j", "room": room}))
    try:
        yield reader, writer
    finally:
        writer.close()


def masked(frame: dict[str, object]) -> bytes:
    """A client's text frame; a mask of zeros changes nothing."""
    body = json.dumps(frame).encode()
    assert len(body) < 126
    return struct.pack("!BB4x", 0x81, 0x80 | len(body)) + body


async def test_a_peer_that_answers_no_ping_is_cut_off_and_the_room_is_told(ann: Person) -> None:
    """It never reads and never writes: nobody is there, and the others learn it."""
    room = await ann.make_room()
    bob = await ann.somebody_else().come_as_guest()
    async with connected(ann) as a:
        await a.join(room)
        async with silent_peer(bob, room):
            await a.of("member", change="joined")
            began = time.monotonic()
            left = await a.of("member", change="left", within=DEAD_WITHIN_S + TOLD_S)

        assert left["member"]["user"]["id"] == bob.user
        assert time.monotonic() - began < DEAD_WITHIN_S + TOLD_S


async def test_a_dead_peer_is_found_in_time(ann: Person) -> None:
    """Its connection ends within two pings and the time to answer them."""
    room = await ann.make_room()
    async with silent_peer(ann, room) as (reader, _):
        began = time.monotonic()
        async with asyncio.timeout(DEAD_WITHIN_S + 2):
            try:
                while await reader.read(65_536):
                    pass
            except ConnectionError:
                pass  # Cut off hard: that is the point.
        took = time.monotonic() - began

    assert PING_S < took < DEAD_WITHIN_S


async def test_a_peer_that_does_not_even_read_is_found_too(ann: Person) -> None:
    """With its buffers full no ping reaches it: that is no reason to wait longer."""
    room = await ann.make_room()
    bob = await ann.somebody_else().come_as_guest()
    async with connected(ann) as a:
        await a.join(room)
        async with silent_peer(bob, room):
            await a.of("member", change="joined")
            began = time.monotonic()
            left = asyncio.ensure_future(a.of("member", change="left", within=DEAD_WITHIN_S + TOLD_S))
            number = 0
            while not left.done() and number < 3_000:
                number += 1
                await a.send("chat", room=room, client_id=f"c{number}", text="x" * 2_000)
                await asyncio.sleep(0.002)
            await left

        assert time.monotonic() - began < DEAD_WITHIN_S + TOLD_S


async def test_a_peer_that_only_answers_pings_lives_on(ann: Person) -> None:
    """Quiet is not dead."""
    room = await ann.make_room()
    async with connected(ann) as a:
        await a.join(room)
        await a.drained(DEAD_WITHIN_S + 1)

        assert (await a.ask("ping"))["type"] == "pong"


async def test_a_peer_that_sends_but_never_pongs_lives_on(ann: Person) -> None:
    """Any frame is a sign of life."""
    room = await ann.make_room()
    async with silent_peer(ann, room) as (reader, writer):
        until = time.monotonic() + DEAD_WITHIN_S + 1
        while time.monotonic() < until:
            writer.write(masked({"type": "ping"}))
            await asyncio.sleep(PING_S / 2)
            assert await reader.read(65_536)


async def token_for(dsn: str, person: Person, life_s: float) -> str:
    """A token of this person's that lives so long."""
    pool = await connect(dsn, size=1, application="test")
    try:
        keys = Keys(pool)
        await keys.load_or_make(int(time.time() * 1000))
    finally:
        await pool.close()
    claims = jwt.decode(person.token or "", options={"verify_signature": False})
    # Whole seconds, as our tokens have them.
    claims["exp"] = int(time.time() + life_s)
    return jwt.encode(claims, keys.signing.private, algorithm=ALGORITHM, headers={"kid": keys.signing.kid})


async def test_an_expired_token_closes_its_socket_after_the_grace_unless_renewed(
    ann: Person, module_postgres_dsn: str
) -> None:
    """Two sockets with a token that ends: the one brings another by `auth` and stays, the other gets 4001."""
    token = await token_for(module_postgres_dsn, ann, 3)
    began = time.time()
    async with connected(ann, token=token) as renewed, connected(ann, token=token) as left:
        assert (await renewed.ask("auth", token=ann.token))["type"] == "ack"

        # Both read all the time: a client that does not read answers no ping.
        code, _ = await asyncio.gather(left.closed(within=3 + GRACE_S + 3), renewed.drained(3 + GRACE_S + 2))
        assert code == 4001
        assert time.time() - began > 1 + GRACE_S
        assert (await renewed.ask("ping"))["type"] == "pong"


async def test_a_token_that_has_expired_opens_nothing(ann: Person, module_postgres_dsn: str) -> None:
    """Nor does it renew: 4001 at once, and `unauthenticated` for `auth`."""
    token = await token_for(module_postgres_dsn, ann, -1)
    async with connected(ann, token=token) as late, connected(ann) as a:
        assert await late.closed() == 4001
        assert await a.refused("auth", token=token) == "unauthenticated"
        assert (await a.ask("ping"))["type"] == "pong"
