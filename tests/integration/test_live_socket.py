"""FLV over WebSocket from a real gateway on a real bus."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import pytest

from media import flv
from runtime.postgres import migrate
from tests.integration.gateway_process import GatewayProcess
from tests.integration.live_encoder import Encoder
from tests.integration.live_site import WITHIN, Site, visiting_site

pytestmark = pytest.mark.connected


@pytest.fixture
def gateways(
    tmp_path: Path, nats_url: str, postgres_dsn: str, redis_url: str
) -> Iterator[list[GatewayProcess]]:
    """One gateway for each test, which may tell it to go."""
    asyncio.run(migrate(postgres_dsn))
    running = GatewayProcess(
        tmp_path / "0.log", nats=nats_url, postgres=postgres_dsn, redis=redis_url, LIVE__STALL_S="2"
    )
    try:
        running.wait_ready()
        yield [running]
    finally:
        running.stop()


@pytest.fixture
async def site(gateways: list[GatewayProcess], nats_url: str) -> AsyncIterator[Site]:
    async with visiting_site(gateways, nats_url) as there:
        yield there


def _connect(site: Site, stream: str) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
    address = site.gateways[0].http.replace("http", "ws", 1)
    return site.session.ws_connect(f"{address}/live/{stream}/ws", max_msg_size=0)


async def _until(socket: aiohttp.ClientWebSocketResponse, wanted: bytes) -> bytes:
    """All bytes up to and with these."""
    received = b""
    async with asyncio.timeout(WITHIN):
        while wanted not in received:
            received += await socket.receive_bytes()
    return received


async def test_the_messages_joined_are_the_file_that_http_viewers_get(site: Site) -> None:
    """File header, headers, the newest key frame, and every tag after it; at the end the socket closes with 1000."""
    encoder = Encoder(site.bus, await site.make_stream())
    await encoder.begin(frames=5)
    await encoder.send(5, key=True)
    async with site.watch(encoder.stream) as viewer, _connect(site, encoder.stream) as socket:
        later = await encoder.send(20, paced=True)
        received = await _until(socket, later[-1])
        file = await viewer.wait_for(later[-1])

        await encoder.end()
        last = await socket.receive(WITHIN)

    assert received == file
    assert len(list(flv.demux(received[13:]))) == 3 + 5 + 20
    assert last.type is aiohttp.WSMsgType.CLOSE
    assert last.data == 1000


async def test_a_gateway_that_goes_says_so(site: Site, gateways: list[GatewayProcess]) -> None:
    """1001 tells a player to connect again, elsewhere, where 1000 tells it that the stream is over."""
    encoder = Encoder(site.bus, await site.make_stream())
    frames = await encoder.begin(frames=5)
    async with _connect(site, encoder.stream) as socket:
        await _until(socket, frames[-1][-40:])

        gateways[0].process.send_signal(signal.SIGTERM)
        last = await socket.receive(WITHIN)

    assert last.type is aiohttp.WSMsgType.CLOSE
    assert last.data == 1001


async def test_a_viewer_who_leaves_is_let_go(site: Site) -> None:
    """His session and his place in the fan-out end with his socket."""
    encoder = Encoder(site.bus, await site.make_stream())
    frames = await encoder.begin(frames=5)
    async with _connect(site, encoder.stream) as socket:
        await _until(socket, frames[-1][-40:])
        await site.until('matinee_live_viewers{protocol="ws-flv"}', 1)

    await site.until('matinee_live_viewers{protocol="ws-flv"}', 0)


async def test_what_a_viewer_says_is_bounded(site: Site) -> None:
    """A message too large for one who has nothing to say closes his socket, and harms nobody."""
    encoder = Encoder(site.bus, await site.make_stream())
    frames = await encoder.begin(frames=5)
    async with _connect(site, encoder.stream) as loud, _connect(site, encoder.stream) as other:
        await loud.send_bytes(bytes(1 << 20))
        while (message := await loud.receive(WITHIN)).type is aiohttp.WSMsgType.BINARY:
            pass
        await _until(other, frames[-1][-40:])

        more = await encoder.send(2)
        await _until(other, more[-1])

    assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
