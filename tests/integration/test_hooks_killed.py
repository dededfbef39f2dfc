"""`on_stop` for viewers whose gateway or worker was killed: somebody else tells, and only once."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from bus_schemas.messages.live import PlayAnswered, PlayAsked
from bus_schemas.subjects import LIVE_PLAY
from runtime.postgres import migrate
from tests.integration.gateway_process import GatewayProcess
from tests.integration.hook_server import SECRET, HookServer, hook_server
from tests.integration.ingest_worker import until
from tests.integration.live_encoder import Encoder, Packager
from tests.integration.live_site import Site, visiting_site

pytestmark = pytest.mark.connected

NOTICED_S = 25.0
"""A dead gateway's viewers expire after 12 s; it is looked for them every 2 s, 3 s later."""


@pytest.fixture
async def server() -> AsyncIterator[HookServer]:
    async with hook_server() as listening:
        yield listening


@pytest.fixture
async def site(
    tmp_path_factory: pytest.TempPathFactory,
    nats_url: str,
    postgres_dsn: str,
    redis_url: str,
    server: HookServer,
) -> AsyncIterator[Site]:
    """Three gateways, of which the last is there to be killed."""
    await asyncio.to_thread(asyncio.run, migrate(postgres_dsn))
    directory = tmp_path_factory.mktemp("killed")
    running = [
        GatewayProcess(
            directory / f"{n}.log", nats=nats_url, postgres=postgres_dsn, redis=redis_url,
            HOOKS__ON_STOP=server.url(), HOOKS__SECRET=SECRET,
        )
        for n in range(3)
    ]  # fmt: skip
    try:
        for gateway in running:
            await asyncio.to_thread(gateway.wait_ready)
        async with visiting_site(running, nats_url) as there:
            yield there
    finally:
        for gateway in running:
            await asyncio.to_thread(gateway.stop)


async def test_viewers_of_the_dead_are_told_of_once(site: Site, server: HookServer) -> None:
    """Over FLV and HLS at a killed gateway, and over RTMP at a killed worker. Who goes on elsewhere is not told of."""
    stream = await site.make_stream()
    encoder, packager = Encoder(site.bus, stream), Packager(site.bus, stream)
    await encoder.begin()
    await packager.put_init()
    await packager.cut(25)
    victim = site.gateways[2].process
    asked = PlayAsked(stream=stream, session="rtmpsession", address="10.0.0.1").model_dump_json().encode()
    reply = await site.bus.nc.request(LIVE_PLAY.at(stream=stream), asked, timeout=20)
    assert PlayAnswered.model_validate_json(reply.data).allowed
    queries = []
    for _ in range(2):
        _, _, body = await site.get(f"/live/{stream}/index.m3u8", gateway=2)
        found = re.search(r"session=(\w+)", body.decode())
        assert found
        queries.append(found[1])
    left, moves = queries
    async with site.watch(stream, gateway=2) as viewer, site.watch(stream) as stays:
        await viewer.wait_for(b"FLV")
        await stays.wait_for(b"FLV")
        victim.kill()
        await asyncio.to_thread(victim.wait)

        async def go_on() -> None:
            while True:
                await encoder.send()
                await site.get(f"/live/{stream}/source/index.m3u8?session={moves}", gateway=1)
                await asyncio.sleep(1)

        going_on = asyncio.create_task(go_on())
        await until(lambda: len(server.of("on_stop")) >= 3, within=NOTICED_S)
        await asyncio.sleep(5)
        going_on.cancel()
        told = Counter(str(body["client_id"]) for body in server.of("on_stop"))
        shown = (await site.owner.get(f"streams/{stream}")).json["viewers_by_protocol"]
        protocols = sorted(str(body["protocol"]) for body in server.of("on_stop"))

    assert set(told.values()) == {1}
    assert {left, "rtmpsession"} <= set(told)
    assert moves not in told
    assert protocols == ["flv", "hls", "rtmp"]
    assert shown == {"flv": 1, "hls": 1}
    assert all(0 <= int(body["duration"]) <= NOTICED_S for body in server.of("on_stop"))
