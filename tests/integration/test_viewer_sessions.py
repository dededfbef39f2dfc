"""Viewer sessions over two real gateways: counted once, limited, healed, and pushed to rooms and pages."""

import asyncio
import json
import re
import time
from typing import Literal

import aiohttp
import pytest

from bus_schemas.messages.live import PlayAnswered, PlayAsked
from bus_schemas.subjects import LIVE_PLAY
from tests.integration.gateway_process import GatewayProcess, StartGateways
from tests.integration.live_encoder import Encoder, Packager
from tests.integration.live_site import Site
from tests.integration.sockets import connected

pytestmark = pytest.mark.connected

HEALED_S = 40.0
"""A dead gateway's connections expire after 12 s."""


@pytest.fixture(scope="module")
def gateways(start_gateways: StartGateways) -> list[GatewayProcess]:
    """Three, of which the last is there to be killed."""
    return start_gateways(
        3, LIMITS__SIGN_INS_PER_MINUTE="1000", LIMITS__VIEWERS_PER_STREAM="50", METRICS__STREAMS="2"
    )


async def go_live(site: Site, **draft: object) -> str:
    """A stream that can be watched in every way."""
    stream = await site.make_stream(**draft)
    await be_live(site, stream)
    return stream


async def be_live(site: Site, stream: str) -> None:
    """Tags and parts of it."""
    encoder, packager = Encoder(site.bus, stream), Packager(site.bus, stream)
    await encoder.begin()
    await packager.put_init()
    await packager.cut(25)


async def viewers(site: Site, stream: str, *, gateway: int = 0) -> dict[str, int]:
    """As a gateway shows them."""
    person = site.owner.somebody_else(site.gateways[gateway].http)
    shown = (await person.get(f"streams/{stream}")).json
    assert shown["viewers"] == sum(shown["viewers_by_protocol"].values())
    found: dict[str, int] = shown["viewers_by_protocol"]
    return found


async def become(site: Site, stream: str, wanted: dict[str, int], within: float = 20.0) -> float:
    """Wait until gateway 1 shows these viewers; seconds it took."""
    began = time.monotonic()
    while (shown := await viewers(site, stream, gateway=1)) != wanted:
        assert time.monotonic() - began < within, shown
        await asyncio.sleep(0.1)
    return time.monotonic() - began


async def session_of(site: Site, stream: str, *, gateway: int = 0) -> str:
    """Begin to watch over HLS; the query of the playlist inside."""
    status, _, body = await site.get(f"/live/{stream}/index.m3u8", gateway=gateway)
    assert status == 200, body
    found = re.search(r"index\.m3u8\?(session=\w+)", body.decode())
    assert found is not None
    return found[1]


async def test_a_player_of_playlists_is_one_session_wherever_it_asks(site: Site) -> None:
    """Ten requests at two gateways are one viewer; a second player behind the same address is another."""
    stream = await go_live(site)
    one, other = await session_of(site, stream), await session_of(site, stream)
    for number in range(10):
        status, _, _ = await site.get(f"/live/{stream}/source/index.m3u8?{one}", gateway=number % 2)
        assert status == 200
    await site.get(f"/live/{stream}/source/index.m3u8?{other}", gateway=1)

    await become(site, stream, {"hls": 2})

    async with site.watch(stream) as viewer:
        await viewer.wait_for(b"FLV")
        await become(site, stream, {"hls": 2, "flv": 1})
    await become(site, stream, {"hls": 2})
    took = await become(site, stream, {}, within=20)
    assert took > 3


async def test_a_player_that_asks_goes_on_being_a_viewer(site: Site) -> None:
    """Nothing but silence ends an inferred session, and it moves to the gateway that is asked."""
    stream = await go_live(site)
    query = await session_of(site, stream, gateway=0)
    for _ in range(9):
        await asyncio.sleep(1)
        await site.get(f"/live/{stream}/source/index.m3u8?{query}", gateway=1)
        assert await viewers(site, stream) == {"hls": 1}

    assert await site.metric('matinee_live_viewers{protocol="hls"}', gateway=0) == 0


