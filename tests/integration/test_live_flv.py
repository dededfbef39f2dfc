"""HTTP-FLV from real gateways on a real bus."""

import asyncio
import contextlib
import socket
import time
from pathlib import Path

import pytest

from bus_schemas.tags import TagFlags
from media import flv
from tests.integration.gateway_process import GatewayProcess, StartGateways
from tests.integration.live_encoder import Encoder
from tests.integration.live_site import Site
from tests.unit.gateway.live_sources import AVC_HEADER, HEADERS, METADATA

pytestmark = pytest.mark.connected


@pytest.fixture(scope="module")
def gateways(start_gateways: StartGateways) -> list[GatewayProcess]:
    """One gateway that lets an address open few streams, and lets go of a stream soon."""
    return start_gateways(
        LIMITS__VIEWERS_PER_ADDRESS="20", LIMITS__SIGN_INS_PER_MINUTE="1000", LIVE__RING_BYTES=str(4 << 20),
        LIVE__STALL_S="2", LIVE__REFERRERS="*.partner.example",
    )  # fmt: skip


def tags_of(received: bytes) -> list[flv.Tag]:
    """The tags behind the file header."""
    return list(flv.demux(received[13:]))


async def test_a_viewer_begins_at_the_newest_key_frame_at_once(site: Site) -> None:
    """In the middle of a group of pictures: file header, headers, key frame and all since, at once."""
    encoder = Encoder(site.bus, await site.make_stream())
    await encoder.begin(frames=30)
    group = await encoder.send(40, key=True)
    began = time.monotonic()

    async with site.watch(encoder.stream) as viewer:
        received = await viewer.wait_for(group[-1])

    assert time.monotonic() - began < 2
    assert received.startswith(flv.file_header(audio=True, video=True))
    tags = tags_of(received)
    assert b"".join(flv.mux(tag.type, 0, tag.payload) for tag in tags[:3]) == HEADERS
    assert received.endswith(b"".join(group))
    assert {tag.timestamp_ms for tag in tags[:4]} == {tags[3].timestamp_ms}


async def test_frames_reach_a_viewer_as_they_come(site: Site) -> None:
    """Each frame is delivered by itself, within milliseconds, byte for byte."""
    encoder = Encoder(site.bus, await site.make_stream())
    await encoder.begin()
    late = []

    async with site.watch(encoder.stream) as viewer:
        for _ in range(20):
            sent = time.monotonic()
            (tags,) = await encoder.send()
            await viewer.wait_for(tags)
            late.append(time.monotonic() - sent)

    assert sorted(late)[10] < 0.03


async def test_the_file_header_announces_only_tracks_there_are(site: Site) -> None:
    """A player does not wait for sound that never comes."""
    encoder = Encoder(site.bus, await site.make_stream(), headers=METADATA + AVC_HEADER)
    await encoder.begin()

    async with site.watch(encoder.stream) as viewer:
        received = await viewer.wait_for(AVC_HEADER[11:-4])

    assert received[:13] == flv.file_header(audio=False, video=True)


async def test_the_end_of_the_stream_ends_the_response(site: Site) -> None:
    """The viewer has every frame and a proper end; afterwards the stream is offline."""
    encoder = Encoder(site.bus, await site.make_stream())
    await encoder.begin(frames=5)

    async with site.watch(encoder.stream) as viewer:
        last = await encoder.send(3)
        await encoder.end()
        received = await viewer.wait_end()

    assert received.endswith(b"".join(last))
    status, _, _ = await site.get(f"/live/{encoder.stream}.flv")
    assert status == 404


async def test_viewers_go_on_when_the_publisher_returns(site: Site) -> None:
    """After a lost link the same connection shows the new session, later on the same timeline, with its headers."""
    encoder = Encoder(site.bus, await site.make_stream())
    await encoder.begin(frames=10)

    async with site.watch(encoder.stream) as viewer:
        await viewer.wait_for(b" 9")
        back = Encoder(
            site.bus, encoder.stream, epoch=encoder.epoch + 5_000, dts=0, flags=TagFlags.DISCONTINUITY
        )
        await back.begin(frames=5)
        await viewer.wait_for(b"%d 4" % back.epoch)
        await encoder.send()  # of the session that is over: nobody wants it
        await back.send()
        await viewer.wait_for(b"%d 5" % back.epoch)

    video = [tag for tag in tags_of(viewer.received) if tag.payload[:2] in (b"\x17\x01", b"\x27\x01")]
    times = [tag.timestamp_ms for tag in video]
    assert times == sorted(times)
    assert len(times) == len(set(times)) == 16
    assert viewer.received.count(METADATA[11:-4]) == 2
    assert b"%d 10" % encoder.epoch not in viewer.received


