"""The connection to NATS: made with a deadline, kept for ever, checked for what the contract needs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import APIError

from bus_schemas.limits import BUS_PAYLOAD_MAX
from bus_schemas.streams import BUCKETS, CONSUMERS, NATS_VERSION_MIN, STREAMS, BucketSpec, StreamSpec
from runtime.logs import get_logger, redact
from runtime.metrics import Metrics
from runtime.replies import Replies

log = get_logger("bus")

RECONNECT_WAIT_S: Final = 0.1
CONNECT_DEADLINE_S: Final = 30.0
API_TIMEOUT_S: Final = 5.0
ERROR_EVERY_S: Final = 5.0
RESTORE_ATTEMPT_S: Final = 1.0
PENDING_BYTES: Final = 16 << 20
"""What the client holds while the server is away: some seconds of a worker's media; beyond it a
publish raises, and the caller's own policy decides."""

_STREAM_NAME_IN_USE: Final = 10058
_CONSUMER_EXISTS: Final = 10148
_NO_ROOM: Final = frozenset({10023, 10028, 10047})
"""Not enough memory or storage: also said while another process is creating the same stream, which then
counts twice for a moment."""
CREATE_ATTEMPTS: Final = 30


class BusUnusable(Exception):
    """NATS cannot be reached, or cannot do what is needed: a sentence that says what to do."""


