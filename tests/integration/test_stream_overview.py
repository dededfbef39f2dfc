"""How streams are shown to those who run them, and limits that hold while they are published: gateway and ingest."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.embedded import fresh_name
from tests.integration.gateway_process import GatewayProcess, Person, StartGateways
from tests.integration.ingest_worker import Ingest, RawPublisher, running, until
from tests.integration.live_site import Site
from tests.unit.ingest.rtmp_client import audio_frame, inter_frame, key_frame

pytestmark = pytest.mark.connected


@pytest.fixture(scope="module")
def gateways(start_gateways: StartGateways) -> list[GatewayProcess]:
    """One gateway with a limit of bitrate."""
    return start_gateways(LIMITS__SIGN_INS_PER_MINUTE="1000", INGEST__MAX_BITRATE_KBPS="8000")


@pytest.fixture
async def ingest(nats_url: str, gateways: list[GatewayProcess]) -> AsyncIterator[Ingest]:
    async with running(nats_url, "n1", metrics={"streams": 10}) as worker:
        yield worker


async def publish(site: Site, ingest: Ingest) -> tuple[str, str, RawPublisher]:
    """A stream of the owner's that is published: its id, its key, who publishes it."""
    made = (await site.owner.post("streams", {"title": "show"})).json
    publisher = await RawPublisher.to(ingest.port)
    await publisher.publish(made["stream_key"])
    publisher.send_headers()
    await send(publisher, range(10))
    await until(lambda: ingest.of(made["stream"]))
    return made["stream"], made["stream_key"], publisher


async def send(publisher: RawPublisher, frames: range) -> None:
    """So many frames at 25 a second, in a moment."""
    for number in frames:
        publisher.send_frame(inter_frame() if number else key_frame(), number * 40)
        publisher.send_frame(audio_frame(), number * 40, kind=8)
    await publisher.writer.drain()


async def show(person: Person, stream: str) -> dict[str, Any]:
    """The stream as this person sees it, once its figures are there."""
    async with asyncio.timeout(20):
        while (shown := (await person.get(f"streams/{stream}")).json)["statistics"] is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    found: dict[str, Any] = shown
    return found


async def admin(site: Site, dsn: str) -> Person:
    """Somebody whom an operator made an admin."""
    name = fresh_name("admin")
    await site.owner.somebody_else().register(name)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("UPDATE users SET role = 'admin' WHERE username = $1", name)
    finally:
        await connection.close()
    person = site.owner.somebody_else()
    answer = await person.post("auth/login", {"username": name, "password": "correct horse"})
    person.token = answer.json["access_token"]
    return person


async def test_who_runs_a_stream_sees_who_publishes_and_how_it_arrives(site: Site, ingest: Ingest) -> None:
    """Others see what is played, not who publishes; nobody sees the key."""
    stream, key, publisher = await publish(site, ingest)
    stranger = await site.owner.somebody_else().register(fresh_name("stranger"))

    seen = await show(site.owner, stream)
    seen_by_stranger = await show(stranger, stream)
    mine, not_mine = await site.owner.get("streams"), await stranger.get("streams")
    await publisher.close()

    assert seen["status"] == "live"
    assert seen["live"]["video_codec"].startswith("avc1.")
    assert {"bitrate_kbps", "fps", "gaps", "repairs", "refused", "at"} == set(seen["statistics"])
    assert seen["statistics"]["gaps"] == 0
    assert (seen["publisher"]["address"], seen["publisher"]["protocol"]) == ("127.0.0.1", "rtmp")
    assert seen["publisher"]["epoch"] > 0
    assert seen["limits"] == {"bitrate_kbps": 0, "access_unit_bytes": 0, "duration_s": 0, "viewers": 0}
    assert (seen_by_stranger["publisher"], seen_by_stranger["limits"]) == (None, None)
    assert [one["stream"] for one in mine.json["items"]] == [stream]
    assert not_mine.json == {"items": [], "next": None}
    assert key not in str(seen) + str(mine.json)


