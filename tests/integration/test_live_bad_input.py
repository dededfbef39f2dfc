"""Requests for live media that make no sense, or mean harm: a sentence each, and nothing else happens."""

import asyncio
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.integration.gateway_process import GatewayProcess, StartGateways
from tests.integration.live_encoder import Encoder, Packager
from tests.integration.live_site import Site
from tests.integration.test_live_hls import go_live, media, uris

pytestmark = pytest.mark.connected

NAME = "0123456789abcdef"
SENSELESS = [
    "_HLS_msn=-1",
    "_HLS_msn=",
    "_HLS_msn=two",
    "_HLS_msn=1.5",
    "_HLS_msn=0x1",
    "_HLS_msn=%D9%A1",
    "_HLS_msn=1%00",
    "_HLS_msn=+1",
    "_HLS_msn=9999999",
    "_HLS_msn=" + "9" * 4_000,
    "_HLS_msn=1&_HLS_msn=1",
    "_HLS_msn=2&_HLS_part=-1",
    "_HLS_msn=2&_HLS_part=",
    "_HLS_msn=2&_HLS_part=x",
    "_HLS_msn=2&_HLS_part=4000",
    "_HLS_msn=2&_HLS_part=" + "9" * 40,
    "_HLS_msn=2&_HLS_part=1&_HLS_part=2",
    "_HLS_part=1",
    "_HLS_skip=",
    "_HLS_skip=yes",
    "_HLS_skip=-1",
    "_HLS_skip=" + "9" * 400,
    "_HLS_skip=YES&_HLS_skip=v2",
]
PATHS = [
    b"/live/../live/{stream}/index.m3u8/../../../etc/passwd",
    b"/live/{stream}/../../healthz",
    b"/live/%2e%2e/%2e%2e/etc/passwd",
    b"/live/{stream}/%2e%2e/{stream}/index.m3u8",
    b"/live/{stream}/source/%2e%2e%2findex.m3u8",
    b"/live/{stream}/source%2findex.m3u8",
    b"/live//{stream}/index.m3u8",
    b"/live/{stream}//source/index.m3u8",
    b"//live/{stream}/index.m3u8",
    b"/live/{stream}%00/index.m3u8",
    b"/live/{stream}/source/index.m3u8%00.mp4",
    b"/live/{stream}/%00/index.m3u8",
    b"/live/{stream}/source/..%5c..%5cindex.m3u8",
    b"/live/{stream}/sourc%65%20/index.m3u8",
    b"/live/{stream}/source/0-%ff%fe.m4s",
    b"/live/*/index.m3u8",
    b"/live/%3e/index.m3u8",
    b"/live/{stream}.key/index.m3u8",
    b"/live/" + b"a" * 65 + b"/index.m3u8",
    b"/live/" + b"a" * 4_000 + b".flv",
    b"/live/{stream}/nosuch/index.m3u8",
    b"/live/{stream}/nosuch/ts.m3u8",
    b"/live/{stream}/nosuch/init-0-" + NAME.encode() + b".mp4",
    b"/live/{stream}/source/99999999999999999999-" + NAME.encode() + b".m4s",
    b"/live/{stream}/source/0-" + NAME.encode() + b".99999999999.m4s",
]
RANGES: list[tuple[bytes, int, int | None]] = [
    (b"bytes=0-9", 206, 10),
    (b"bytes=-10", 206, 10),
    (b"bytes=10-", 206, -10),
    (b"bytes=0-99999999", 206, 0),
    (b"bytes=99999999-", 416, None),
    (b"bytes=-0", 416, None),
    (b"bytes=9-0", 200, 0),
    (b"bytes=-", 200, 0),
    (b"bytes=a-b", 200, 0),
    (b"bytes=0-1,5-6", 200, 0),
    (b"bytes=-1-5", 200, 0),
    (b"bytes=" + b"9" * 30 + b"-", 200, 0),
    (b"lines=0-9", 200, 0),
    (b"bytes=0-9;drop", 200, 0),
]
"""What is asked for, the status, and the length of the answer: 0 for all of it, less for so much less."""


