"""Viewers whose right to play ends: cut off at every gateway and at the ingest worker, and nobody else."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import WSMsgType

from bus_schemas.permissions import Permission
from tests.embedded import fresh_name
from tests.integration.gateway_process import GatewayProcess, Person, StartGateways
from tests.integration.ingest_worker import Ingest, running
from tests.integration.live_encoder import Encoder, Packager, put_made
from tests.integration.live_site import FlvViewer, Site
from tests.integration.play_tokens import play_token
from tests.integration.test_rtmp_play import RawPlayer, published
from tests.integration.test_viewer_sessions import read_event
from tests.unit.transmux.sources import encoded, make_segmenter, messages_of, run

pytestmark = pytest.mark.connected

CUT_S = 1.0


@pytest.fixture(scope="module")
def gateways(start_gateways: StartGateways) -> list[GatewayProcess]:
    """Two gateways."""
    return start_gateways(2, LIMITS__SIGN_INS_PER_MINUTE="1000")


class Show:
    """A room with a stream that is live, and two members of it."""

    def __init__(self, site: Site, room: str, stream: str) -> None:
        self.site, self.room, self.stream = site, room, stream
        self.encoder = Encoder(site.bus, stream)
        self.packager = Packager(site.bus, stream)
        self.members: list[Person] = []

    @classmethod
    async def begin(
        cls, site: Site, *, live: bool = True, hidden: bool = False, password: str = ""
    ) -> "Show":
        room: dict[str, object] = {"hidden": hidden, **({"password": password} if password else {})}
        made = await site.owner.make_room(**room)
        stream = str((await site.owner.post(f"rooms/{made}/streams", {"title": "cam"})).json["stream"])
        show = cls(site, made, stream)
        if live:
            await show.encoder.begin()
            await show.packager.put_init()
            await show.packager.cut(25)
        for _ in range(2):
            member = await site.owner.somebody_else().register(fresh_name("member"))
            joined = await member.post(f"rooms/{made}/join", {"password": password or None})
            assert joined.status == 200, joined.body
            show.members.append(member)
        return show

    async def token(self, member: Person) -> str:
        """What lets a member's players in; empty where none is wanted."""
        shown = (await member.get(f"streams/{self.stream}")).json
        return str(shown["play_token"]["token"]) if shown["play_token"] else ""


async def become(site: Site, stream: str, wanted: dict[str, int]) -> None:
    """Wait until the owner is shown these viewers."""
    async with asyncio.timeout(20):
        while True:
            shown = (await site.owner.get(f"streams/{stream}")).json["viewers_by_protocol"]
            if shown == wanted:
                return
            await asyncio.sleep(0.05)


async def over(reading: Awaitable[object]) -> float:
    """How long a connection went on."""
    began = time.monotonic()
    async with asyncio.timeout(20):
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            await reading
    return time.monotonic() - began


async def test_a_member_who_is_put_out_is_cut_off_at_once_everywhere(
    site: Site, module_postgres_dsn: str
) -> None:
    """FLV, WebSocket, the page, and a reload that waits; at both gateways. The other member sees on."""
    show = await Show.begin(site, password="a long secret")
    stream, (one, other) = show.stream, show.members
    token, others = await show.token(one), await show.token(other)
    expired = await play_token(module_postgres_dsn, stream, one.user, life_s=-1)
    base = [gateway.http for gateway in site.gateways]
    async with (
        site.watch(stream, query=f"?token={token}") as flv,
        site.watch(stream, gateway=1, query=f"?token={token}") as second,
        site.watch(stream, query=f"?token={others}") as untouched,
        site.session.ws_connect(f"{base[1]}/live/{stream}/ws?token={token}") as socket,
        site.session.get(f"{base[1]}/live/{stream}/events?token={token}") as page,
    ):
        for viewer in (flv, second, untouched):
            await viewer.wait_for(b"FLV")
        _, _, playlist = await site.get(f"/live/{stream}/index.m3u8?token={token}")
        inside = re.search(rb"source/index\.m3u8\?\S+", playlist)
        assert inside
        media = f"/live/{stream}/{inside[0].decode()}"
        session = media.rpartition("&")[2]
        later = f"/live/{stream}/source/index.m3u8?token={expired}&{session}"
        assert (await site.get(later))[0] == 200
        waiting = asyncio.create_task(site.get(f"{media}&_HLS_msn=2&_HLS_part=5", gateway=1))
        await become(site, stream, {"hls": 1, "flv": 3, "ws-flv": 1})

        async def until_closed() -> None:
            while (await socket.receive()).type is not WSMsgType.CLOSE:
                pass

        kicked = asyncio.create_task(site.owner.send("DELETE", f"rooms/{show.room}/members/{one.user}"))
        lasted = await asyncio.gather(
            over(flv.response.content.read()), over(second.response.content.read()),
            over(until_closed()), over(page.content.read()),
        )  # fmt: skip
        assert (await kicked).status == 204
        code = socket.close_code
        await show.packager.cut()
        reloaded, _, _ = await waiting
        paths = media, f"/live/{stream}.flv?token={token}", later
        again = [await site.get(path, gateway=n) for n in (0, 1) for path in paths]
        await show.encoder.send(3)
        await untouched.wait_for(b"%s %d 3" % (stream.encode(), show.encoder.epoch))

    assert max(lasted) < CUT_S
    assert code == 1008
    assert reloaded == 401
    assert [status for status, _, _ in again] == [401] * 6


