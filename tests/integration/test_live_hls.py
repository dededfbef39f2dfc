"""LL-HLS from two real gateways on a real bus; the parts are put there by the test."""

import asyncio
import gzip
import re
import time

import pytest

from bus_schemas.subjects import HLS_PART
from tests.integration.gateway_process import GatewayProcess, StartGateways
from tests.integration.live_encoder import Encoder, Packager
from tests.integration.live_site import Site
from tests.unit.gateway.live_sources import EPOCH, part_header

pytestmark = pytest.mark.connected


@pytest.fixture(scope="module")
def gateways(start_gateways: StartGateways) -> list[GatewayProcess]:
    """Two gateways; who was put out of a room may come back at once."""
    return start_gateways(
        2, LIMITS__SIGN_INS_PER_MINUTE="1000", GATEWAY__HEADER_S="2", GATEWAY__BODY_S="2",
        ROOMS__KICK_COOLDOWN_S="0",
    )  # fmt: skip


async def go_live(site: Site, *, parts: int = 25, **draft: object) -> tuple[Encoder, Packager, list[bytes]]:
    """A stream that has been cut into so many parts."""
    stream = await site.make_stream(**draft)
    encoder, packager = Encoder(site.bus, stream), Packager(site.bus, stream)
    await encoder.begin()
    await packager.put_init()
    return encoder, packager, await packager.cut(parts)


def media(stream: str) -> str:
    return f"/live/{stream}/source/index.m3u8"


def uris(playlist: bytes) -> list[str]:
    return re.findall(r'URI="([^"]+)"', playlist.decode()) + re.findall(
        r"^\w\S+$", playlist.decode(), re.MULTILINE
    )


async def test_everything_a_playlist_names_can_be_had_from_any_gateway(site: Site) -> None:
    """Init, parts and segments, those only the bus still holds too; a segment is its parts joined; all may be kept."""
    encoder, _, bodies = await go_live(site, parts=135)
    status, headers, multivariant = await site.get(f"/live/{encoder.stream}/index.m3u8")
    assert status == 200
    assert headers["Content-Type"] == "application/vnd.apple.mpegurl"
    assert b"source/index.m3u8?session=" in multivariant
    assert b'CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=30.000' in multivariant

    for gateway in (0, 1):
        status, headers, playlist = await site.get(media(encoder.stream), gateway=gateway)
        assert (status, headers["Cache-Control"], headers["Access-Control-Allow-Origin"]) == (
            200,
            "no-cache",
            "*",
        )
        hint = re.search(rb'PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', playlist)
        assert hint
        for uri in uris(playlist):
            if uri == hint[1].decode():
                continue
            status, headers, body = await site.get(f"/live/{encoder.stream}/source/{uri}", gateway=gateway)
            assert status == 200, uri
            assert headers["Content-Type"] == "video/mp4"
            assert headers["Cache-Control"] == "public, max-age=3600, immutable"
            if found := re.fullmatch(r"(\d+)-\w{16}\.(\d+)\.m4s", uri):
                assert body == bodies[int(found[1]) * 10 + int(found[2])]
            elif found := re.fullmatch(r"(\d+)-\w{16}\.m4s", uri):
                assert body == b"".join(bodies[int(found[1]) * 10 : int(found[1]) * 10 + 10])
            else:
                assert body.startswith(b"ftyp")


async def test_players_of_a_gateway_that_died_find_everything_at_another_at_once(site: Site) -> None:
    """Asked for while it still reads what there is, a part is waited for and given, not taken for one to come."""
    encoder, _, bodies = await go_live(site, parts=120)
    _, _, playlist = await site.get(media(encoder.stream))
    part = next(uri for uri in reversed(uris(playlist)) if uri.startswith("11-") and uri.endswith(".9.m4s"))

    asked = [asyncio.create_task(site.get(media(encoder.stream), gateway=1))]
    for _ in range(40):
        asked.append(asyncio.create_task(site.get(f"/live/{encoder.stream}/source/{part}", gateway=1)))
        await asyncio.sleep(0.001)
    answers = await asyncio.gather(*asked)

    assert [status for status, _, _ in answers] == [200] * len(answers)
    assert {body for _, _, body in answers[1:]} == {bodies[119]}