@pytest.fixture(scope="module")
def gateways(start_gateways: StartGateways) -> Iterator[list[GatewayProcess]]:
    """One gateway, which makes no error of what others do wrong."""
    (gateway,) = start_gateways(LIMITS__SIGN_INS_PER_MINUTE="1000")
    yield [gateway]
    gateway.stop()
    assert '"level": "error"' not in gateway.log.read_text()


async def ask(site: Site, target: bytes, *headers: bytes) -> tuple[int, bytes, bytes]:
    """The request line as it stands, which no client library would send; status, head and body."""
    host = urlsplit(site.gateways[0].http)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    lines = [b"GET " + target + b" HTTP/1.1", b"Host: here", b"Connection: close", *headers]
    writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), head, body


@pytest.fixture
async def stream(site: Site) -> str:
    """One that is live, with 25 parts."""
    encoder, _, _ = await go_live(site)
    return encoder.stream


async def test_directives_that_make_no_sense_are_400_at_once(site: Site, stream: str) -> None:
    """With CORS and a sentence; nobody waits for them."""
    for query in SENSELESS:
        status, head, body = await ask(site, f"{media(stream)}?{query}".encode())

        assert status == 400, query
        assert b"access-control-allow-origin: *" in head.lower(), query
        assert json.loads(body)["code"] == "invalid", query
        assert json.loads(body)["detail"].endswith("."), query


async def test_ranges_of_bytes_are_given_refused_or_ignored(site: Site, stream: str) -> None:
    """As RFC 9110 has it: 416 says how many there are; what cannot be read counts as none."""
    _, _, playlist = await site.get(media(stream))
    part = next(uri for uri in uris(playlist) if uri.endswith(".0.m4s"))
    _, _, whole = await ask(site, f"/live/{stream}/source/{part}".encode())

    for wanted, status, length in RANGES:
        answered, head, body = await ask(site, f"/live/{stream}/source/{part}".encode(), b"Range: " + wanted)

        assert answered == status, wanted
        if length is None:
            assert b"content-range: bytes */%d" % len(whole) in head.lower(), wanted
            assert body == b"", wanted
        else:
            assert len(body) == (length if length > 0 else len(whole) + length), wanted
            assert body in whole, wanted


async def test_paths_that_lead_nowhere_are_404(site: Site, stream: str) -> None:
    """Dots, doubled slashes, NULs and wildcards of the bus among them: no file and no other stream is found."""
    for path in PATHS:
        status, _, body = await ask(site, path.replace(b"{stream}", stream.encode()))

        assert status == 404, (path, body[:200])
        assert b'"not_found"' in body or body == b"There is nothing here.\n", (path, body[:200])


async def test_a_session_from_outside_is_no_key_of_anything(site: Site) -> None:
    """Ids that are none, or another's, in address or cookie, begin a session of their own."""
    stream = await site.make_stream()
    encoder, packager = Encoder(site.bus, stream), Packager(site.bus, stream)
    await encoder.begin()
    await packager.put_init()
    await packager.cut(25)
    for given in ("../../x", "a*b?c[d]", "x" * 4_000, "", "%00%00%00%00%00%00%00%00", "a:b:c:d:e:f:g"):
        status, _, _ = await ask(site, f"{media(stream)}?session={given}".encode())
        assert status == 200
        status, head, _ = await ask(site, media(stream).encode(), b"Cookie: matinee_viewer=" + given.encode())
        assert status == 200
        assert b"set-cookie: matinee_viewer=" in head.lower()


async def test_what_is_no_http_is_answered_and_not_written_down(
    site: Site, gateways: list[GatewayProcess]
) -> None:
    """A line too long, a method that is none, noise: 400; no traceback for each of them fills a disk."""
    written = len(gateways[0].log.read_text())
    host = urlsplit(site.gateways[0].http)
    for noise in (
        b"GET /live/" + b"a" * 10_000 + b".flv HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /live/x.flv HTTP/1.1\r\nHost: x\r\nX-Much: " + b"a" * 10_000 + b"\r\n\r\n",
        b"GET /live/x.flv HTTP/1.1\r\nHost: x\r\n\r\n\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection(host.hostname, host.port)
        writer.write(noise)
        async with asyncio.timeout(20):
            answer = await reader.read()
        writer.close()
        assert b" 400 Bad Request\r\n" in answer

    assert "Traceback" not in gateways[0].log.read_text()[written:]