async def test_a_lost_message_makes_viewers_go_on_at_the_next_key_frame(site: Site) -> None:
    """Frames that refer to what never came are not shown."""
    encoder = Encoder(site.bus, await site.make_stream())
    await encoder.begin(frames=3)

    async with site.watch(encoder.stream) as viewer:
        await viewer.wait_for(b" 2")
        encoder.sequence += 1
        await encoder.send(5)
        key = await encoder.send(2, key=True)
        received = await viewer.wait_for(key[-1])

    assert received.endswith(b"".join(key))
    assert b" %d 4" % encoder.epoch not in received


async def test_a_change_of_codec_comes_with_its_headers_for_old_and_new_viewers(site: Site) -> None:
    """Who watches gets the new headers in line; who comes later gets only the new ones."""
    encoder = Encoder(site.bus, await site.make_stream())
    await encoder.begin(frames=3)
    other = METADATA + flv.mux(flv.TagType.VIDEO, 0, b"\x17\x00\x00\x00\x00another record")

    async with site.watch(encoder.stream) as old:
        await old.wait_for(b" 2")
        encoder.headers, encoder.generation = other, 1
        encoder.flags |= TagFlags.DISCONTINUITY
        await encoder.begin(frames=3)
        await old.wait_for(b" 5")
        async with site.watch(encoder.stream) as new:
            await new.wait_for(b" 5")

    assert old.received.count(b"another record") == new.received.count(b"another record") == 1
    assert AVC_HEADER[11:-4] not in new.received


async def test_a_stream_that_is_just_beginning_is_waited_for(site: Site) -> None:
    """A publisher is there and his first key frame is not: the viewer is let in when it comes."""
    encoder = Encoder(site.bus, await site.make_stream())
    await encoder.claim()

    async def begin_later() -> list[bytes]:
        await asyncio.sleep(0.3)
        return await encoder.begin()

    async with asyncio.TaskGroup() as group:
        later = group.create_task(begin_later())
        async with site.watch(encoder.stream) as viewer:
            (tags,) = await later
            await viewer.wait_for(tags)


async def test_a_viewer_who_reads_nothing_is_closed_and_costs_the_others_nothing(
    site: Site, gateways: list[GatewayProcess]
) -> None:
    """The slow one is dropped forward, then closed; the other misses no frame."""
    encoder = Encoder(site.bus, await site.make_stream())
    await encoder.begin()
    host, port = gateways[0].http.removeprefix("http://").split(":")
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    slow.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(slow, (host, int(port)))
    await loop.sock_sendall(slow, f"GET /live/{encoder.stream}.flv HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    async with site.watch(encoder.stream) as viewer:
        encoder.padding = 200_000
        for number in range(150):
            await encoder.send(key=number % 10 == 0)
            await viewer.wait_for(b"%d %d" % (encoder.epoch, encoder.sequence - 1))
            viewer.received = viewer.received[-100:]
            await asyncio.sleep(0.02)

    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionError):
            while await loop.sock_recv(slow, 1 << 20):
                pass
    slow.close()
    assert await site.metric("matinee_live_stalled_total") == 1
    await site.until('matinee_live_viewers{protocol="flv"}', 0)


async def test_names_that_are_no_streams_are_refused_and_leave_nothing(site: Site) -> None:
    """Dots, wildcards and unknown names: 404 with CORS; nothing is pulled, no memory is kept."""
    pid = site.gateways[0].process.pid
    before, pulled = _resident_kb(pid), await site.metric("matinee_live_streams")
    for name in ("nobody", "a.b", "live.tags.*", "*", "%3E", "x" * 80, "..%2f..%2fetc", "a%20b"):
        status, headers, body = await site.get(f"/live/{name}.flv")
        assert (status, headers["Access-Control-Allow-Origin"]) == (404, "*"), name
        assert b'"not_found"' in body, name

    for start in range(0, 2_000, 50):
        answers = await asyncio.gather(*(site.get(f"/live/nobody{start + n}.flv") for n in range(50)))
        assert {answer[0] for answer in answers} == {404}

    assert _resident_kb(pid) - before < 8_000
    assert await site.metric("matinee_live_streams") <= pulled


