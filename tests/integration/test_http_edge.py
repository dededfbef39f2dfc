"""What every answer has in common: errors, headers, limits, pages, addresses."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.integration.gateway_process import GatewayProcess, Person, StartGateways, visiting

pytestmark = pytest.mark.connected

_numbers = itertools.count(1)
CLIENT = b"<!doctype html><title>client</title>"


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built client of three files."""
    root = tmp_path_factory.mktemp("static")
    (root / "app" / "assets").mkdir(parents=True)
    (root / "app" / "index.html").write_bytes(CLIENT)
    (root / "app" / "icon.svg").write_text("<svg/>")
    (root / "app" / "assets" / "main-1a2b.js").write_text("1")
    (root / "secret.txt").write_text("secret")
    (root / "app" / "out").symlink_to(root / "secret.txt")
    return root


@pytest.fixture(scope="module")
def gateway(start_gateways: StartGateways, static: Path) -> GatewayProcess:
    """One gateway behind a proxy it trusts, shared by the tests of this module; each test is another address."""
    return start_gateways(
        GATEWAY__TRUSTED_PROXIES="127.0.0.0/8", GATEWAY__STATIC_DIR=str(static),
        LIMITS__SIGN_INS_PER_MINUTE="4", LIMITS__GUESTS_PER_MINUTE="3", LIMITS__REQUESTS_PER_SECOND="30",
    )[0]  # fmt: skip


@pytest.fixture
async def visitor(gateway: GatewayProcess, redis_url: str) -> AsyncIterator[Person]:
    """Somebody, and no limits used up."""
    async with visiting(gateway.http) as person:
        yield person


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"{", 400, "invalid"),
        (b"\xff\xfe", 400, "invalid"),
        (b"nickname=Ada", 400, "invalid"),
        (b'{"nickname": "Ada"} x', 400, "invalid"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, 400, "invalid"),
        (b"[" * 500_000, 400, "invalid"),
        (b"[]", 422, "invalid"),
        (b"null", 422, "invalid"),
        (b"", 422, "invalid"),
        (b'{"nickname": "\\ud800x"}', 400, "invalid"),
        (b'{"nickname": "' + b"x" * (1 << 20) + b'"}', 413, "too_large"),
    ],
)
async def test_a_body_that_is_no_good_is_refused_with_a_reason(
    visitor: Person, data: bytes, status: int, code: str
) -> None:
    """400 for no JSON, 422 for the wrong JSON, 413 for too much of it."""
    answer = await visitor.send("POST", "auth/guest", data=data)

    assert (answer.status, answer.code) == (status, code)
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    assert answer.json["detail"]


async def test_problem_documents_say_what_and_which(visitor: Person) -> None:
    """RFC 9457 members, our code, and the request id the client chose."""
    answer = await visitor.send("GET", "users/me", **{"X-Request-Id": "my-request-1"})

    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {name: answer.json[name] for name in ("type", "title", "status", "code", "request_id")} == {
        "type": "about:blank", "title": "Unauthorized", "status": 401, "code": "unauthenticated",
        "request_id": "my-request-1",
    }  # fmt: skip


async def test_what_is_not_there_is_404_in_the_words_of_its_place(visitor: Person) -> None:
    """A problem document below /api, plain text elsewhere; the wrong method is 405 with those allowed."""
    api = await visitor.get("nothing/here")
    page = await visitor.get("/nothing")
    admin = await visitor.get("/admin")
    method = await visitor.send("PATCH", "auth/login")

    assert (api.status, api.code) == (404, "not_found")
    assert (page.status, page.headers["Content-Type"]) == (404, "text/plain; charset=utf-8")
    assert admin.status == 404
    assert (method.status, method.headers["Allow"]) == (405, "POST")


async def test_pages_run_under_a_policy_and_nothing_may_be_sniffed_or_framed(visitor: Person) -> None:
    """The client's pages are one file; scripts come from us alone, media from anywhere."""
    pages = [await visitor.get(path) for path in ("/", "/account", "/r/abc", "/s/abc")]

    assert {(page.status, page.body) for page in pages} == {(200, CLIENT)}
    policy = pages[0].headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "media-src * blob: data:" in policy
    for page in (*pages, await visitor.get("users/me"), await visitor.get("/nothing")):
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["X-Frame-Options"] == "DENY"
    assert [(await visitor.get(path)).status for path in ("/r/a.b", "/r/", "/r/*", "/s/%00")] == [404] * 4


async def test_files_of_the_client_are_kept_for_ever_and_nothing_else_is_served(visitor: Person) -> None:
    """Hashed names are immutable, others are asked for again; there is no way out of the folder."""
    hashed = await visitor.get("/static/app/assets/main-1a2b.js")
    icon = await visitor.get("/static/app/icon.svg")
    outside = [
        await visitor.get(f"/static/app/{path}")
        for path in (
            "../secret.txt",
            "%2e%2e/secret.txt",
            "..%2fsecret.txt",
            "out",
            "assets",
            "none",
            "%00",
            "x" * 300,
        )
    ]

    assert hashed.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert hashed.headers["Content-Type"].partition(";")[0] in {"text/javascript", "application/javascript"}
    assert (icon.status, icon.headers["Cache-Control"]) == (200, "no-cache")
    assert {answer.status for answer in outside} == {404}


async def test_without_a_built_client_the_page_says_how_to_build_it(
    tmp_path: Path, nats_url: str, module_postgres_dsn: str, redis_url: str, gateway: GatewayProcess
) -> None:
    """The gateway runs all the same."""
    bare = GatewayProcess(
        tmp_path / "log", nats=nats_url, postgres=module_postgres_dsn, redis=redis_url,
        GATEWAY__STATIC_DIR=str(tmp_path),
    )  # fmt: skip
    try:
        bare.wait_ready()
        async with visiting(bare.http) as person:
            page = await person.get("/")
    finally:
        code = bare.stop()

    assert page.status == 200
    assert b"npm run build" in page.body
    assert code == 0


