"""Hooks between a real ingest worker, real gateways and an operator's server that is not always friendly."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from bus_schemas.messages.live import StopReason, StreamStarted
from runtime.postgres import migrate
from tests.embedded import fresh_name
from tests.integration import hook_server as hooks
from tests.integration.gateway_process import GatewayProcess
from tests.integration.hook_server import SECRET, Behaviour, HookServer, hook_server, say
from tests.integration.ingest_worker import PROMPT_S, Ingest, RawPublisher, running, until
from tests.integration.live_encoder import Encoder
from tests.integration.live_site import Site, visiting_site
from tests.unit.ingest.rtmp_client import HANDSHAKE, key_frame, opening

pytestmark = pytest.mark.connected

TIMEOUT_S = 0.6


@pytest.fixture
async def server() -> AsyncIterator[HookServer]:
    async with hook_server() as listening:
        yield listening


@pytest.fixture
async def ingest(nats_url: str, server: HookServer) -> AsyncIterator[Ingest]:
    settings = {
        "on_publish": [server.url()], "on_unpublish": [server.url()], "secret": SECRET, "timeout_s": TIMEOUT_S,
    }  # fmt: skip
    async with running(nats_url, "n1", hooks=settings) as worker:
        yield worker


async def begin(ingest: Ingest, stream: str, key: str) -> RawPublisher:
    """A publisher who was let in and sends."""
    await ingest.add_key(key, stream)
    publisher = await RawPublisher.to(ingest.port)
    await publisher.publish(key)
    publisher.send_headers()
    publisher.send_frame(key_frame(), 0)
    return publisher


async def test_a_hook_is_asked_before_and_told_after_and_never_sees_the_key(
    ingest: Ingest, server: HookServer
) -> None:
    """SRS's names, signed; the stream is our id; on_unpublish comes when the publish is over."""
    stream, key = fresh_name("s"), fresh_name("verysecretkey")

    publisher = await begin(ingest, stream, key)
    await until(lambda: ingest.of(stream))
    asked = server.of("on_publish")
    await publisher.close()
    await until(lambda: server.of("on_unpublish"))

    assert len(asked) == 1
    assert {
        "client_id",
        "ip",
        "vhost",
        "app",
        "stream",
        "param",
        "server_id",
        "stream_url",
        "stream_id",
    } <= set(asked[0])
    assert (asked[0]["stream"], asked[0]["ip"], asked[0]["app"]) == (stream, "127.0.0.1", "live")
    (told,) = server.of("on_unpublish")
    assert (told["client_id"], told["reason"]) == (asked[0]["client_id"], StopReason.LOST)
    assert server.signed == [True, True]
    assert key.encode() not in b"".join(server.raw)


@pytest.mark.parametrize(
    ("behave", "why"),
    [
        (hooks.hang, "did not answer"),
        (hooks.trickle, "did not answer"),
        (hooks.megabytes, "more than 64 KB"),
        (hooks.redirect, "status 307"),
        (hooks.hang_up, "cannot be reached"),
        (hooks.promise_more, "cannot be reached"),
        (say(b'{"code":0}', "500 Internal Server Error"), "status 500"),
        (say(b'{"code":1,"message":"pay first"}'), "pay first"),
        (say(b'{"code":"0"}'), "cannot be read"),
        (say(b"<html>OK</html>"), "cannot be read"),
        (say(b'{"code":0,"stream":"../../*"}'), "cannot be read"),
        (say(b'{"code":0,"limits":{"bitrate_kbps":-1}}'), "cannot be read"),
        (say(b"[" * 60_000), "cannot be read"),
        (say(b""), "cannot be read"),
    ],
)
async def test_what_does_not_plainly_allow_denies(
    ingest: Ingest, server: HookServer, behave: Behaviour, why: str
) -> None:
    """Within the deadline, with a sentence for the publisher; nothing reaches the bus."""
    server.behave = behave
    stream = fresh_name("s")
    await ingest.add_key(stream, stream)
    publisher = await RawPublisher.to(ingest.port)
    began = time.monotonic()

    publisher.writer.write(HANDSHAKE + opening(name=stream))
    await publisher.read_to_end()
    await publisher.close()

    assert why.encode() in publisher.answers
    assert b"NetStream.Publish.Denied" in publisher.answers
    assert time.monotonic() - began < TIMEOUT_S + PROMPT_S
    assert "/allowed" not in server.paths
    assert not ingest.of(stream)
    assert ingest.counted("matinee_ingest_refused_total", reason="hook") >= 1


async def test_an_answer_may_limit_the_viewers_until_somebody_says_otherwise(
    ingest: Ingest, server: HookServer, site: Site
) -> None:
    """Over all gateways, in place of the stream's own limit; who changes that afterwards has the last word."""
    made = (await site.owner.post("streams", {"title": "cam"})).json
    stream, key = str(made["stream"]), str(made["stream_key"])
    await site.owner.send("PATCH", f"streams/{stream}", {"limits": {"viewers": 5}})
    server.behave = say(b'{"code":0,"limits":{"viewers":1}}')
    publisher = await RawPublisher.to(ingest.port)
    await publisher.publish(key)
    server.behave = hooks.ALLOW
    publisher.send_headers()
    publisher.send_frame(key_frame(), 0)
    await until(lambda: ingest.of(stream))

    async with site.watch(stream) as viewer:
        await viewer.wait_for(b"FLV")
        full, headers, body = await site.get(f"/live/{stream}.flv")
        changed = await site.owner.send("PATCH", f"streams/{stream}", {"limits": {"viewers": 2}})
        await asyncio.sleep(2.1)  # A gateway remembers a stream's limits for two seconds.
        async with site.watch(stream) as second:
            await second.wait_for(b"FLV")
            still_full, _, _ = await site.get(f"/live/{stream}.flv")
    await publisher.close()

    assert (full, still_full) == (429, 429)
    assert b"No more than 1 may watch" in body
    assert int(headers["Retry-After"]) > 0
    assert changed.json["limits"]["viewers"] == 2