async def test_a_progressive_file_ends_with_the_right_to_it(site: Site) -> None:
    """One member's is cut off at once; the other's, which is made of the same bytes, goes on."""
    show = await Show.begin(site, live=False, password="a long secret")
    await show.encoder.begin()
    made = run(make_segmenter(), messages_of(encoded(seconds=5)))
    await put_made(site.bus, show.stream, made[:-1])
    urls = [
        f"{site.gateways[0].http}/live/{show.stream}.mp4?token={await show.token(member)}"
        for member in show.members
    ]
    async with site.session.get(urls[0]) as cut, site.session.get(urls[1]) as goes_on:
        for viewer in (FlvViewer(cut), FlvViewer(goes_on)):
            await viewer.wait_for(made[-2].body)
        await become(site, show.stream, {"mp4": 2})

        kicked = asyncio.create_task(
            site.owner.send("DELETE", f"rooms/{show.room}/members/{show.members[0].user}")
        )
        lasted = await over(cut.content.read())
        assert (await kicked).status == 204
        await put_made(site.bus, show.stream, made[-1:])
        await FlvViewer(goes_on).wait_for(made[-1].body)
        await become(site, show.stream, {"mp4": 1})

    assert lasted < CUT_S


async def take_playlist_away(show: Show) -> None:
    """Nobody but admins may see the room's playlist."""
    room = (await show.site.owner.get(f"rooms/{show.room}")).json
    mask = int(room["settings"]["role_defaults"]["member"]) & ~int(Permission.VIEW_PLAYLIST)
    change = {"settings": {"role_defaults": {"member": str(mask)}}}
    changed = await show.site.owner.send("PATCH", f"rooms/{show.room}", change)
    assert changed.status == 200, changed.body


async def leave(show: Show) -> None:
    """He goes of his own will."""
    assert (await show.members[0].post(f"rooms/{show.room}/leave")).status == 204


async def hide(show: Show) -> None:
    """The room is hidden from now on: whoever came without a token has to come again."""
    assert (await show.site.owner.send("PATCH", f"rooms/{show.room}", {"hidden": True})).status == 200


async def delete(show: Show) -> None:
    """There is no such room any more."""
    assert (await show.site.owner.send("DELETE", f"rooms/{show.room}")).status == 204


@pytest.mark.parametrize(
    ("hidden", "end"),
    [(True, take_playlist_away), (True, leave), (False, hide), (True, delete)],
)
async def test_whatever_ends_the_right_to_play_ends_the_playing(
    site: Site, hidden: bool, end: Callable[[Show], Awaitable[None]]
) -> None:
    """And what he held to come back by counts no more."""
    show = await Show.begin(site, hidden=hidden)
    token = await show.token(show.members[0])
    query = f"?token={token}" if token else ""
    async with site.watch(show.stream, gateway=1, query=query) as viewer:
        await viewer.wait_for(b"FLV")
        ending = asyncio.ensure_future(end(show))
        lasted = await over(viewer.response.content.read())
        await ending
    await asyncio.sleep(0.5)  # A revocation made by the other gateway is known within that.
    status, _, _ = await site.get(f"/live/{show.stream}.flv{query}")

    assert lasted < CUT_S
    assert status == (404 if end is delete else 401)


