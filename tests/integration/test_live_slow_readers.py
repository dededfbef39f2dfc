"""Clients who ask for much and read nothing: they cost little, and not for long."""

import asyncio
import contextlib
import re
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bus_schemas.subjects import HLS_PART
from tests.integration.gateway_process import GatewayProcess, StartGateways
from tests.integration.live_encoder import Encoder, Packager
from tests.integration.live_site import Site
from tests.integration.test_live_hls import media
from tests.unit.gateway.live_sources import part_header

pytestmark = pytest.mark.connected

STALL_S = 3
READERS = 40
PART = 400_000


@pytest.fixture(scope="module")
def gateways(start_gateways: StartGateways) -> list[GatewayProcess]:
    """One gateway that waits for nobody for long."""
    return start_gateways(LIMITS__SIGN_INS_PER_MINUTE="1000", LIVE__STALL_S=str(STALL_S))


async def test_segments_that_nobody_reads_are_not_kept_for_him(site: Site) -> None:
    """Forty segments of 4 MB asked for: memory stays, the connections are closed, and who reads gets every byte."""
    encoder, packager = Encoder(site.bus, await site.make_stream()), Packager(site.bus, "")
    await encoder.begin()
    packager.stream = encoder.stream
    await packager.put_init()
    bodies = [bytes([number]) * PART for number in range(10)]
    for msn in range(2):
        for number, body in enumerate(bodies):
            header = part_header(msn, number, last=number == 9, target=2 if msn or number == 9 else 0)
            subject = HLS_PART.at(stream=encoder.stream, rendition="source")
            await site.bus.js.publish(subject, header.pack() + body, timeout=20)
    _, _, playlist = await site.get(media(encoder.stream))
    named = re.search(rb"^0-\w+\.m4s$", playlist, re.MULTILINE)
    assert named
    path = f"/live/{encoder.stream}/source/{named[0].decode()}"
    pid, host = site.gateways[0].process.pid, urlsplit(site.gateways[0].http)
    before = _resident_kb(pid)

    loop = asyncio.get_running_loop()
    readers = []
    for _ in range(READERS):
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        reader.setblocking(False)
        await loop.sock_connect(reader, (host.hostname, host.port))
        await loop.sock_sendall(reader, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        readers.append(reader)
    began = time.monotonic()
    whole = (await site.get(path))[2]
    middle = (await site.get(path, Range=f"bytes={PART - 5}-{2 * PART + 4}"))[2]
    grown = _resident_kb(pid) - before
    await asyncio.sleep(2 * STALL_S + 2 - (time.monotonic() - began))
    left = [await _rest(reader) for reader in readers]

    assert whole == b"".join(bodies)
    assert middle == b"\0" * 5 + bodies[1] + b"\2" * 5
    assert grown < 30_000
    assert max(left) < 10 * PART


async def _rest(reader: socket.socket) -> int:
    """Bytes that still come, up to the end of the connection."""
    loop = asyncio.get_running_loop()
    received = 0
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionError):
            while data := await loop.sock_recv(reader, 1 << 20):
                received += len(data)
    reader.close()
    return received


def _resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