async def test_an_answer_may_rename_the_stream_and_set_its_options(
    ingest: Ingest, server: HookServer
) -> None:
    """The publish is of the other stream, with the title and the limits of the answer."""
    stream, other = fresh_name("s"), fresh_name("other")
    server.behave = say(
        b'{"code":0,"stream":"%b","title":"Evening show","limits":{"duration_s":1}}' % other.encode()
    )

    publisher = await begin(ingest, stream, stream)
    await until(lambda: ingest.of(other))
    started = [event for event in await ingest.events(other) if isinstance(event, StreamStarted)]
    await publisher.read_to_end()
    await publisher.close()

    assert not ingest.of(stream)
    assert [(event.title, event.room) for event in started] == [("Evening show", None)]
    assert b"a publish of this stream may last" in publisher.answers
    await until(lambda: server.of("on_unpublish"))
    assert server.of("on_unpublish")[0]["stream"] == other


async def test_a_notification_is_tried_again(ingest: Ingest, server: HookServer) -> None:
    """A hook that was ill for a moment is told all the same; how a publish ends does not wait for it."""
    stream = fresh_name("s")
    publisher = await begin(ingest, stream, stream)
    await until(lambda: ingest.of(stream))
    server.behave = say(b"", "503 Not now")
    await publisher.close()
    await until(lambda: server.of("on_unpublish"))

    server.behave = hooks.ALLOW
    await until(lambda: ingest.counted("matinee_hooks_total", action="on_unpublish", outcome="told"))

    assert len(server.of("on_unpublish")) == 2


@pytest.fixture
async def site(
    tmp_path_factory: pytest.TempPathFactory,
    nats_url: str,
    postgres_dsn: str,
    redis_url: str,
    server: HookServer,
) -> AsyncIterator[Site]:
    await asyncio.to_thread(asyncio.run, migrate(postgres_dsn))
    gateway = GatewayProcess(
        tmp_path_factory.mktemp("hooked") / "0.log", nats=nats_url, postgres=postgres_dsn, redis=redis_url,
        HOOKS__ON_PLAY=server.url(), HOOKS__ON_STOP=server.url(), HOOKS__SECRET=SECRET,
        HOOKS__TIMEOUT_S=str(TIMEOUT_S),
    )  # fmt: skip
    try:
        await asyncio.to_thread(gateway.wait_ready)
        async with visiting_site([gateway], nats_url) as there:
            yield there
    finally:
        await asyncio.to_thread(gateway.stop)
        assert "hookquerysecret" not in gateway.log.read_text()


async def test_players_are_asked_for_and_told_of(site: Site, server: HookServer) -> None:
    """on_play before the first byte, on_stop with how long he watched; the play token is nobody's business."""
    stream = await site.make_stream(private=True)
    await Encoder(site.bus, stream).begin()
    token = (await site.owner.get(f"streams/{stream}")).json["play_token"]["token"]

    async with site.watch(stream, query=f"?token={token}&from=home") as viewer:
        await viewer.wait_for(b"FLV")
        (asked,) = server.of("on_play")
    await until(lambda: server.of("on_stop"))

    assert (asked["stream"], asked["protocol"], asked["param"]) == (stream, "flv", "?from=home")
    assert server.of("on_stop")[0]["client_id"] == asked["client_id"]
    assert token.encode() not in b"".join(server.raw)
    assert all(server.signed)


UNCLEAR = (
    hooks.megabytes,
    hooks.redirect,
    hooks.hang_up,
    hooks.promise_more,
    say(b"[" * 60_000),
    say(b"<html>OK</html>"),
    say(b'{"code":"0"}'),
    say(b'{"code":0}', "500 Internal Server Error"),
    say(b"", "200 OK", "Content-Encoding: gzip"),
)


async def test_players_are_denied_by_what_does_not_plainly_allow(site: Site, server: HookServer) -> None:
    """At once, with 403; nobody is told to have stopped who never began. A good answer lets in again."""
    stream = await site.make_stream()
    await Encoder(site.bus, stream).begin()
    for number, behave in enumerate(UNCLEAR):
        server.behave = behave
        began = time.monotonic()

        status, _, body = await site.get(f"/live/{stream}.flv")

        assert status == 403, number
        assert b"Playing is not allowed" in body, number
        assert time.monotonic() - began < TIMEOUT_S + 1, number
    assert "/allowed" not in server.paths
    assert server.of("on_stop") == []
    server.behave = hooks.ALLOW
    async with site.watch(stream) as viewer:
        await viewer.wait_for(b"FLV")


async def test_a_player_that_no_hook_allows_gets_a_sentence(site: Site, server: HookServer) -> None:
    """403 for a no, and for no answer; nobody is counted."""
    stream = await site.make_stream()
    await Encoder(site.bus, stream).begin()

    server.behave = say(b'{"code":403,"message":"members only"}')
    status, _, body = await site.get(f"/live/{stream}.flv")
    server.behave = hooks.hang
    late, _, late_body = await site.get(f"/live/{stream}.flv")

    assert (status, late) == (403, 403)
    assert b"members only" in body
    assert b"did not answer" in late_body
    assert (await site.owner.get(f"streams/{stream}")).json["viewers"] == 0
