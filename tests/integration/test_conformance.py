"""The conformance script: a gateway passes every case, and a server that breaks the contract does not."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bus_schemas.socket_frames import SUBPROTOCOL
from gateway.ws.asyncapi import document
from ops.conformance.case import Result
from ops.conformance.run import CASES, chosen, run
from tests.integration.gateway_process import GatewayProcess, visiting
from tests.integration.room_stack import RoomStack

pytestmark = pytest.mark.connected

Frame = dict[str, Any]
Tamper = Callable[[Frame], Frame | None]
"""What becomes of a frame on its way to the client; None: it is lost."""


@pytest.fixture(scope="module")
def rooms(
    tmp_path_factory: pytest.TempPathFactory,
    nats_url: str,
    module_postgres_dsn: str,
    module_redis_url: str,
) -> Iterator[RoomStack]:
    """Workers, and gateways as they are asked for."""
    stack = RoomStack(
        tmp_path_factory.mktemp("conformance"),
        nats=nats_url,
        postgres=module_postgres_dsn,
        redis=module_redis_url,
    )
    try:
        stack.workers.start("sync")
        stack.workers.start("chat")
        yield stack
    finally:
        stack.close()


@pytest.fixture(scope="module")
def gateway(rooms: RoomStack) -> GatewayProcess:
    """A gateway without limits that asks often whether somebody is there."""
    return rooms.gateway(GATEWAY__PING_S="0.5")


def faults(results: list[Result]) -> list[str]:
    return [f"{one.case.name}: {one.expected} / {one.seen}" for one in results if one.outcome == "FAIL"]


async def test_a_gateway_passes_every_case(gateway: GatewayProcess) -> None:
    """All that is promised is kept; only what cannot be seen from outside on this server is skipped."""
    results = await run(gateway.own, chosen([], quick=True), lambda _: None)

    assert faults(results) == []
    assert len(results) == sum(not case.slow for case in CASES)
    assert {one.case.name for one in results if one.outcome == "skip"} == {
        "floods-are-limited",
        "chat-is-limited",
    }


async def test_the_gateway_serves_what_the_document_is_made_of(gateway: GatewayProcess) -> None:
    """The served document is that of the code, and the page for people stands beside it."""
    async with visiting(gateway.own) as person:
        served = await person.get("asyncapi.json")
        page = await person.get("/docs/socket")

    assert served.json == document(served.json["info"]["version"])
    assert page.headers["Content-Type"].startswith("text/html")
    assert b"server-resumed" in page.body


async def test_pings_and_dead_peers_pass_where_the_intervals_are_short(gateway: GatewayProcess) -> None:
    """The cases that take long hold too; this gateway asks every half second, so they do not take long here."""
    wanted = [case for case in CASES if case.name in ("the-server-pings", "dead-peers-are-found")]

    results = await run(gateway.own, wanted, lambda _: None)

    assert [(one.case.name, one.outcome) for one in results] == [(case.name, "ok") for case in wanted]


async def test_limits_are_seen_where_they_are_on(rooms: RoomStack) -> None:
    """On a server as it comes, floods and chat are limited with a time to try again, and nothing else fails."""
    strict = rooms.gateway(LIMITS__ENABLED="true")

    results = await run(strict.own, chosen(["limited", "token-by", "seq"], quick=True), lambda _: None)

    assert faults(results) == []
    assert [one.case.name for one in results if one.outcome == "skip"] == []


@asynccontextmanager
async def tampering(target: str, tamper: Tamper) -> AsyncIterator[str]:
    """A server like the one at `target`, but for what `tamper` does to each of its frames; its address."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession())

        async def pass_on(request: web.Request) -> web.Response:
            headers = {
                name: value
                for name, value in request.headers.items()
                if name in ("Authorization", "Content-Type")
            }
            async with client.request(
                request.method, target + request.path_qs, headers=headers, data=await request.read() or None
            ) as answer:
                return web.Response(
                    status=answer.status,
                    body=await answer.read(),
                    headers={"Content-Type": answer.headers.get("Content-Type", "text/plain")},
                )

        async def to_client(upstream: aiohttp.ClientWebSocketResponse, down: web.WebSocketResponse) -> None:
            async for message in upstream:
                if message.type is aiohttp.WSMsgType.TEXT:
                    frame = tamper(json.loads(message.data))
                    if frame is not None:
                        await down.send_json(frame)
            await down.close(code=upstream.close_code or 1000)

        async def socket(request: web.Request) -> web.WebSocketResponse:
            down = web.WebSocketResponse(protocols=(SUBPROTOCOL,))
            await down.prepare(request)
            async with client.ws_connect(
                target + request.path_qs, protocols=(SUBPROTOCOL,), max_msg_size=0
            ) as upstream:
                passing = asyncio.ensure_future(to_client(upstream, down))
                with suppress(ConnectionError):
                    async for message in down:
                        if message.type is aiohttp.WSMsgType.TEXT:
                            await upstream.send_str(message.data)
                await upstream.close()
                await passing
            return down

        app = web.Application()
        app.router.add_get("/ws", socket)
        app.router.add_route("*", "/{path:.*}", pass_on)
        server = TestServer(app)
        await server.start_server()
        stack.push_async_callback(server.close)
        yield str(server.make_url("")).rstrip("/")


