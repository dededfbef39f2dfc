"""`matinee up`: the servers, then our processes, watched until told to stop, then drained in order."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ops import data_directory, ready_file
from ops.addresses import url_of
from ops.child import Child
from ops.data_directory import Endpoints
from ops.databases import bring_up_to_date
from ops.embedded.ports import reserve_port
from ops.embedded.server import EmbeddedServer
from ops.embedded.stack import embedded_stack
from ops.errors import OperatorError
from ops.loopback_http import get
from ops.metrics_page import MetricsPage
from ops.plan import EDGES
from ops.workshop import Workshop
from runtime.logs import get_logger
from runtime.metrics import Metrics
from runtime.settings import Settings
from runtime.tasks import Tasks

log = get_logger("supervisor")
T = TypeVar("T")

_SERVER_READY_WITHIN = 30.0
_PROCESS_READY_WITHIN = 45.0
_ENDS_BEFORE_READY = 3
"""A child that ended so often before it was ever ready will not become ready by itself."""
_SERVER_GONE_WITHIN = 10.0
_KILLED_GONE_WITHIN = 5.0
_DRAIN_SPARE = 5.0
"""Seconds a process gets beyond its own drain deadline to close its connections."""
_LOOK_EVERY = 1.0
_ASK_READY_EVERY = 0.03


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the command line adds to the settings."""

    data: Path
    scale: dict[str, int]
    ready_file: Path | None = None
    demo: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """What is told to the operator once everything serves."""

    http: str
    rtmp: str
    rtmps: str | None
    """None where no certificate is set."""
    metrics: str
    endpoints: Endpoints


