"""Gateways, sync workers and chat workers on real servers, for tests of rooms on the socket."""

import asyncio
from pathlib import Path

from runtime.postgres import migrate
from tests.integration.gateway_process import GatewayProcess, Gateways
from tests.workers import Workers


class RoomStack:
    """The processes a room lives on; all are gone after `close`."""

    def __init__(self, directory: Path, *, nats: str, postgres: str, redis: str) -> None:
        asyncio.run(migrate(postgres))
        self._gateways = Gateways(directory, nats=nats, postgres=postgres, redis=redis)
        self.workers = Workers(directory, nats, postgres)

    def gateway(self, **settings: str) -> GatewayProcess:
        """One more gateway, ready."""
        number = len(self._gateways.started) + 1
        (gateway,) = self._gateways.start(1, **{"LIMITS__ENABLED": "false", "NODE": f"g{number}", **settings})
        return gateway

    def close(self) -> None:
        """Stop all of it."""
        self._gateways.stop()
        self.workers.close()
