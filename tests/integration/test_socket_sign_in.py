"""Tokens on the socket: how they come, how they are renewed, when they end."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from runtime.clock import now_ms
from tests.integration.gateway_process import GatewayProcess, Person, visiting
from tests.integration.room_stack import RoomStack
from tests.integration.sockets import Socket, connected

pytestmark = pytest.mark.connected


@pytest.fixture(scope="module")
def gateways(
    tmp_path_factory: pytest.TempPathFactory,
    nats_url: str,
    module_postgres_dsn: str,
    module_redis_url: str,
) -> Iterator[tuple[GatewayProcess, GatewayProcess]]:
    """Two gateways, without workers."""
    stack = RoomStack(
        tmp_path_factory.mktemp("sign-in"),
        nats=nats_url,
        postgres=module_postgres_dsn,
        redis=module_redis_url,
    )
    try:
        yield stack.gateway(), stack.gateway()
    finally:
        stack.close()


@pytest.fixture
async def ann(gateways: tuple[GatewayProcess, GatewayProcess]) -> AsyncIterator[Person]:
    """Somebody with an account."""
    async with visiting(gateways[0].own) as person:
        yield await person.register(f"ann-{os.urandom(4).hex()}")


async def closed_with(person: Person, **options: object) -> int | None:
    url = f"{person.http}/ws".replace("http", "ws", 1)
    async with person.session.ws_connect(url, **options) as ws:  # type: ignore[arg-type]
        return await Socket(ws).closed()


def rewritten(token: str, **claims: object) -> str:
    """The token with other claims, signed with a key of our own."""
    key = rsa.generate_private_key(65_537, 2_048)
    header = jwt.get_unverified_header(token)
    whole = {**jwt.decode(token, options={"verify_signature": False}), **claims}
    return jwt.encode(whole, key, algorithm="RS256", headers={"kid": header["kid"]})


@pytest.mark.parametrize("way", ["header", "query", "subprotocol"])
async def test_a_token_may_come_in_three_ways(ann: Person, way: str) -> None:
    """By Authorization, by query, by a second subprotocol, of which only the first is answered."""
    options: dict[str, dict[str, object]] = {
        "header": {"headers": {"Authorization": f"Bearer {ann.token}"}, "protocols": ("matinee.v1",)},
        "query": {"params": {"token": ann.token}},
        "subprotocol": {"protocols": ("matinee.v1", f"bearer.{ann.token}")},
    }
    url = f"{ann.http}/ws".replace("http", "ws", 1)
    async with ann.session.ws_connect(url, **options[way]) as ws:  # type: ignore[arg-type]
        socket = Socket(ws)

        assert (await socket.ask("ping"))["type"] == "pong"
        assert ws.protocol == (None if way == "query" else "matinee.v1")


async def test_without_a_good_token_the_socket_closes_with_4001(ann: Person) -> None:
    """None, garbage, forged, unsigned, foreign or expired: 4001."""
    token = ann.token or ""
    head, payload, signature = token.split(".")
    unsigned = jwt.encode(jwt.decode(token, options={"verify_signature": False}), "", algorithm="none")
    bad = [
        "",
        "garbage",
        f"{head}.{payload}.{signature[::-1]}",
        f"{head}.{payload}.",
        unsigned,
        rewritten(token),
        rewritten(token, exp=1),
        rewritten(token, iss="somebody else"),
        "x" * 5_000,
    ]

    codes = [await closed_with(ann, params={"token": one}) for one in bad]

    assert codes == [4001] * len(bad)
    assert await closed_with(ann) == 4001


async def test_another_subprotocol_is_refused_before_the_handshake(ann: Person) -> None:
    """A client that speaks something else is told so over HTTP."""
    url = f"{ann.http}/ws".replace("http", "ws", 1)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await ann.session.ws_connect(url, protocols=(f"bearer.{ann.token}",))

    assert refused.value.status == 400


async def test_a_token_is_renewed_only_by_its_owner(ann: Person) -> None:
    """`auth` takes a fresher token of the same user; a bad or foreign one is refused and changes nothing."""
    somebody = await ann.somebody_else().come_as_guest()
    fresh = (await ann.post("auth/refresh", {"refresh_token": ann.refresh_token})).json["access_token"]
    async with connected(ann) as socket:
        assert (await socket.ask("auth", token=fresh))["type"] == "ack"
        assert await socket.refused("auth", token=somebody.token) == "forbidden"
        assert await socket.refused("auth", token="garbage") == "unauthenticated"
        assert (await socket.ask("ping"))["type"] == "pong"


async def test_signing_out_closes_the_sockets_everywhere(
    ann: Person, gateways: tuple[GatewayProcess, GatewayProcess]
) -> None:
    """Within seconds the sockets of the sign-in are closed with 4001 on every gateway, and no others."""
    other = await ann.somebody_else().come_as_guest()
    async with connected(ann) as here, connected(ann, gateways[1].own) as there, connected(other) as stays:
        assert (await ann.post("auth/logout")).status in {200, 204}
        began = asyncio.get_running_loop().time()

        assert (await here.closed(), await there.closed()) == (4001, 4001)
        assert asyncio.get_running_loop().time() - began < 3
        assert (await stays.ask("ping"))["type"] == "pong"
    assert await closed_with(ann, params={"token": ann.token}) == 4001


async def test_clock_samples_are_stamped_by_the_server(ann: Person) -> None:
    """t0 comes back as sent; t1 and t2 are the server's, in order."""
    async with connected(ann) as socket:
        before = now_ms()
        sample = await socket.ask("time", t0=12.5)
        after = now_ms()

    assert sample["t0"] == 12.5
    assert before <= sample["t1"] <= sample["t2"] <= after