async def test_players_that_bring_no_id_are_told_apart_by_their_cookies(site: Site) -> None:
    """Two alike behind one address are two where they keep cookies, wherever they ask; and one where they do not."""
    stream = await go_live(site)
    media = f"/live/{stream}/source/index.m3u8"
    cookies = []
    for _ in range(2):
        _, headers, _ = await site.get(media)
        given = re.match(
            r"(matinee_viewer=\w+); HttpOnly; Path=/live/(\w+)/; SameSite=Lax", headers["Set-Cookie"]
        )
        assert given
        assert given[2] == stream
        cookies.append(given[1])
        again, headers, _ = await site.get(media, Cookie=given[1])
        assert again == 200
        assert "Set-Cookie" not in headers
    for cookie in cookies:
        await site.get(media, gateway=1, Cookie=cookie)
    assert len(set(cookies)) == 2
    await become(site, stream, {"hls": 2})

    for _ in range(3):
        await site.get(media)
    await become(site, stream, {"hls": 3})


async def test_a_limit_of_viewers_holds_over_gateways(site: Site) -> None:
    """One more is told to come later, whoever asks; who leaves makes room; the site's limit binds the owner."""
    stream = await go_live(site)
    limited = await site.owner.send("PATCH", f"streams/{stream}", {"limits": {"viewers": 2}})
    over = await site.owner.send("PATCH", f"streams/{stream}", {"limits": {"viewers": 51}})
    await asyncio.sleep(2.1)  # A gateway remembers a stream's row for two seconds.

    async with site.watch(stream, gateway=0) as first, site.watch(stream, gateway=1) as second:
        await first.wait_for(b"FLV")
        await second.wait_for(b"FLV")
        full = [await site.get(f"/live/{stream}.flv", gateway=number) for number in range(2)]
        full.append(await site.get(f"/live/{stream}/index.m3u8", gateway=1))
    await become(site, stream, {})
    status, _, _ = await site.get(f"/live/{stream}/index.m3u8", gateway=1)

    assert limited.json["limits"]["viewers"] == 2
    assert (over.status, over.json["errors"][0]["path"]) == (422, "limits.viewers")
    for refused, headers, body in full:
        assert refused == 429
        assert json.loads(body)["code"] == "rate_limited"
        assert "No more than 2" in json.loads(body)["detail"]
        assert int(headers["Retry-After"]) > 0
    assert status == 200


async def test_a_player_at_an_ingest_worker_is_a_viewer_too(site: Site) -> None:
    """The worker asks, says that he is still there, and that he went; any gateway hears it."""
    stream = await go_live(site)
    await site.owner.send("PATCH", f"streams/{stream}", {"limits": {"viewers": 1}})
    await asyncio.sleep(2.1)  # A gateway remembers a stream's row for two seconds.

    async def ask(session: str) -> PlayAnswered:
        asked = PlayAsked(stream=stream, session=session, address="10.0.0.1")
        subject = LIVE_PLAY.at(stream=stream)
        reply = await site.bus.nc.request(subject, asked.model_dump_json().encode(), timeout=20)
        return PlayAnswered.model_validate_json(reply.data)

    async def say(stage: Literal["beat", "end"], session: str) -> None:
        said = PlayAsked(stream=stream, stage=stage, session=session, duration_s=5)
        await site.bus.nc.publish(LIVE_PLAY.at(stream=stream), said.model_dump_json().encode())

    first, second = await ask("sessionone"), await ask("sessiontwo")
    await say("beat", "sessionone")
    await become(site, stream, {"rtmp": 1})
    await say("end", "sessionone")
    await become(site, stream, {})

    assert first.allowed
    assert not second.allowed
    assert "No more than 1" in second.detail
    assert (await ask("sessionthree")).allowed


async def test_a_room_is_told_how_many_watch_its_stream(site: Site) -> None:
    """In `joined`, and at each change, from whichever gateway they watch."""
    room = await site.owner.make_room()
    stream = str((await site.owner.post(f"rooms/{room}/streams", {"title": "cam"})).json["stream"])
    await be_live(site, stream)
    async with site.watch(stream, gateway=1) as viewer, connected(site.owner) as socket:
        await viewer.wait_for(b"FLV")
        joined = await socket.join(room)
        async with site.watch(stream, gateway=0) as another:
            await another.wait_for(b"FLV")
            more = await socket.of("stream_viewers", count=2)
        fewer = await socket.of("stream_viewers", count=1)

    assert [(one["stream"], one["viewers"]) for one in joined["streams"]] == [(stream, 1)]
    assert (more["room"], more["stream"], more["protocols"]) == (room, stream, {"flv": 2})
    assert "seq" not in fewer


