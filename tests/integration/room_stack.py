"""Two gateways, two sync workers and a chat worker on real servers, for tests of rooms on the socket."""

import asyncio
from pathlib import Path

from runtime.postgres import migrate
from tests.integration.gateway_process import GatewayProcess
from tests.workers import Workers


class RoomStack:
    """The processes a room lives on; all are gone after `close`."""

    def __init__(self, directory: Path, *, nats: str, postgres: str, redis: str) -> None:
        asyncio.run(migrate(postgres))
        self._directory = directory
        self._servers = {"nats": nats, "postgres": postgres, "redis": redis}
        self.workers = Workers(directory, nats, postgres)
        self._started: list[GatewayProcess] = []

    def gateway(self, **settings: str) -> GatewayProcess:
        """One more gateway, ready."""
        number = len(self._started) + 1
        gateway = GatewayProcess(
            self._directory / f"gateway-{number}.log",
            **self._servers,
            **{"LIMITS__ENABLED": "false", "NODE": f"g{number}", **settings},
        )
        self._started.append(gateway)
        gateway.wait_ready()
        return gateway

    def close(self) -> None:
        """Stop all of it."""
        for gateway in self._started:
            gateway.stop()
        self.workers.close()