async def test_a_blocked_reload_and_a_hinted_part_are_answered_when_the_part_is_there(site: Site) -> None:
    """Neither earlier nor noticeably later, for many players at once."""
    encoder, packager, _ = await go_live(site)
    _, _, before = await site.get(media(encoder.stream))
    hint = re.search(rb'PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', before)
    assert hint

    async with asyncio.TaskGroup() as group:
        playlists = [
            group.create_task(site.get(f"{media(encoder.stream)}?_HLS_msn=2&_HLS_part=5", gateway=n % 2))
            for n in range(20)
        ]
        part = group.create_task(site.get(f"/live/{encoder.stream}/source/{hint[1].decode()}"))
        some = group.create_task(
            site.get(f"/live/{encoder.stream}/source/{hint[1].decode()}", Range="bytes=4-7")
        )
        await asyncio.sleep(0.3)
        assert not any(task.done() for task in (part, some, *playlists))
        (body,) = await packager.cut()
        cut = time.monotonic()
        await asyncio.wait((part, some, *playlists))

    assert time.monotonic() - cut < 3
    assert part.result()[2] == body
    assert (some.result()[0], some.result()[2]) == (206, body[4:8])
    assert {task.result()[0] for task in playlists} == {200}
    assert all(
        b'URI="2-0000000000000002.5.m4s"' in task.result()[2].replace(b"PRELOAD", b"") for task in playlists
    )


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("_HLS_part=1", 400),
        ("_HLS_msn=5", 400),
        ("_HLS_msn=2&_HLS_part=99", 400),
        ("_HLS_msn=-1", 400),
        ("_HLS_msn=1e3", 400),
        ("_HLS_msn=99999999999999999999", 400),
        ("_HLS_skip=NO", 400),
        ("_HLS_msn=0", 200),
        ("_HLS_msn=1&_HLS_part=3", 200),
        ("_HLS_msn=2&_HLS_part=4", 200),
        ("_HLS_skip=YES", 200),
    ],
)
async def test_requests_for_what_is_there_or_cannot_be_are_answered_at_once(
    site: Site, query: str, status: int
) -> None:
    """The current playlist for what there is, however old; 400 for what is too far ahead or makes no sense."""
    encoder, _, _ = await go_live(site)

    answered, headers, _ = await site.get(f"{media(encoder.stream)}?{query}")

    assert answered == status
    assert headers["Access-Control-Allow-Origin"] == "*"


async def test_a_part_that_does_not_come_is_given_up(site: Site) -> None:
    """After three target durations a blocked reload is answered with 503."""
    encoder, _, _ = await go_live(site)
    began = time.monotonic()

    status, headers, body = await site.get(f"{media(encoder.stream)}?_HLS_msn=2&_HLS_part=5")

    assert (status, headers["Retry-After"]) == (503, "1")
    assert b'"unavailable"' in body
    assert 5.5 < time.monotonic() - began < 15


async def test_a_playlist_is_zipped_for_who_takes_it(site: Site) -> None:
    """Apple demands gzip; the same text either way."""
    encoder, _, _ = await go_live(site)
    _, plain_headers, plain = await site.get(media(encoder.stream), **{"Accept-Encoding": "identity"})
    url = site.gateways[0].http + media(encoder.stream)

    async with site.session.get(url, headers={"Accept-Encoding": "gzip"}, auto_decompress=False) as response:
        zipped = await response.read()

    assert "Content-Encoding" not in plain_headers
    assert plain_headers["Vary"] == response.headers["Vary"] == "Accept-Encoding"
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(zipped) == plain


async def test_a_playlist_waits_for_the_first_segment(site: Site) -> None:
    """A player that comes while the first segment is open is answered when it is complete."""
    encoder, packager, _ = await go_live(site, parts=4)

    async with asyncio.TaskGroup() as group:
        asked = group.create_task(site.get(f"/live/{encoder.stream}/index.m3u8"))
        await asyncio.sleep(0.2)
        assert not asked.done()
        await packager.cut(6)

    assert asked.result()[0] == 200


async def test_the_end_is_said_to_those_who_watch_and_newcomers_find_it_offline(site: Site) -> None:
    """A blocked reload is let go with ENDLIST; the multivariant playlist is stream_offline."""
    encoder, packager, _ = await go_live(site)
    await site.get(media(encoder.stream))

    async with asyncio.TaskGroup() as group:
        blocked = group.create_task(site.get(f"{media(encoder.stream)}?_HLS_msn=2&_HLS_part=5"))
        await asyncio.sleep(0.1)
        await encoder.end()
        await packager.end()
    status, _, body = await site.get(f"/live/{encoder.stream}/index.m3u8")
    other_status, _, other = await site.get(f"/live/{encoder.stream}/index.m3u8", gateway=1)

    assert blocked.result()[2].endswith(b"#EXT-X-ENDLIST\n")
    assert (status, other_status) == (404, 404)
    assert b"stream_offline" in body
    assert b"stream_offline" in other


