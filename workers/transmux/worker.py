"""Transmux worker: leases jobs, and packages their streams (DESIGN.md §3, §4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from nats.aio.msg import Msg
from nats.js import JetStreamContext
from pydantic import ValidationError

from bus_schemas.messages.live import TransmuxJob
from bus_schemas.streams import JOBS, TRANSMUX_CONSUMER
from bus_schemas.subjects import JOBS_TRANSMUX
from runtime.lifecycle import Context
from runtime.logs import get_logger
from runtime.poison import Poison, SetAside
from runtime.tag_tail import BUS_FAULTS
from workers.transmux.lease import ACK, Lease, Outcome, Surroundings

log = get_logger("transmux")

PULL_S: Final = 1.0
"""A pull that a restarted server forgot costs a new job so much."""
RETRY_S: Final = 0.1
STOP_S: Final = 5.0
TERMINATE: Final = b"+TERM"


class Jobs:
    """Takes jobs from the queue, as many as this worker may hold."""

    def __init__(self, context: Context) -> None:
        settings = context.settings.transmux
        self._bus = context.bus
        self._tasks = context.tasks
        self._poison = Poison(context.bus, context.metrics, {})
        self._around = Surroundings(context.bus, context.tasks, context.metrics, settings.grace_s)
        self._max = settings.max_jobs
        self._held: dict[str, tuple[Lease, asyncio.Task[None]]] = {}
        self._gauge = context.metrics.gauge("matinee_transmux_jobs")
        self._changed = asyncio.Event()
        self._draining = False
        self._subscription: JetStreamContext.PullSubscription | None = None

    async def pull(self) -> None:
        """Lease jobs until `drain`."""
        while not self._draining:
            while len(self._held) >= self._max:
                self._changed.clear()
                await self._changed.wait()
            try:
                if self._subscription is None:
                    self._subscription = await self._bus.js.pull_subscribe_bind(
                        consumer=TRANSMUX_CONSUMER.name, stream=JOBS.name
                    )
                for message in await self._subscription.fetch(1, timeout=PULL_S):
                    await self._take(message)
            except TimeoutError:
                continue
            except BUS_FAULTS as exc:
                log.warning("no jobs to be had", error=repr(exc))
                await asyncio.sleep(RETRY_S)
                continue

    async def reconnected(self) -> None:
        """The bus was away: every lease looks after its streams."""
        for lease, _ in list(self._held.values()):
            try:
                await lease.reconnected()
            except BUS_FAULTS as exc:
                log.warning("a lease waits for the bus", stream=lease.job.stream, error=repr(exc))

    async def drain(self) -> None:
        """Ask for no more, and give back what is held, so that others take it at once."""
        self._draining = True
        if self._subscription is not None and not self._bus.nc.is_closed:
            # Before the jobs go back: the server must not hand them to this worker's open pull.
            await self._subscription.unsubscribe()
        held = list(self._held.values())
        for lease, _ in held:
            lease.stop(Outcome.RELEASED)
        if held:
            await asyncio.wait([task for _, task in held], timeout=STOP_S)

    async def _take(self, message: Msg) -> None:
        try:
            job = TransmuxJob.model_validate_json(message.data)
            if job.stream != JOBS_TRANSMUX.token(message.subject, "stream"):
                raise ValueError(f"a job for {job.stream} on {message.subject}")
        except (ValidationError, ValueError) as exc:
            await self._set_aside(message, exc)
            return
        if job.stream in self._held:
            lease, task = self._held[job.stream]
            if lease.job.epoch == job.epoch:
                lease.renew(message)
                return
            if lease.job.epoch > job.epoch:
                await self._bus.nc.publish(message.reply, ACK)
                return
            lease.stop(Outcome.SUPERSEDED)
            await asyncio.wait([task], timeout=STOP_S)
        lease = Lease(self._around, job, message)
        task = self._tasks.spawn(f"lease:{job.stream}", lease.run())
        self._held[job.stream] = (lease, task)
        self._gauge.set(len(self._held))
        task.add_done_callback(lambda _: self._drop(lease))

    def _drop(self, lease: Lease) -> None:
        held = self._held.get(lease.job.stream)
        if held and held[0] is lease:
            del self._held[lease.job.stream]
            self._gauge.set(len(self._held))
            self._changed.set()

    async def _set_aside(self, message: Msg, exc: Exception) -> None:
        metadata = message.metadata
        await self._poison.set_aside(
            JOBS.name,
            metadata.sequence.stream,
            message.subject,
            message.data,
            metadata.num_delivered,
            SetAside("unreadable", str(exc)),
        )
        await self._bus.nc.publish(message.reply, TERMINATE)


@asynccontextmanager
async def make_app(context: Context) -> AsyncIterator[None]:
    """Lease and package; leaving it gives all jobs back."""
    jobs = Jobs(context)
    context.bus.on_reconnect.append(jobs.reconnected)
    pulling = context.tasks.spawn("jobs", jobs.pull(), vital=True)
    try:
        yield
    finally:
        pulling.cancel()
        await jobs.drain()
