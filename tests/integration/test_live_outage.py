"""What viewers see when NATS dies under a live stream."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from bus_schemas.tags import TagFlags
from runtime.postgres import migrate
from tests.embedded import RunningServer
from tests.integration.gateway_process import GatewayProcess
from tests.integration.live_encoder import Encoder, Packager
from tests.integration.live_site import Site, visiting_site

pytestmark = pytest.mark.connected


@pytest.fixture
def gateways(
    tmp_path_factory: pytest.TempPathFactory,
    nats_server: RunningServer,
    module_postgres_dsn: str,
    module_redis_url: str,
) -> Iterator[list[GatewayProcess]]:
    """One gateway."""
    asyncio.run(migrate(module_postgres_dsn))
    running = GatewayProcess(
        tmp_path_factory.mktemp("gateways") / "0.log", nats=nats_server.url, postgres=module_postgres_dsn,
        redis=module_redis_url,
    )  # fmt: skip
    try:
        running.wait_ready()
        yield [running]
    finally:
        running.stop()


@pytest.fixture
async def site(gateways: list[GatewayProcess], nats_server: RunningServer) -> AsyncIterator[Site]:
    async with visiting_site(gateways, nats_server.url) as there:
        yield there


async def restart(site: Site, nats_server: RunningServer) -> None:
    """Kill NATS, start it again, and wait until its streams are there."""
    back = asyncio.Event()

    async def on_reconnect() -> None:
        back.set()

    site.bus.on_reconnect.append(on_reconnect)
    nats_server.kill()
    nats_server.start()
    await asyncio.wait_for(back.wait(), 20)


async def test_viewers_go_on_after_nats_lost_its_memory(site: Site, nats_server: RunningServer) -> None:
    """The FLV connection stays and goes on at the next key frame; the playlist goes on with the next part."""
    stream = await site.make_stream()
    encoder, packager = Encoder(site.bus, stream), Packager(site.bus, stream)
    await encoder.begin(frames=10)
    await packager.put_init()
    await packager.cut(23)
    media = f"/live/{stream}/source/index.m3u8"
    await site.get(media)

    async with site.watch(stream) as viewer:
        await viewer.wait_for(b" 9")
        await restart(site, nats_server)
        encoder.flags |= TagFlags.DISCONTINUITY
        encoder.sequence += 5
        await encoder.send(3)
        await encoder.put_header()
        key = await encoder.send(10, key=True, paced=True)
        received = await viewer.wait_for(key[-1])
        await packager.cut(2)
        status, _, playlist = await site.get(f"{media}?_HLS_msn=2&_HLS_part=4")

    assert received.endswith(b"".join(key))
    assert b" %d 12" % encoder.epoch not in received
    assert status == 200
    assert b"#EXT-X-MEDIA-SEQUENCE:0\n" in playlist
    parts = [int(number) for number in re.findall(rb'PART:DURATION[^\n]*URI="2-\w+\.(\d+)\.m4s"', playlist)]
    assert parts == list(range(5))


async def test_a_newcomer_after_the_outage_is_served(site: Site, nats_server: RunningServer) -> None:
    """What the reader of a stream knew of the old server does not keep it from the new one."""
    encoder = Encoder(site.bus, await site.make_stream())
    await encoder.begin(frames=5)
    async with site.watch(encoder.stream) as viewer:
        await viewer.wait_for(b" 4")

    await restart(site, nats_server)
    key = await encoder.send(3, key=True)

    async with site.watch(encoder.stream) as viewer:
        await viewer.wait_for(key[-1])


async def test_newcomers_during_the_outage_are_told_to_come_again_and_not_written_down(
    site: Site, gateways: list[GatewayProcess], nats_server: RunningServer
) -> None:
    """503 with a time in every format, soon; a room full of them leaves no traceback for each."""
    stream = await site.make_stream()
    nats_server.kill()
    began = time.monotonic()

    paths = (".flv", ".mp4", "/index.m3u8", "/source/index.m3u8", "/manifest.mpd", "/source/ts.m3u8")
    answers = [await asyncio.gather(*(site.get(f"/live/{stream}{path}") for path in paths)) for _ in range(2)]
    took = time.monotonic() - began
    nats_server.start()

    for status, headers, body in answers[0] + answers[1]:
        assert (status, headers["Retry-After"], headers["Cache-Control"]) == (503, "1", "no-store"), body
    assert took < 15
    assert '"level": "error"' not in gateways[0].log.read_text()


async def test_players_go_on_while_the_database_hangs(site: Site, module_postgres_dsn: str) -> None:
    """It answers nothing for some seconds: playlists that are watched come as ever, new names are unavailable."""
    stream, other = await site.make_stream(), await site.make_stream()
    encoder, packager = Encoder(site.bus, stream), Packager(site.bus, stream)
    await encoder.begin()
    await packager.put_init()
    await packager.cut(23)
    media = f"/live/{stream}/source/index.m3u8"
    await site.get(media)

    async def timed() -> tuple[int, float]:
        began = time.monotonic()
        status, _, _ = await site.get(media)
        return status, time.monotonic() - began

    holder = await asyncpg.connect(module_postgres_dsn)
    async with holder.transaction():
        await holder.execute("LOCK TABLE streams IN ACCESS EXCLUSIVE MODE")
        new = asyncio.create_task(site.get(f"/live/{other}/index.m3u8"))
        watched = []
        while not new.done():
            watched += await asyncio.gather(*(timed() for _ in range(10)))
            await asyncio.sleep(0.2)
    await holder.close()

    assert {status for status, _ in watched} == {200}
    assert max(took for _, took in watched) < 2
    assert new.result()[0] == 503


async def test_a_gateway_that_goes_lets_its_viewers_go(site: Site, gateways: list[GatewayProcess]) -> None:
    """An FLV response ends as it should, a blocked reload is answered, and the gateway is gone in a moment."""
    stream = await site.make_stream()
    encoder, packager = Encoder(site.bus, stream), Packager(site.bus, stream)
    await encoder.begin(frames=10)
    await packager.put_init()
    await packager.cut(23)

    async with site.watch(stream) as viewer, asyncio.TaskGroup() as group:
        await viewer.wait_for(b" 9")
        blocked = group.create_task(site.get(f"/live/{stream}/source/index.m3u8?_HLS_msn=2&_HLS_part=3"))
        await asyncio.sleep(0.2)
        code = await asyncio.wait_for(asyncio.to_thread(gateways[0].stop), 8)
        await viewer.wait_end()

    assert code == 0
    assert blocked.result()[0] == 503
