"""Gateways on the servers of a module, and somebody to visit them.

A module says in a fixture `gateways` which ones it wants, or `gateway` where it wants one.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from runtime.postgres import migrate
from tests.embedded import fresh_name
from tests.integration.gateway_process import GatewayProcess, Gateways, Person, StartGateways, visiting
from tests.integration.live_site import Site, visiting_site


@pytest.fixture(scope="module")
def start_gateways(
    tmp_path_factory: pytest.TempPathFactory, nats_url: str, module_postgres_dsn: str, module_redis_url: str
) -> Iterator[StartGateways]:
    """Start gateways that last as long as the module: `start_gateways(2, LIMITS__ENABLED="false")`."""
    asyncio.run(migrate(module_postgres_dsn))
    gateways = Gateways(
        tmp_path_factory.mktemp("gateways"),
        nats=nats_url, postgres=module_postgres_dsn, redis=module_redis_url,
    )  # fmt: skip
    try:
        yield gateways.start
    finally:
        gateways.stop()


@pytest.fixture
async def visitor(gateway: GatewayProcess) -> AsyncIterator[Person]:
    """Somebody who is not signed in, at the module's gateway."""
    async with visiting(gateway.http) as person:
        yield person


@pytest.fixture
async def host(visitor: Person) -> Person:
    """Somebody with an account."""
    return await visitor.register(fresh_name("host"))


@pytest.fixture
async def site(gateways: list[GatewayProcess], nats_url: str) -> AsyncIterator[Site]:
    """The module's gateways, the bus, and an owner of streams."""
    async with visiting_site(gateways, nats_url) as there:
        yield there