async def test_a_publisher_who_is_back_with_other_codecs_answers_who_waits(site: Site) -> None:
    """The open segment ends where it was; the new init segment stands behind a discontinuity, and can be had."""
    encoder, packager, _ = await go_live(site)
    query = "_HLS_msn=2&_HLS_part=5"
    async with asyncio.TaskGroup() as group:
        blocked = [group.create_task(site.get(f"{media(encoder.stream)}?{query}", gateway=n)) for n in (0, 1)]
        hinted = group.create_task(site.get(f"/live/{encoder.stream}/source/2-{2:016x}.5.m4s"))
        await asyncio.sleep(0.3)
        await Encoder(site.bus, encoder.stream, generation=1).put_header()
        body = await packager.put_init(1)
        header = part_header(3, 0, init=1, discontinuity=1, begins_discontinuity=True, epoch=EPOCH + 9)
        subject = HLS_PART.at(stream=encoder.stream, rendition="source")
        await site.bus.js.publish(subject, header.pack() + b"moof of other codecs", timeout=20)

    for answer in blocked:
        status, _, playlist = answer.result()
        before, _, after = playlist.partition(b"#EXT-X-DISCONTINUITY\n")
        assert status == 200
        assert before.rstrip().endswith(b"#EXTINF:1.0,\n2-0000000000000002.m4s")
        assert after.startswith(b'#EXT-X-MAP:URI="init-1-')
        init = re.search(rb'MAP:URI="([^"]+)"', after)
        assert init
        assert (await site.get(f"/live/{encoder.stream}/source/{init[1].decode()}"))[2] == body
    assert hinted.result()[0] == 404


async def test_a_session_after_the_end_is_waited_for(site: Site) -> None:
    """Who comes when the publisher is back gets a playlist that goes on, not the one that ended."""
    encoder, packager, _ = await go_live(site, parts=20)
    await site.get(media(encoder.stream))
    await encoder.end()
    await packager.end()
    await Encoder(site.bus, encoder.stream).begin()

    async with asyncio.TaskGroup() as group:
        asked = group.create_task(site.get(f"/live/{encoder.stream}/index.m3u8"))
        await asyncio.sleep(0.2)
        assert not asked.done()
        await packager.cut(1)
    _, _, playlist = await site.get(media(encoder.stream))

    assert asked.result()[0] == 200
    assert b"#EXT-X-ENDLIST" not in playlist
    assert b"PRELOAD-HINT" in playlist


async def test_unguessed_names_renditions_and_streams_are_not_found(site: Site) -> None:
    """With CORS, so that a player sees the status; a stream that is there and not live is offline."""
    encoder, _, _ = await go_live(site)
    offline = await site.make_stream()
    stream = encoder.stream
    for path in (
        f"/live/{stream}/source/0-ffffffffffffffff.m4s",
        f"/live/{stream}/source/0-ffffffffffffffff.0.m4s",
        f"/live/{stream}/source/init-0-ffffffffffffffff.mp4",
        f"/live/{stream}/source/init-7-000000000000abc0.mp4",
        f"/live/{stream}/1080p/index.m3u8",
        f"/live/{stream}/source/segment.ts",
        "/live/nobody/index.m3u8",
        "/live/nobody/source/index.m3u8",
        "/live/nobody/source/0-ffffffffffffffff.m4s",
        "/live/nobody/source/0-ffffffffffffffff.0.m4s",
        "/live/nobody/source/0-ffffffffffffffff.ts",
        "/live/nobody/source/init-0-ffffffffffffffff.mp4",
        f"/live/{offline}/source/0-ffffffffffffffff.m4s",
        f"/live/{offline}/source/ts.m3u8",
        "/live/a.b/index.m3u8",
        "/live/%2a/index.m3u8",
    ):
        status, headers, body = await site.get(path)
        assert (status, headers["Access-Control-Allow-Origin"]) == (404, "*"), path
        assert headers["Cache-Control"] == "no-store", path
        assert (b'"stream_offline"' if offline in path else b'"not_found"') in body, path