async def read_event(response: aiohttp.ClientResponse) -> dict[str, object]:
    """The data of the next event."""
    async with asyncio.timeout(20):
        while line := await response.content.readline():
            if line.startswith(b"data: "):
                found: dict[str, object] = json.loads(line[6:])
                return found
    raise AssertionError("the events ended")


async def test_a_stream_page_is_told_how_many_watch(site: Site) -> None:
    """As server-sent events, at once and at each change; a private stream's wants its play token."""
    stream = await go_live(site)
    private = await site.make_stream(private=True)

    async with site.session.get(f"{site.gateways[0].http}/live/{stream}/events") as page:
        assert page.headers["Content-Type"] == "text/event-stream"
        first = await read_event(page)
        async with site.watch(stream, gateway=1) as viewer:
            await viewer.wait_for(b"FLV")
            second = await read_event(page)
        third = await read_event(page)

    assert first == third == {"count": 0, "protocols": {}}
    assert second == {"count": 1, "protocols": {"flv": 1}}
    assert (await site.get(f"/live/{private}/events"))[0] == 401
    assert (await site.get("/live/nobody/events"))[0] == 404


async def test_series_of_streams_are_bounded_and_go_with_them(site: Site) -> None:
    """Two streams have their own; the third is in `other`; without viewers there are none."""
    streams = [await go_live(site) for _ in range(3)]
    for number, stream in enumerate(streams):
        for _ in range(3 - number):
            await session_of(site, stream)

    await site.until('matinee_stream_viewers{stream="other"}', 1)
    assert await site.metric(f'matinee_stream_viewers{{stream="{streams[0]}"}}') == 3
    assert await site.metric(f'matinee_stream_viewers{{stream="{streams[1]}"}}') == 2
    async with asyncio.timeout(20):
        while await site.metric(f'matinee_stream_viewers{{stream="{streams[0]}"}}'):  # noqa: ASYNC110
            await asyncio.sleep(0.2)


async def test_counts_heal_when_a_gateway_is_killed(site: Site, gateways: list[GatewayProcess]) -> None:
    """Its connections expire; a player of playlists that goes on elsewhere stays one viewer all the time."""
    stream = await go_live(site)
    query = await session_of(site, stream, gateway=2)
    async with site.watch(stream, gateway=2) as viewer:
        await viewer.wait_for(b"FLV")
        await become(site, stream, {"hls": 1, "flv": 1})
        gateways[2].process.kill()
        gateways[2].process.wait()
    began = time.monotonic()
    while (shown := await viewers(site, stream, gateway=1)) != {"hls": 1}:
        assert shown == {"hls": 1, "flv": 1}
        assert time.monotonic() - began < HEALED_S
        await site.get(f"/live/{stream}/source/index.m3u8?{query}", gateway=1)
        await asyncio.sleep(0.5)


async def test_names_that_do_not_exist_leave_no_memory(site: Site, gateways: list[GatewayProcess]) -> None:
    """Two thousand unknown names, in every way of asking, leave a gateway as it was."""

    async def ask(start: int, count: int) -> None:
        for number in range(start, start + count):
            kind = ("{}.flv", "{}/index.m3u8", "{}/source/index.m3u8", "{}/events", "{}.mp4")[number % 5]
            status, _, _ = await site.get(f"/live/{kind.format(f'nobody{number}')}", gateway=1)
            assert status == 404

    await ask(0, 500)
    before = await resident_kb(gateways[1].process.pid)
    await asyncio.gather(*(ask(1_000 * (1 + number), 500) for number in range(4)))

    assert await resident_kb(gateways[1].process.pid) - before < 4_096


async def resident_kb(pid: int) -> int:
    """Memory of a process."""

    def read() -> int:
        with open(f"/proc/{pid}/status", encoding="utf-8") as status:  # noqa: PTH123
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    return await asyncio.to_thread(read)