@dataclass(slots=True)
class Bus:
    """One process's connection. `on_reconnect` callbacks run, in order, after each return of the server."""

    nc: Client
    js: JetStreamContext
    on_reconnect: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    replies: Replies = field(init=False)

    def __post_init__(self) -> None:
        self.replies = Replies(self.nc)

    @property
    def connected(self) -> bool:
        """Whether the server answers now."""
        return self.nc.is_connected

    async def request_api(self, subject: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One call of `$JS.API.{subject}`; raises nats' APIError as the server words it."""
        payload = json.dumps(body).encode() if body is not None else b""
        reply = await self.nc.request(f"$JS.API.{subject}", payload, timeout=API_TIMEOUT_S)
        answer: dict[str, Any] = json.loads(reply.data)
        if "error" in answer:
            raise APIError.from_error(answer["error"])
        return answer

    async def stream_created(self, stream: str) -> str:
        """When the stream was made: another value means that its messages and sequences are gone."""
        return str((await self.request_api(f"STREAM.INFO.{stream}"))["created"])

    async def create_missing(self) -> list[str]:
        """Create declared streams, buckets and shared consumers that are not there; alter none."""
        made = []
        specs: tuple[BucketSpec | StreamSpec, ...] = (*BUCKETS, *STREAMS)
        there = await self._stream_names()
        for spec in specs:
            config = spec.config()
            if config["name"] in there:
                continue
            if await self._create(config):
                made.append(config["name"])
        for consumer in CONSUMERS:
            body = {"stream_name": consumer.stream, "config": consumer.config(), "action": "create"}
            try:
                await self.request_api(f"CONSUMER.CREATE.{consumer.stream}.{consumer.name}", body)
            except APIError as exc:
                if exc.err_code != _CONSUMER_EXISTS:
                    raise
        if made:
            log.info("created on the bus", streams=made)
        return made

    async def _create(self, config: dict[str, Any]) -> bool:
        """Create a stream; False where somebody else did so first."""
        for attempt in range(1, CREATE_ATTEMPTS + 1):
            try:
                await self.request_api(f"STREAM.CREATE.{config['name']}", config)
            except APIError as exc:
                if exc.err_code == _STREAM_NAME_IN_USE:
                    return False
                if exc.err_code not in _NO_ROOM or attempt == CREATE_ATTEMPTS:
                    raise
                await asyncio.sleep(RECONNECT_WAIT_S)
                if config["name"] in await self._stream_names():
                    return False
            else:
                return True
        return False

    async def migrate(self) -> list[str]:
        """Bring every declared stream, bucket and consumer to its declaration: `matinee migrate`."""
        await self.create_missing()
        changed = []
        specs: tuple[BucketSpec | StreamSpec, ...] = (*BUCKETS, *STREAMS)
        for spec in specs:
            config = spec.config()
            await self.request_api(f"STREAM.UPDATE.{config['name']}", config)
            changed.append(str(config["name"]))
        for consumer in CONSUMERS:
            body = {"stream_name": consumer.stream, "config": consumer.config(), "action": "update"}
            await self.request_api(f"CONSUMER.CREATE.{consumer.stream}.{consumer.name}", body)
        return changed

    async def _stream_names(self) -> set[str]:
        names: set[str] = set()
        while True:
            page = await self.request_api("STREAM.NAMES", {"offset": len(names)})
            batch = page.get("streams") or []
            names.update(batch)
            if not batch or len(names) >= int(page["total"]):
                return names


async def connect(url: str, metrics: Metrics, *, name: str) -> Bus:
    """Connect, waiting for the server up to a deadline; raises `BusUnusable` with a sentence."""
    connected = metrics.gauge("matinee_bus_connected")
    holder: list[Bus] = []

    said_at = -ERROR_EVERY_S

    async def on_error(exc: Exception) -> None:
        nonlocal said_at
        # Each attempt to reconnect is one: ten a second while the server is away.
        if loop.time() - said_at >= ERROR_EVERY_S:
            said_at = loop.time()
            log.warning("bus error", error=repr(exc))

    async def on_disconnect() -> None:
        connected.set(0)
        if not any(bus.nc.is_closed or bus.nc.is_draining for bus in holder):
            log.warning("bus connection lost")

    async def on_reconnect() -> None:
        connected.set(1)
        metrics.counter("matinee_bus_reconnects_total").inc()
        log.info("bus connection back")
        for bus in holder:
            await _after_reconnect(bus)

    loop = asyncio.get_running_loop()
    deadline = loop.time() + CONNECT_DEADLINE_S
    while True:
        try:
            connecting = nats.connect(
                url,
                name=name,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_WAIT_S,
                connect_timeout=2,
                ping_interval=5,
                max_outstanding_pings=2,
                pending_size=PENDING_BYTES,
                # `Subject.at` has looked at every token already.
                skip_subject_validation=True,
                error_cb=on_error,
                disconnected_cb=on_disconnect,
                reconnected_cb=on_reconnect,
            )
            # The client itself would go on for ever: it is told never to give a lost connection up.
            async with asyncio.timeout(max(0.1, deadline - loop.time())):
                nc = await connecting
            break
        except (OSError, NatsError, TimeoutError) as exc:
            if loop.time() > deadline:
                raise BusUnusable(
                    f"NATS at {redact(url)} does not answer ({exc!r}): start it, or set MATINEE_NATS_URL."
                ) from exc
            await asyncio.sleep(RECONNECT_WAIT_S)
    _require(nc)
    connected.set(1)
    bus = Bus(nc, nc.jetstream(timeout=API_TIMEOUT_S))
    holder.append(bus)
    return bus


async def _after_reconnect(bus: Bus) -> None:
    """Memory streams vanish with their server: make them again, then tell those who use them."""
    for attempt in range(50):
        try:
            # a request sent while the server is still starting may vanish: do not wait it out
            async with asyncio.timeout(RESTORE_ATTEMPT_S):
                await bus.create_missing()
            break
        except (NatsError, APIError, TimeoutError) as exc:
            if attempt % 10 == 0:
                log.warning("JetStream is not back yet", error=repr(exc))
            await asyncio.sleep(RECONNECT_WAIT_S)
    for callback in list(bus.on_reconnect):
        try:
            await callback()
        except (NatsError, APIError, TimeoutError) as exc:
            log.error("after the bus came back", error=repr(exc))


def _require(nc: Client) -> None:
    version = nc.connected_server_version
    if (version.major, version.minor) < NATS_VERSION_MIN:
        wanted = ".".join(map(str, NATS_VERSION_MIN))
        raise BusUnusable(
            f"NATS {version} is too old: {wanted} or newer is needed (message schedules, TTLs)."
        )
    if nc.max_payload < BUS_PAYLOAD_MAX:
        raise BusUnusable(
            f"NATS lets {nc.max_payload} bytes through: set max_payload to {BUS_PAYLOAD_MAX} in its configuration."
        )