class Nth:
    """Does something to the n-th frame of a type, and nothing to all others."""

    def __init__(self, kind: str, number: int, change: Tamper) -> None:
        self._kind, self._left, self._change = kind, number, change

    def __call__(self, frame: Frame) -> Frame | None:
        if frame["type"] == self._kind:
            self._left -= 1
            if self._left == 0:
                return self._change(frame)
        return frame


def every(kind: str, change: Tamper) -> Tamper:
    return lambda frame: change(frame) if frame["type"] == kind else frame


def without(name: str) -> Tamper:
    return lambda frame: {key: value for key, value in frame.items() if key != name}


def having(**fields: Any) -> Tamper:
    return lambda frame: {**frame, **fields}


def lost(_: Frame) -> None:
    return None


BROKEN: list[tuple[str, str, Callable[[], Tamper]]] = [
    ("an event is lost while somebody resumes", "resuming-gives-exactly", lambda: Nth("playback", 6, lost)),
    ("an event has no seq", "seq-rises", lambda: every("playback", without("seq"))),
    ("seq stands still", "seq-rises", lambda: every("chat", having(seq=1_000_000))),
    ("an ack is lost", "every-id-is-answered", lambda: Nth("ack", 1, lost)),
    ("an ack has another id", "every-id-is-answered", lambda: Nth("ack", 1, having(id="another"))),
    (
        "numbers come back as text",
        "every-id-is-answered",
        lambda: every("pong", lambda f: {**f, "id": str(f["id"])}),
    ),
    ("an ack of playback says nothing", "commands-are-agreed", lambda: every("ack", without("state"))),
    ("nobody did it", "commands-are-agreed", lambda: every("playback", having(by=None))),
    ("a conflict hides the state", "stale-commands", lambda: every("error", without("state"))),
    ("danmaku are numbered", "danmaku-carry-no-seq", lambda: every("danmaku", having(seq=7))),
    ("resumed leaves out its after", "resuming-where-nothing", lambda: every("resumed", without("after"))),
    ("resumed is a lie", "another-epoch", lambda: every("joined", having(type="resumed", after=0))),
    ("joined has no epoch", "join-gives", lambda: every("joined", without("epoch"))),
    ("errors have codes of their own", "unknown-rooms", lambda: every("error", having(code="gone"))),
    ("kicked is not told", "the-banned-stay-out", lambda: every("kicked", lost)),
    ("nobody counts", "members-come-and-go", lambda: every("viewers", lost)),
    ("clocks go wrong", "clocks-are-sampled", lambda: every("time", having(t1=5, t2=4))),
    ("rights change in silence", "new-rights", lambda: every("you", lost)),
]


@pytest.mark.parametrize(("fault", "case", "tamper"), BROKEN, ids=[fault for fault, _, _ in BROKEN])
async def test_a_fault_fails_the_case_that_is_about_it(
    gateway: GatewayProcess,
    fault: str,
    case: str,
    tamper: Callable[[], Tamper],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server with one thing wrong does not get away with it, and the report says what was wanted and seen."""
    wanted = chosen([case], quick=True)
    assert len(wanted) == 1

    async with tampering(gateway.own, tamper()) as url:
        (result,) = await run(url, wanted, lambda _: None, within_s=3)

    assert result.outcome == "FAIL", fault
    assert result.expected
    assert result.seen


async def test_the_proxy_itself_breaks_nothing(gateway: GatewayProcess) -> None:
    """Without tampering the same cases pass: it is the fault that fails them."""
    wanted = chosen([case for _, case, _ in BROKEN], quick=True)

    async with tampering(gateway.own, lambda frame: frame) as url:
        results = await run(url, wanted, lambda _: None)

    assert faults(results) == []


def test_the_command_tells_what_it_found(gateway: GatewayProcess) -> None:
    """A line a case, the counts, and an exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "ops", "conformance", gateway.own, "--only", "token-by,clocks"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "ok    token-by-header"
    assert done.stdout.splitlines()[-1] == "4 passed, 0 failed, 0 skipped."
