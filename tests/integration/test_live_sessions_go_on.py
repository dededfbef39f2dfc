"""Private streams watched for longer than a token lives: the session goes on, and nobody else comes in by it."""

import asyncio
import re
import time

import pytest

from tests.integration.gateway_process import GatewayProcess, StartGateways
from tests.integration.live_encoder import Encoder, Packager, put_made
from tests.integration.live_site import Site
from tests.integration.play_tokens import play_token
from tests.integration.test_live_hls import media
from tests.unit.transmux.sources import encoded, make_segmenter, messages_of, run

pytestmark = pytest.mark.connected


@pytest.fixture(scope="module")
def gateways(start_gateways: StartGateways) -> list[GatewayProcess]:
    """Three, of which the last is there to be stopped."""
    return start_gateways(3, LIMITS__SIGN_INS_PER_MINUTE="1000")


class Watched:
    """A private stream of the owner's that can be played, and tokens of his that count and that do not."""

    def __init__(self, site: Site, stream: str, token: str, expired: str) -> None:
        self.site, self.stream, self.token, self.expired = site, stream, token, expired

    @classmethod
    async def begin(cls, site: Site, dsn: str) -> "Watched":
        stream = await site.make_stream(private=True)
        await Encoder(site.bus, stream).begin()
        await put_made(site.bus, stream, run(make_segmenter(), messages_of(encoded(seconds=5))))
        token = (await site.owner.get(f"streams/{stream}")).json["play_token"]["token"]
        return cls(site, stream, token, await play_token(dsn, stream, site.owner.user, life_s=-1))

    async def session(self, path: str, *, gateway: int = 0) -> str:
        """Begin to watch; the query that names the session inside."""
        url = f"/live/{self.stream}{path}?token={self.token}"
        status, _, body = await self.site.get(url, gateway=gateway)
        assert status == 200, body
        named = re.search(rb"session=\w+", body)
        assert named
        return named[0].decode()

    async def later(self, path: str, query: str = "", *, gateway: int = 0) -> tuple[int, bytes]:
        """Ask with the token that has expired."""
        url = f"/live/{self.stream}{path}?token={self.expired}{'&' if query else ''}{query}"
        status, _, body = await self.site.get(url, gateway=gateway)
        return status, body

    async def known_everywhere(self, sessions: int) -> None:
        """Wait until Redis has so many viewers."""
        async with asyncio.timeout(20):
            while (await self.site.owner.get(f"streams/{self.stream}")).json["viewers"] != sessions:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("entry", "inside"),
    [
        ("/index.m3u8", "/source/index.m3u8"),
        ("/source/ts.m3u8", "/source/ts.m3u8"),
        ("/manifest.mpd", "/manifest.mpd"),
    ],
)
async def test_a_session_lives_on_after_its_token(
    site: Site, module_postgres_dsn: str, entry: str, inside: str
) -> None:
    """At the gateway that knows it, and at one that has to ask; a session that nobody knows lets nobody in."""
    watched = await Watched.begin(site, module_postgres_dsn)
    session = await watched.session(entry)
    await watched.known_everywhere(1)

    inside_it = [await watched.later(inside, session, gateway=gateway) for gateway in (0, 1, 0)]
    without = [
        await watched.later(inside),
        await watched.later(inside, "session=nobodyhasthis"),
        await watched.later(".flv", session),
    ]

    assert [status for status, _ in inside_it] == [200] * 3
    assert [status for status, _ in without] == [401] * 3
    assert all(b"has expired" in body for _, body in without)
    await watched.known_everywhere(1)


async def test_a_session_of_a_gateway_that_stops_goes_on_at_another(
    site: Site, gateways: list[GatewayProcess], module_postgres_dsn: str
) -> None:
    """Also one that had only just begun: a roll-out cuts nobody off."""
    watched = await Watched.begin(site, module_postgres_dsn)
    session = await watched.session("/index.m3u8", gateway=2)
    await asyncio.to_thread(gateways[2].stop)

    status, _ = await watched.later("/source/index.m3u8", session)

    assert status == 200


async def test_segments_of_a_dash_session_live_on_too(site: Site, module_postgres_dsn: str) -> None:
    """Their names can be guessed, so they want a token: an expired one does within the session, and not without."""
    watched = await Watched.begin(site, module_postgres_dsn)
    session = await watched.session("/manifest.mpd")
    _, manifest = await watched.later("/manifest.mpd", session)
    template = re.search(r'media="([^"]+-video-)\$Time\$(\.m4s)\?([^"]+)"', manifest.decode())
    begins = re.search(r'<S t="(\d+)"', manifest.decode())
    assert template
    assert begins
    path = f"/live/{watched.stream}/{template[1]}{begins[1]}{template[2]}"
    query = template[3].replace("&amp;", "&")
    await watched.known_everywhere(1)

    found = [await site.get(f"{path}?{query}", gateway=gateway) for gateway in (0, 1)]
    alone, _, _ = await site.get(f"{path}?token={watched.expired}")

    assert query == f"token={watched.expired}&{session}"
    assert [status for status, _, _ in found] == [200, 200]
    assert b"mdat" in found[0][2]
    assert alone == 401


async def test_somebody_elses_session_is_no_way_in(site: Site, module_postgres_dsn: str) -> None:
    """Whose token has expired needs a session that he began."""
    watched = await Watched.begin(site, module_postgres_dsn)
    session = await watched.session("/index.m3u8")
    watched.expired = await play_token(module_postgres_dsn, watched.stream, "somebodyelse", life_s=-1)

    status, _ = await watched.later("/source/index.m3u8", session)

    assert status == 401


async def test_a_player_given_the_media_playlist_itself_plays_on(
    site: Site, module_postgres_dsn: str
) -> None:
    """Its token lives two seconds and it asks all the time; another player is too late to begin with it."""
    watched = await Watched.begin(site, module_postgres_dsn)
    short = await play_token(module_postgres_dsn, watched.stream, site.owner.user, life_s=2)
    url = f"{media(watched.stream)}?token={short}"
    began = time.monotonic()
    answers = []
    while time.monotonic() - began < 3.5:
        answers.append((await site.get(url, **{"User-Agent": "one"}))[0])
        await asyncio.sleep(0.25)
    late, _, _ = await site.get(url, **{"User-Agent": "another"})

    assert set(answers) == {200}
    assert late == 401


async def test_a_viewer_who_waits_for_a_publisher_stays_one_viewer(site: Site) -> None:
    """A reload is held back for as long as a silence lasts that ends a session: it does not end meanwhile."""
    stream = await site.make_stream()
    encoder, packager = Encoder(site.bus, stream), Packager(site.bus, stream)
    await encoder.begin()
    await packager.put_init()
    await packager.cut(25)
    _, _, body = await site.get(f"/live/{stream}/index.m3u8")
    inside = re.search(rb"session=(\w+)", body)
    assert inside
    blocked = f"{media(stream)}?{inside[0].decode()}&_HLS_msn=2&_HLS_part=5"

    async def count() -> int:
        viewers: int = (await site.owner.get(f"streams/{stream}")).json["viewers"]
        return viewers

    asked = asyncio.create_task(site.get(blocked))
    seen = set()
    while not asked.done():
        await asyncio.sleep(0.2)
        seen.add(await count())
    assert asked.result()[0] == 503
    await asyncio.sleep(1.5)
    seen.add(await count())

    assert seen == {1}