async def test_admins_see_all_streams_and_processes(
    site: Site, ingest: Ingest, module_postgres_dsn: str
) -> None:
    """Live ones or all, a page at a time; for anybody else it is forbidden."""
    stream, _, publisher = await publish(site, ingest)
    offline = await site.make_stream()
    boss = await admin(site, module_postgres_dsn)

    live = (await boss.get("admin/streams")).json["items"]
    everything: list[str] = []
    after = ""
    while True:
        page = (await boss.get(f"admin/streams?status=all&limit=1&after={after}")).json
        everything += [one["stream"] for one in page["items"]]
        if page["next"] is None:
            break
        after = page["next"]
    nodes = (await boss.get("admin/nodes")).json["items"]
    await publisher.close()

    assert stream in [one["stream"] for one in live]
    assert offline not in [one["stream"] for one in live]
    (one,) = [one for one in live if one["stream"] == stream]
    assert one["owner"] == site.owner.user
    assert one["publisher"]["address"] == "127.0.0.1"
    assert {stream, offline} <= set(everything)
    assert everything == sorted(everything)
    assert "gateway" in {node["kind"] for node in nodes}
    assert (await site.owner.get("admin/streams")).code == "forbidden"
    assert (await site.owner.get("admin/nodes")).code == "forbidden"


async def test_a_limit_set_while_somebody_publishes_holds_at_once(site: Site, ingest: Ingest) -> None:
    """A publish that lasts longer than it may is ended with a sentence; over the site's limit is refused."""
    stream, _, publisher = await publish(site, ingest)

    over = await site.owner.send("PATCH", f"streams/{stream}", {"limits": {"bitrate_kbps": 8001}})
    stranger = await site.owner.somebody_else().register(fresh_name("stranger"))
    not_theirs = await stranger.send("PATCH", f"streams/{stream}", {"title": "mine now"})
    set_ = await site.owner.send(
        "PATCH", f"streams/{stream}", {"title": "short", "limits": {"duration_s": 1, "bitrate_kbps": 4000}}
    )
    await publisher.read_to_end()
    await publisher.close()

    assert (over.status, over.json["errors"][0]["path"]) == (422, "limits.bitrate_kbps")
    assert not_theirs.code == "forbidden"
    assert (set_.json["title"], set_.json["limits"]["duration_s"]) == ("short", 1)
    assert b"a publish of this stream may last" in publisher.answers


async def test_a_frame_over_the_streams_limit_is_refused_and_counted(site: Site, ingest: Ingest) -> None:
    """The others go on."""
    stream, _, publisher = await publish(site, ingest)
    await site.owner.send("PATCH", f"streams/{stream}", {"limits": {"access_unit_bytes": 5_000}})
    await asyncio.sleep(0.2)

    publisher.send_frame(inter_frame() + bytes(6_000), 400)
    publisher.send_frame(key_frame(), 440)
    await until(lambda: ingest.counted("matinee_ingest_refused_total", reason="too_large"))
    await publisher.close()

    assert ingest.counted("matinee_ingest_refused_total", reason="too_large") == 1
    assert not any(len(tag.payload) > 5_000 for _, tags in ingest.of(stream) for tag in tags)


async def test_a_stream_has_series_while_it_is_published(site: Site, ingest: Ingest) -> None:
    """Bitrate, frames and gaps; gone with the publisher."""
    stream, _, publisher = await publish(site, ingest)
    name = "matinee_stream_bitrate_bps"

    await until(lambda: ingest.metrics.registry.get_sample_value(name, {"stream": stream}) is not None)
    gaps = ingest.metrics.registry.get_sample_value("matinee_stream_gaps", {"stream": stream})
    await publisher.close()
    await until(lambda: ingest.metrics.registry.get_sample_value(name, {"stream": stream}) is None)

    assert gaps == 0