async def test_a_session_is_no_cover_for_somebody_elses_token(site: Site) -> None:
    """Who asks by another member's session is a viewer of his own, and is cut off when his own right ends."""
    show = await Show.begin(site, password="a long secret")
    one, other = show.members
    token, others = await show.token(one), await show.token(other)
    _, _, playlist = await site.get(f"/live/{show.stream}/index.m3u8?token={others}")
    session = re.search(rb"session=(\w+)", playlist)
    assert session
    media = f"/live/{show.stream}/source/index.m3u8?session={session[1].decode()}&token="
    await site.get(media + others)
    await site.get(media + token)
    await become(site, show.stream, {"hls": 2})
    await take_playlist_away_from(show, one)
    await asyncio.sleep(CUT_S)

    assert [(await site.get(media + held))[0] for held in (token, others)] == [401, 200]


async def take_playlist_away_from(show: Show, member: Person) -> None:
    """Of all members this one may not see the room's playlist."""
    change = {"removed": str(int(Permission.VIEW_PLAYLIST))}
    changed = await show.site.owner.send("PATCH", f"rooms/{show.room}/members/{member.user}", change)
    assert changed.status == 200, changed.body


async def test_a_stream_made_private_is_played_by_its_owner_only(site: Site) -> None:
    """Who watched without a token is cut off; the owner's token lets in."""
    stream = await site.make_stream()
    await Encoder(site.bus, stream).begin()
    async with site.watch(stream) as viewer:
        await viewer.wait_for(b"FLV")
        changing = asyncio.create_task(site.owner.send("PATCH", f"streams/{stream}", {"private": True}))
        lasted = await over(viewer.response.content.read())
        token = (await changing).json
    token = (await site.owner.get(f"streams/{stream}")).json["play_token"]["token"]
    async with site.watch(stream, query=f"?token={token}") as viewer:
        await viewer.wait_for(b"FLV")

    assert lasted < CUT_S


@pytest.fixture
async def ingest(nats_url: str) -> AsyncIterator[Ingest]:
    async with running(nats_url, "n1") as worker:
        yield worker


async def test_a_player_at_an_ingest_worker_is_cut_off_too(site: Site, ingest: Ingest) -> None:
    """Told why; the other member's player goes on."""
    show = await Show.begin(site, live=False, password="a long secret")
    publisher = await published(ingest, show.stream)
    players = []
    for member in show.members:
        player = await RawPlayer.playing(ingest.port, f"{show.stream}?token={await show.token(member)}")
        await player.until(5)
        players.append(player)
    await become(site, show.stream, {"rtmp": 2})
    kicked, stays = players

    async def until_cut() -> None:
        while await kicked.read():
            pass

    putting_out = asyncio.create_task(
        site.owner.send("DELETE", f"rooms/{show.room}/members/{show.members[0].user}")
    )
    lasted = await over(until_cut())
    await putting_out
    publisher.send_frame(b"\x27\x01\x00\x00\x00" + bytes(40), 80)
    await stays.until(len(stays.media()) + 1)
    await become(site, show.stream, {"rtmp": 1})

    assert lasted < CUT_S + 1  # The worker reads its last words' silence for a moment before it closes.
    assert kicked.statuses()[-1] == "NetStream.Play.Failed"
    stays.close()
    await publisher.close()


async def test_a_page_that_connects_again_needs_no_fresh_token(site: Site, module_postgres_dsn: str) -> None:
    """A page of a private stream is sent a token with its events, which a browser gives back by itself."""
    stream = await site.make_stream(private=True)
    token = (await site.owner.get(f"streams/{stream}")).json["play_token"]["token"]
    expired = await play_token(module_postgres_dsn, stream, site.owner.user, life_s=-1)
    events = f"{site.gateways[0].http}/live/{stream}/events"

    async with site.session.get(f"{events}?token={token}") as page:
        lines = b""
        while b"\nevent: " not in lines:
            lines += await page.content.readany()
    last = re.search(rb"^id: (\S+)$", lines, re.MULTILINE)
    assert last
    header = {"Last-Event-ID": last[1].decode()}
    async with site.session.get(f"{events}?token={expired}", headers=header) as page:
        counts = await read_event(page)
    async with site.session.get(f"{events}?token={expired}") as page:
        refused = await page.text()

    assert last[1].decode() != token
    assert counts["count"] == 0
    assert "has expired" in refused
