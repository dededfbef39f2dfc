"""Gateways with streams on them, for tests of live delivery."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from runtime.bus import Bus, connect
from runtime.metrics import Metrics
from tests.embedded import fresh_name
from tests.integration.gateway_process import GatewayProcess, Person, visiting

WITHIN = 20.0


class FlvViewer:
    """A connection to `/live/{stream}.flv`; `wait_for` reads until some bytes have come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.received = b""

    async def wait_for(self, wanted: bytes, within: float = WITHIN) -> bytes:
        """Everything received up to the end of `wanted`."""
        async with asyncio.timeout(within):
            while (at := self.received.find(wanted)) < 0:
                data = await self.response.content.readany()
                if not data:
                    raise AssertionError(
                        f"the stream ended without {wanted[:40]!r}: {self.received[-200:]!r}"
                    )
                self.received += data
        return self.received[: at + len(wanted)]

    async def wait_end(self, within: float = WITHIN) -> bytes:
        """Everything, up to the end of the response."""
        async with asyncio.timeout(within):
            self.received += await self.response.content.read()
        return self.received


@dataclass
class Site:
    """Somebody with an account, the bus, and the gateways."""

    owner: Person
    bus: Bus
    gateways: list[GatewayProcess]
    session: aiohttp.ClientSession

    async def make_stream(self, **draft: object) -> str:
        """A stream of the owner's."""
        answer = await self.owner.post("streams", draft)
        assert answer.status == 201, answer.body
        return str(answer.json["stream"])

    @asynccontextmanager
    async def watch(self, stream: str, *, gateway: int = 0, query: str = "") -> AsyncIterator[FlvViewer]:
        """Watch over HTTP-FLV."""
        url = f"{self.gateways[gateway].http}/live/{stream}.flv{query}"
        async with self.session.get(url) as response:
            assert response.status == 200, await response.text()
            yield FlvViewer(response)

    async def get(self, path: str, *, gateway: int = 0, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """One request."""
        async with self.session.get(self.gateways[gateway].http + path, headers=headers) as response:
            return response.status, dict(response.headers), await response.read()

    async def metric(self, sample: str, *, gateway: int = 0) -> float:
        """One sample of a gateway's metrics, with its labels; 0 where there is none."""
        lines = self.gateways[gateway].log.read_text().splitlines()
        ready = json.loads(next(line for line in lines if '"event": "ready"' in line))
        async with self.session.get(f"http://{ready['metrics']}/metrics") as response:
            for line in (await response.text()).splitlines():
                if line.startswith(f"{sample} "):
                    return float(line.split()[-1])
        return 0.0

    async def until(self, sample: str, wanted: float, *, gateway: int = 0) -> None:
        """Wait for a metric to have this value."""
        async with asyncio.timeout(WITHIN):
            while await self.metric(sample, gateway=gateway) != wanted:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)


@asynccontextmanager
async def visiting_site(gateways: list[GatewayProcess], nats_url: str) -> AsyncIterator[Site]:
    """A site with an owner of its own."""
    bus = await connect(nats_url, Metrics(), name="test-live")
    timeout = aiohttp.ClientTimeout(total=60)
    try:
        async with (
            visiting(gateways[0].http) as person,
            aiohttp.ClientSession(timeout=timeout, auto_decompress=True) as session,
        ):
            yield Site(await person.register(fresh_name("owner")), bus, gateways, session)
    finally:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(bus.nc.close(), 3)