async def test_the_api_documents_itself(visitor: Person) -> None:
    """OpenAPI 3.1, and a page of it that needs no script."""
    document = (await visitor.get("openapi.json")).json
    page = await visitor.get("/docs?plain")

    assert document["openapi"] == "3.1.0"
    assert document["paths"]["/rooms/{room}/join"]["post"]["responses"].keys() >= {"200", "403", "404", "422"}
    assert page.status == 200
    assert b"rooms/{room}/join" in page.body
    assert b"<script" not in page.body


async def test_clocks_are_compared(visitor: Person) -> None:
    """t0 comes back as it was, t1 and t2 are the server's time in ms, in order."""
    sample = (await visitor.get("time?t0=1234.5")).json

    assert sample["t0"] == 1234.5
    assert 1.7e12 < sample["t1"] <= sample["t2"]
    for wrong in ("", "?t0=", "?t0=x", "?t0=nan", "?t0=1e400"):
        assert (await visitor.get(f"time{wrong}")).status == 422


async def test_sign_ins_are_limited_per_address(visitor: Person) -> None:
    """The fifth try in a minute is refused with the time to wait; another address is not."""
    attempt = {"username": "nobody", "password": "guess guess"}

    answers = [
        await visitor.send("POST", "auth/login", attempt, **{"X-Forwarded-For": "192.0.2.1"})
        for _ in range(5)
    ]
    other = await visitor.send("POST", "auth/login", attempt, **{"X-Forwarded-For": "192.0.2.2"})

    assert [answer.status for answer in answers] == [401, 401, 401, 401, 429]
    assert answers[-1].code == "rate_limited"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert other.status == 401


async def test_guests_are_limited_per_address(visitor: Person) -> None:
    """Guests have a limit of their own."""
    answers = [await visitor.post("auth/guest", {"nickname": "Visitor"}) for _ in range(4)]

    assert [answer.status for answer in answers] == [201, 201, 201, 429]


async def test_requests_are_limited_per_address(visitor: Person) -> None:
    """A flood from one address is held off while another is served."""
    flood = {"X-Forwarded-For": "192.0.2.3"}

    answers = await asyncio.gather(*(visitor.send("GET", "time?t0=0", **flood) for _ in range(60)))
    other = await visitor.send("GET", "time?t0=0", **{"X-Forwarded-For": "192.0.2.4"})

    statuses = [answer.status for answer in answers]
    assert statuses.count(200) >= 30
    assert statuses.count(429) > 0
    assert other.status == 200


async def test_health_and_readiness_are_on_the_public_port(visitor: Person) -> None:
    """Both say ok while database and bus answer."""
    assert (await visitor.get("/healthz")).json == {"status": "ok"}
    assert (await visitor.get("/readyz")).json == {"status": "ok", "faults": {}}


async def test_two_gateways_share_a_port_and_have_one_each(
    tmp_path: Path, nats_url: str, module_postgres_dsn: str, redis_url: str, gateway: GatewayProcess
) -> None:
    """SO_REUSEPORT: the second takes the first one's port, and both have another of their own."""
    port = gateway.http.rpartition(":")[2]
    second = GatewayProcess(
        tmp_path / "log", nats=nats_url, postgres=module_postgres_dsn, redis=redis_url, GATEWAY__PORT=port
    )
    try:
        second.wait_ready()

        assert second.http == gateway.http
        assert second.own != gateway.own
        async with aiohttp.ClientSession() as session:
            for address in (gateway.http, gateway.own, second.own):
                async with session.get(f"{address}/healthz") as response:
                    assert response.status == 200
    finally:
        second.stop()


async def test_registration_can_be_closed(
    tmp_path: Path, nats_url: str, module_postgres_dsn: str, redis_url: str, gateway: GatewayProcess
) -> None:
    """By setting, and the answer says so."""
    closed = GatewayProcess(
        tmp_path / "log",
        nats=nats_url,
        postgres=module_postgres_dsn,
        redis=redis_url,
        AUTH__REGISTRATION="closed",
    )
    try:
        closed.wait_ready()
        async with visiting(closed.http) as person:
            answer = await person.post("auth/register", {"username": "late", "password": "long enough"})
    finally:
        closed.stop()

    assert (answer.code, answer.json["detail"]) == ("forbidden", "Registration here is closed.")


async def test_without_tables_it_says_what_to_do(
    tmp_path: Path, nats_url: str, postgres_dsn: str, redis_url: str
) -> None:
    """One sentence, and an exit code that is not 0."""
    log = tmp_path / "log"
    bare = GatewayProcess(log, nats=nats_url, postgres=postgres_dsn, redis=redis_url)

    code = await asyncio.to_thread(bare.process.wait, 20)

    assert code == 1
    assert "run `matinee migrate` first" in log.read_text()
    assert "Traceback" not in log.read_text()


async def test_a_request_that_is_no_http_costs_nobody_anything(
    visitor: Person, gateway: GatewayProcess
) -> None:
    """Garbage on the port is answered 400 or closed; the next request is served."""
    host, port = gateway.http.removeprefix("http://").split(":")
    for garbage in (b"\x03" * 1537, b"GET / HTTP/9.9\r\n\r\n", os.urandom(512) + b"\r\n\r\n"):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(garbage)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        assert answer == b"" or answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))

    assert (await visitor.get("/healthz")).status == 200
