"""The life of a process: settings, logs, bus, health, then the room's own work; then drain and stop."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final, TypeVar

import uvloop
from nats.errors import Error as NatsError

from bus_schemas.messages.room import NodeSeen
from bus_schemas.streams import NODES
from runtime import health as health_server
from runtime.bus import Bus, BusUnusable, connect
from runtime.clock import now_ms
from runtime.health import Health
from runtime.ids import new_id
from runtime.kv import Bucket
from runtime.logs import configure, get_logger
from runtime.metrics import Metrics, watch_loop_lag
from runtime.postgres import DatabaseUnusable
from runtime.settings import Settings, SettingsError, load
from runtime.tasks import Tasks

log = get_logger("lifecycle")
T = TypeVar("T")

HEARTBEAT_S: Final = 5.0
CLOSE_S: Final = 3.0
"""How long the end of the bus connection may take."""
EXIT_SETTINGS: Final = 2
EXIT_FAILED: Final = 1


@dataclass(frozen=True, slots=True)
class Context:
    """What the shell hands to a room; the room takes what it needs from it, once."""

    kind: str
    node: str
    settings: Settings
    bus: Bus
    tasks: Tasks
    metrics: Metrics
    health: Health
    addresses: dict[str, str]
    """What this process listens on, by name, for `NODES`: the room fills it."""


class Unstartable(Exception):
    """The process cannot start: a sentence that says what to do."""


App = Callable[[Context], AbstractAsyncContextManager[None]]
"""A room: entered when the bus is there, ready once entered, drained by leaving it."""


def version() -> str:
    """The version of this checkout."""
    try:
        return metadata.version("matinee")
    except metadata.PackageNotFoundError:
        return os.environ.get("MATINEE_VERSION", "0.1.0")


def run(kind: str, app: App, flags: dict[str, Any] | None = None) -> None:
    """Run a room as this process until SIGTERM or SIGINT; exits non-zero with a sentence on a fault."""
    try:
        settings = load(flags)
    except SettingsError as exc:
        sys.exit(_fail(f"settings:\n{exc}", EXIT_SETTINGS))
    node = settings.node or new_id(8)
    configure(settings.log, kind=kind, node=node)
    raise_file_limit()
    try:
        uvloop.run(_live(kind, node, settings, app))
    except (BusUnusable, DatabaseUnusable, Unstartable) as exc:
        sys.exit(_fail(str(exc), EXIT_FAILED))
    except TimeoutError as exc:
        sentence = f"a server did not answer in time ({exc!r}): see that NATS, PostgreSQL and Redis run."
        sys.exit(_fail(sentence, EXIT_FAILED))
    except OSError as exc:
        sys.exit(_fail(f"{exc.strerror or exc}: choose another address, or stop what uses it.", EXIT_FAILED))


def _fail(sentence: str, code: int) -> int:
    sys.stderr.write(f"matinee: {sentence}\n")
    return code


def raise_file_limit() -> None:
    """Take all the file descriptors the system allows: each socket is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 1 << 20
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _live(kind: str, node: str, settings: Settings, app: App) -> None:
    metrics = Metrics()
    metrics.gauge("matinee_build_info").labels(kind, node, version()).set(1)
    stop = asyncio.Event()
    failed: list[str] = []

    def on_failure(task: str, error: BaseException) -> None:
        failed.append(f"{task}: {error!r}")
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    health = Health()
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(
            health_server.serve(metrics, health, settings.metrics.host, settings.metrics.port)
        )
        bus = await _unless(stop, connect(settings.nats_url, metrics, name=f"{kind}-{node}"))
        if bus is None:
            return
        stack.push_async_callback(_close, bus)
        await bus.create_missing()
        health.add("bus", lambda: None if bus.connected else "NATS does not answer")
        tasks = Tasks(metrics, on_failure)
        stack.push_async_callback(tasks.cancel)
        tasks.spawn("loop-lag", watch_loop_lag(metrics))
        context = Context(kind, node, settings, bus, tasks, metrics, health, {})
        if not settings.limits.enabled:
            log.warning(
                "LIMITS ARE OFF: rate and connection limits do not apply (MATINEE_LIMITS__ENABLED=false)"
            )
        room = app(context)
        await room.__aenter__()
        context.addresses["metrics"] = f"{settings.metrics.host}:{port}"
        health.started = True
        tasks.spawn("heartbeat", _heartbeat(context, now_ms()))
        _settle_memory()
        log.info("ready", pid=os.getpid(), **context.addresses)
        await stop.wait()
        health.stopping = True
        log.info("draining", deadline_s=settings.drain_s)
        try:
            async with asyncio.timeout(settings.drain_s):
                await room.__aexit__(None, None, None)
        except TimeoutError:
            log.error("drain deadline passed", deadline_s=settings.drain_s)
    log.info("stopped")
    if failed:
        raise Unstartable(f"{kind} stopped because a vital task failed: {failed[0]}")


def _settle_memory() -> None:
    """Modules, models and tables live as long as the process: no collection walks through them again.

    A full one of the gateway took 20 to 35 ms, in which no event goes out.
    """
    gc.collect()
    gc.freeze()


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of `work`; None where `stop` was set first, and `work` is cancelled."""
    loop = asyncio.get_running_loop()
    working, stopping = loop.create_task(work), loop.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        stopping.cancel()


async def _close(bus: Bus) -> None:
    # Waited for from outside: the client's drain takes a cancellation for its end, and goes on to flush.
    work = bus.nc.drain() if bus.connected else bus.nc.close()
    closing = asyncio.get_running_loop().create_task(work, name="bus-close")
    done, late = await asyncio.wait({closing}, timeout=CLOSE_S)
    for task in late:
        task.cancel()
    error = closing.exception() if done and not closing.cancelled() else None
    if late or isinstance(error, (NatsError, TimeoutError)):
        log.warning("bus connection closed hard", error=repr(error))
    elif error is not None:
        raise error


async def _heartbeat(context: Context, started_at: int) -> None:
    """Say in `NODES`, for ever, that this process lives."""
    bucket = Bucket(context.bus.js, NODES)
    key = f"{context.kind}.{context.node}"
    while True:
        seen = NodeSeen(
            kind=context.kind,
            node=context.node,
            version=version(),
            started_at=started_at,
            at=now_ms(),
            pid=os.getpid(),
            address=" ".join(f"{name}={address}" for name, address in sorted(context.addresses.items())),
            load={"load1": round(os.getloadavg()[0], 2)},
        )
        try:
            await bucket.put(key, seen.model_dump_json().encode())
        except (NatsError, TimeoutError) as exc:
            log.warning("heartbeat not taken", error=repr(exc))
        await asyncio.sleep(HEARTBEAT_S)
