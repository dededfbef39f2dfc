"""/healthz, /readyz and /metrics of a process, on a port of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from runtime.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Check = Callable[[], str | None]
"""None when well, else a sentence."""


class Health:
    """What must hold for this process to take work."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self.stopping = False
        self.started = False

    def add(self, name: str, check: Check) -> None:
        """Take this check into account from now on."""
        self._checks[name] = check

    def faults(self) -> dict[str, str]:
        """What is wrong now, by name; empty when ready."""
        faults = {name: fault for name, check in self._checks.items() if (fault := check())}
        if self.stopping:
            faults["lifecycle"] = "stopping"
        elif not self.started:
            faults["lifecycle"] = "starting"
        return faults


def add_routes(app: web.Application, health: Health) -> None:
    """`/healthz` says that the loop turns; `/readyz` that work may come."""

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_request: web.Request) -> web.Response:
        faults = health.faults()
        return web.json_response(
            {"status": "unavailable" if faults else "ok", "faults": faults}, status=503 if faults else 200
        )

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)


@asynccontextmanager
async def serve(metrics: Metrics, health: Health, host: str, port: int) -> AsyncIterator[int]:
    """Listen; yields the port."""

    async def expose(_request: web.Request) -> web.Response:
        return web.Response(
            body=metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    app = web.Application()
    add_routes(app, health)
    app.router.add_get("/metrics", expose)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        addresses = runner.addresses
        yield int(addresses[0][1])
    finally:
        await runner.cleanup()