async def test_a_private_session_lives_on_by_the_addresses_it_was_given(site: Site) -> None:
    """The play token opens the multivariant playlist; the playlist in it carries a token of its own."""
    encoder, _, _ = await go_live(site, private=True)
    token = (await site.owner.get(f"streams/{encoder.stream}")).json["play_token"]["token"]

    refused, _, _ = await site.get(f"/live/{encoder.stream}/index.m3u8")
    refused_media, _, _ = await site.get(media(encoder.stream))
    status, _, multivariant = await site.get(f"/live/{encoder.stream}/index.m3u8?token={token}")
    inner = re.search(rb"^source/index\.m3u8\?token=(\S+)$", multivariant, re.MULTILINE)
    assert inner
    status_media, _, playlist = await site.get(
        f"{media(encoder.stream)}?token={inner[1].decode()}&_HLS_msn=1", gateway=1
    )
    part = next(uri for uri in uris(playlist) if uri.endswith(".m4s"))
    status_part, _, _ = await site.get(f"/live/{encoder.stream}/source/{part}")

    assert (refused, refused_media) == (401, 401)
    assert (status, status_media, status_part) == (200, 200, 200)
    assert b"token" not in playlist
    assert inner[1].decode() != token


async def test_a_member_put_out_stops_playing_at_every_gateway(site: Site) -> None:
    """His play tokens and the session made from one count no more; after joining again new ones do."""
    room = await site.owner.make_room(password="popcorn")
    stream = (await site.owner.post(f"rooms/{room}/streams", {"title": "film"})).json["stream"]
    encoder, packager = Encoder(site.bus, stream), Packager(site.bus, stream)
    await encoder.begin()
    await packager.put_init()
    await packager.cut(25)
    guest = await site.owner.somebody_else().come_as_guest()
    await guest.post(f"rooms/{room}/join", {"password": "popcorn"})

    async def begin() -> tuple[str, str]:
        token = (await guest.get(f"streams/{stream}")).json["play_token"]["token"]
        _, _, multivariant = await site.get(f"/live/{stream}/index.m3u8?token={token}")
        inner = re.search(rb"^(source/index\.m3u8\?\S+)$", multivariant, re.MULTILINE)
        assert inner
        return token, f"/live/{stream}/{inner[1].decode()}"

    token, session = await begin()
    before = [(await site.get(session, gateway=gateway))[0] for gateway in (0, 1)]
    await site.owner.send("DELETE", f"rooms/{room}/members/{guest.user}")
    await asyncio.sleep(0.6)
    after = [(await site.get(session, gateway=gateway))[0] for gateway in (0, 1)]
    anew = (await site.get(f"/live/{stream}/index.m3u8?token={token}"))[0]
    await guest.post(f"rooms/{room}/join", {"password": "popcorn"})
    _, again = await begin()
    welcome = [(await site.get(again, gateway=gateway))[0] for gateway in (0, 1)]

    assert (before, after, anew, welcome) == ([200, 200], [401, 401], 401, [200, 200])


async def test_half_a_request_does_not_hold_a_connection(site: Site, gateways: list[GatewayProcess]) -> None:
    """Heads and bodies that trickle in are given up; whoever asks properly goes on meanwhile."""
    address = gateways[0].http.removeprefix("http://").rsplit(":", 1)
    slow = [await asyncio.open_connection(address[0], int(address[1])) for _ in range(50)]
    for number, (_, writer) in enumerate(slow):
        writer.write(b"GET /live/x.flv HTTP/1.1\r\nHost: x\r\n" if number % 2 else b"")
    body_reader, body = await asyncio.open_connection(address[0], int(address[1]))
    body.write(
        b"POST /api/v1/auth/guest HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 1000\r\n\r\n{"
    )
    encoder, _, _ = await go_live(site)

    async with asyncio.timeout(12):
        while not all(reader.at_eof() for reader, _ in slow):
            for number, (_, writer) in enumerate(slow):
                if number % 2:
                    writer.write(b"X-More: 1\r\n")
            status, _, _ = await site.get(media(encoder.stream))
            assert status == 200
            await asyncio.sleep(0.2)
        answered = await body_reader.read(200)

    assert answered.startswith(b"HTTP/1.1 408")
    for _, writer in (*slow, (body_reader, body)):
        writer.close()


async def test_viewers_are_counted_over_gateways(site: Site) -> None:
    """Players of playlists and connections of FLV, wherever they are."""
    encoder, _, _ = await go_live(site)
    await site.get(media(encoder.stream), gateway=0, **{"User-Agent": "player one"})
    await site.get(media(encoder.stream), gateway=1, **{"User-Agent": "player two"})

    async with site.watch(encoder.stream, gateway=1) as viewer, asyncio.timeout(20):
        await viewer.wait_for(b"FLV")
        while (shown := (await site.owner.get(f"streams/{encoder.stream}")).json)["viewers"] != 3:  # noqa: ASYNC110
            await asyncio.sleep(0.2)

    assert shown["status"] == "live"