async def test_a_known_stream_that_is_not_live_is_offline(site: Site) -> None:
    """Players may try again: another code than for an unknown name."""
    stream = await site.make_stream()

    status, headers, body = await site.get(f"/live/{stream}.flv")

    assert (status, headers["Access-Control-Allow-Origin"]) == (404, "*")
    assert b'"stream_offline"' in body


async def test_head_tells_the_type_and_sends_nothing(site: Site) -> None:
    """A player may look before it leaps."""
    encoder = Encoder(site.bus, await site.make_stream())
    await encoder.begin()

    async with site.session.head(f"{site.gateways[0].http}/live/{encoder.stream}.flv") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "video/x-flv"
        assert response.headers["Cache-Control"] == "no-store"


async def test_a_browser_may_ask_from_anywhere(site: Site) -> None:
    """A preflight is answered for every address below /live/."""
    url = f"{site.gateways[0].http}/live/anything/source/index.m3u8"
    async with site.session.options(url, headers={"Origin": "https://elsewhere.example"}) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "GET" in response.headers["Access-Control-Allow-Methods"]


async def test_an_address_may_open_so_many_streams(site: Site) -> None:
    """One more connection than allowed is refused with a time to try again; the others are not hurt."""
    encoder = Encoder(site.bus, await site.make_stream())
    await encoder.begin()
    url = f"{site.gateways[0].http}/live/{encoder.stream}.flv"
    open_ones = [await site.session.get(url) for _ in range(20)]

    status, headers, _ = await site.get(f"/live/{encoder.stream}.flv")
    for response in open_ones:
        response.close()

    assert [response.status for response in open_ones] == [200] * 20
    assert (status, headers["Retry-After"]) == (429, "5")
    await site.until('matinee_live_viewers{protocol="flv"}', 0)


async def test_a_private_stream_wants_a_play_token(site: Site) -> None:
    """None, a forged one and another stream's are refused; the one from the API lets in."""
    stream = await site.make_stream(private=True)
    other = await site.make_stream(private=True)
    encoder = Encoder(site.bus, stream)
    await encoder.begin(frames=2)
    mine = (await site.owner.get(f"streams/{stream}")).json["play_token"]["token"]
    foreign = (await site.owner.get(f"streams/{other}")).json["play_token"]["token"]

    without, _, _ = await site.get(f"/live/{stream}.flv")
    forged, _, _ = await site.get(f"/live/{stream}.flv?token={mine[:-6]}AAAAAA")
    elsewhere, headers, _ = await site.get(f"/live/{stream}.flv?token={foreign}")
    access, _, _ = await site.get(f"/live/{stream}.flv?token={site.owner.token}")

    assert (without, forged, elsewhere, access) == (401, 401, 403, 401)
    assert headers["Access-Control-Allow-Origin"] == "*"
    async with site.watch(stream, query=f"?token={mine}") as viewer:
        await viewer.wait_for(b" 1")


def _resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


async def test_pages_that_are_not_listed_may_not_show_our_streams(site: Site) -> None:
    """In every format; our own pages, listed ones and players outside pages may."""
    stream = await site.make_stream()
    paths = [
        f"/live/{stream}{name}"
        for name in (".flv", ".mp4", "/index.m3u8", "/manifest.mpd", "/source/ts.m3u8")
    ]

    for path in paths:
        status, headers, body = await site.get(path, Referer="https://thief.example/page")
        assert (status, b'"forbidden"' in body) == (403, True), path
        assert headers["Access-Control-Allow-Origin"] == "*"
        for page in ("https://a.partner.example", site.gateways[0].http):
            status, _, body = await site.get(path, Origin=page)
            assert (status, b'"stream_offline"' in body) == (404, True), (path, page)
        assert (await site.get(path))[0] == 404
    events = f"{site.gateways[0].http}/live/{stream}/events"
    for page, status in (("https://thief.example/page", 403), ("https://a.partner.example/", 200)):
        async with site.session.get(events, headers={"Referer": page}) as response:
            assert response.status == status