class Supervisor:
    """Everything that one `up` runs."""

    def __init__(
        self, settings: Settings, options: UpOptions, announce: Callable[[Ready], Coroutine[Any, Any, None]]
    ) -> None:
        self._settings = settings
        self._options = options
        self._announce = announce
        self._tasks = Tasks(Metrics(), self._watcher_failed)
        self._servers: list[tuple[EmbeddedServer, Child]] = []
        self._workshop: Workshop | None = None
        self._page: MetricsPage | None = None
        self._demo: Child | None = None
        self._ready: Ready | None = None
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._failure = ""

    async def run(self) -> None:
        """Start, watch, and drain when told to. Raises OperatorError where it cannot start or go on."""
        with data_directory.owned(self._options.data), ExitStack() as held:
            self._listen_to_signals()
            gateway, ingest = self._settings.gateway, self._settings.ingest
            http = held.enter_context(reserve_port(gateway.host, gateway.port, "--port"))
            rtmp = held.enter_context(reserve_port(ingest.host, ingest.rtmp_port, "--rtmp-port"))
            rtmps_port = None
            if ingest.tls_certificate:
                rtmps = reserve_port(ingest.host, ingest.rtmps_port, "MATINEE_INGEST__RTMPS_PORT")
                rtmps_port = int(held.enter_context(rtmps).getsockname()[1])
            http_port, rtmp_port = http.getsockname()[1], rtmp.getsockname()[1]
            try:
                self._tasks.spawn("watch", self._watch(), vital=True)
                if await self._or_stopped(self._start(http_port, rtmp_port, rtmps_port)):
                    await self._stop.wait()
            finally:
                await self._drain()
                await self._tasks.cancel()
        if self._failure:
            raise OperatorError(self._failure)

    # Starting.

    async def _start(self, http_port: int, rtmp_port: int, rtmps_port: int | None) -> bool:
        endpoints = await self._start_servers()
        await bring_up_to_date(endpoints)
        settings = self._settings
        self._workshop = Workshop.planned(
            self._options.scale, settings, endpoints, os.environ,
            http_port=http_port, rtmp_port=rtmp_port, rtmps_port=rtmps_port,
        )  # fmt: skip
        self._page = MetricsPage(self._workshop.scrape_targets)
        metrics_port = await self._page.start(settings.metrics.host, settings.metrics.port)
        http = url_of("http", settings.gateway.host, http_port)
        self._ready = Ready(
            http=http,
            rtmp=url_of("rtmp", settings.ingest.host, rtmp_port) + "/live",
            rtmps=url_of("rtmps", settings.ingest.host, rtmps_port) + "/live" if rtmps_port else None,
            metrics=url_of("http", settings.metrics.host, metrics_port) + "/metrics",
            endpoints=Endpoints(endpoints.nats_url, endpoints.postgres_dsn, endpoints.redis_url, http),
        )
        now = asyncio.get_running_loop().time()
        for process in self._workshop.processes:
            await process.child.start(now)
        self._note_children()
        await self._until_ready()
        data_directory.record_endpoints(self._options.data, self._ready.endpoints)
        self._write_ready_file()
        await self._announce(self._ready)
        if self._options.demo:
            self._demo = self._workshop.demo(
                self._ready.http, self._ready.rtmp, self._options.data / "demo.json"
            )
            await self._demo.start(asyncio.get_running_loop().time())
            self._note_children()
        return True

    async def _start_servers(self) -> Endpoints:
        stack = embedded_stack(self._options.data)
        # PostgreSQL makes its files on the first start: the others start meanwhile.
        servers: tuple[EmbeddedServer, ...] = (stack.nats, stack.redis, stack.postgres)
        for server in servers:
            server.prepare()
            child = Child(server.name, server.launch, "log")
            self._servers.append((server, child))
            await child.start(asyncio.get_running_loop().time())
            self._note_children()
        deadline = asyncio.get_running_loop().time() + _SERVER_READY_WITHIN
        for server, child in self._servers:
            while not (child.is_running and server.is_ready()):
                self._require_hope(child, deadline, _SERVER_READY_WITHIN)
                await asyncio.sleep(_ASK_READY_EVERY)
            child.ever_ready = True
        return Endpoints(stack.nats.url(), stack.postgres.url(), stack.redis.url())

    async def _until_ready(self) -> None:
        assert self._workshop is not None
        deadline = asyncio.get_running_loop().time() + _PROCESS_READY_WITHIN
        for process in self._workshop.processes:
            while not await _answers_ready(process.metrics_port):
                self._require_hope(process.child, deadline, _PROCESS_READY_WITHIN)
                await asyncio.sleep(_ASK_READY_EVERY)
            process.child.ever_ready = True

    def _require_hope(self, child: Child, deadline: float, allowed: float) -> None:
        if child.restarts >= _ENDS_BEFORE_READY:
            raise OperatorError(
                f"{child.name} ends as soon as it is started ({child.tail()}): run ./matinee doctor."
            )
        if asyncio.get_running_loop().time() > deadline:
            raise OperatorError(
                f"{child.name} was not ready after {allowed:.0f} s ({child.tail()}): run ./matinee doctor."
            )

    # Watching.

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._wake.set)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._told_to_stop)

    def _told_to_stop(self) -> None:
        """The first time drains; asked again, everything is ended at once."""
        if self._stop.is_set():
            for child in self._children():
                child.kill()
        self._stop.set()
        self._wake.set()

    def _watcher_failed(self, task: str, error: BaseException) -> None:
        self._failure = self._failure or f"The supervisor's {task} failed ({error!r}): start matinee again."
        self._stop.set()

    async def _watch(self) -> None:
        """Notice each end, start again what has to run, keep the ready file true; until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            children = self._children()
            due = [at for child in children if (at := child.due_at()) is not None]
            patience = min([_LOOK_EVERY, *(max(0.0, at - loop.time()) for at in due)])
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._wake.wait()
            self._wake.clear()
            ended = [child for child in children if child.poll(loop.time())]
            if self._stop.is_set():
                continue
            started = [child for child in children if await child.start_if_due(loop.time())]
            if ended or started:
                self._note_children()
                self._write_ready_file()

    def _children(self) -> list[Child]:
        ours = [process.child for process in self._workshop.processes] if self._workshop else []
        demo = [self._demo] if self._demo else []
        return [*(child for _, child in self._servers), *ours, *demo]

    def _note_children(self) -> None:
        pids = [child.pid for child in self._children()]
        data_directory.record_children(self._options.data, [pid for pid in pids if pid is not None])

    def _write_ready_file(self) -> None:
        if self._options.ready_file is None or self._ready is None or self._workshop is None:
            return
        if not all(child.ever_ready for child in self._children() if child is not self._demo):
            return
        pids = self._workshop.pids()
        for server, child in self._servers:
            pids[server.name] = [child.pid] if child.pid is not None else []
        if self._demo is not None and self._demo.pid is not None:
            pids["demo"] = [self._demo.pid]
        text = ready_file.content(
            http=self._ready.http,
            rtmp=self._ready.rtmp,
            metrics=self._ready.metrics,
            pids=pids,
            gateways=self._workshop.gateways(),
        )
        ready_file.write(self._options.ready_file, text)

    async def _or_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of `work`, or None where we are told to stop before it is there."""
        task = asyncio.get_running_loop().create_task(work, name="start")
        stopped = asyncio.get_running_loop().create_task(self._stop.wait(), name="stop")
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for pending in (task, stopped):
                pending.cancel()
            await asyncio.wait({task, stopped})

    # Stopping.

    async def _drain(self) -> None:
        """The demo and the edges first, then those behind them, then the servers; then nothing is left."""
        self._stop.set()
        log.info("draining")
        if self._page is not None:
            await self._page.stop()
        processes = self._workshop.processes if self._workshop else []
        allowed = self._settings.drain_s + _DRAIN_SPARE
        edges = [process.child for process in processes if process.kind in EDGES]
        behind = [process.child for process in processes if process.kind not in EDGES]
        await self._end([*([self._demo] if self._demo else []), *edges], allowed)
        await self._end(behind, allowed)
        await self._end([child for _, child in self._servers], _SERVER_GONE_WITHIN)
        if self._options.ready_file is not None:
            self._options.ready_file.unlink(missing_ok=True)
        log.info("stopped")

    async def _end(self, children: Sequence[Child], allowed: float) -> None:
        for child in children:
            child.ask_to_stop()
        if await self._gone(children, allowed):
            return
        for child in children:
            if child.is_running:
                log.error("child did not stop in time, killed", child=child.name, allowed_s=allowed)
                child.kill()
        await self._gone(children, _KILLED_GONE_WITHIN)

    async def _gone(self, children: Sequence[Child], allowed: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + allowed
        while True:
            for child in children:
                child.poll(loop.time())
            if not any(child.is_running for child in children):
                return True
            if loop.time() > deadline:
                return False
            await asyncio.sleep(0.01)


async def _answers_ready(port: int) -> bool:
    try:
        status, _ = await get("127.0.0.1", port, "/readyz", 2.0)
    except (OSError, TimeoutError):
        return False
    return status == 200
