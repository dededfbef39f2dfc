"""Worker processes and rooms for tests of what happens between real processes and real servers."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from bus_schemas.messages.base import BusMessage
from bus_schemas.messages.room import CommandReply
from bus_schemas.subjects import REPLY, Subject
from runtime.bus import Bus
from runtime.bus import connect as connect_bus
from runtime.clock import now_ms
from runtime.emit import emit
from runtime.metrics import Metrics

PROJECT = Path(__file__).resolve().parent.parent
READY_WITHIN = 60.0
STOPPED_WITHIN = 30.0
REPLY_WITHIN = 20.0


class Worker:
    """One `python -m workers.{kind}`."""

    def __init__(self, kind: str, log: Path, environment: dict[str, str]) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MATINEE_")}
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"workers.{kind}"], cwd=PROJECT, env={**inherited, **environment},
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip

    def wait_ready(self) -> None:
        """Return once it takes work."""
        give_up = time.monotonic() + READY_WITHIN
        while '"event": "ready"' not in self.log.read_text():
            if self.process.poll() is not None or time.monotonic() > give_up:
                self.kill()
                raise AssertionError(f"worker did not become ready:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """As a crash would."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """Ask it to drain and go; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOPPED_WITHIN)


class Workers:
    """Starts workers on one bus and one database; all are gone when the test is over."""

    def __init__(self, directory: Path, nats_url: str, postgres_dsn: str) -> None:
        self._directory = directory
        self.environment = {"MATINEE_NATS_URL": nats_url, "MATINEE_POSTGRES_DSN": postgres_dsn}
        self.started: list[Worker] = []

    def start(self, kind: str, count: int = 1) -> list[Worker]:
        """This many more workers, ready."""
        fresh = [
            Worker(kind, self._directory / f"{kind}-{len(self.started) + n}.log", self.environment)
            for n in range(count)
        ]
        self.started += fresh
        for worker in fresh:
            worker.wait_ready()
        return fresh

    def close(self) -> None:
        """Stop what still runs."""
        for worker in self.started:
            if worker.process.poll() is None:
                worker.kill()


class Asker:
    """A gateway as far as the bus sees it: asks, and waits for the answers."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._waiting: dict[str, asyncio.Future[CommandReply]] = {}
        self.replies: list[CommandReply] = []

    async def listen(self) -> None:
        """Take the answers to this node."""

        async def on_reply(message: object) -> None:
            reply = CommandReply.model_validate_json(message.data)  # type: ignore[attr-defined]
            self.replies.append(reply)
            if (waiting := self._waiting.pop(reply.id, None)) and not waiting.done():
                waiting.set_result(reply)

        await self.bus.nc.subscribe("reply.tester.*", cb=on_reply)

    def reply_subject(self, id_: str) -> str:
        """Where this asker waits for the answer to `id_`."""
        return REPLY.at(node="tester", id=id_)

    async def ask(
        self, subject: Subject[BusMessage], message: BusMessage, id_: str, room: str
    ) -> CommandReply:
        """Send and wait for the answer."""
        return await asyncio.wait_for(await self.send(subject, message, id_, room), REPLY_WITHIN)

    async def send(
        self, subject: Subject[BusMessage], message: BusMessage, id_: str, room: str
    ) -> asyncio.Future[CommandReply]:
        """Send; the future is the answer."""
        answer: asyncio.Future[CommandReply] = asyncio.get_running_loop().create_future()
        self._waiting[id_] = answer
        await emit(self.bus, subject, message, msg_id=id_, room=room)
        return answer


@asynccontextmanager
async def asking(nats_url: str) -> AsyncIterator[Asker]:
    """An asker on a bus with all its streams."""
    bus = await connect_bus(nats_url, Metrics(), name="tester")
    try:
        await bus.create_missing()
        asker = Asker(bus)
        await asker.listen()
        yield asker
    finally:
        await bus.nc.close()


async def add_room(dsn: str, room: str, *items: tuple[str, float | None]) -> None:
    """A room with this playlist of (id, duration)."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(
            "INSERT INTO users (id, username, username_key, created_at) VALUES ('u1', 'Ada', 'ada', 0)"
            " ON CONFLICT DO NOTHING"
        )
        await connection.execute(
            "INSERT INTO rooms (id, name, creator_id, settings, created_at, active_at)"
            " VALUES ($1, 'Room', 'u1', '{}', 0, $2)",
            room,
            now_ms(),
        )
        for position, (item, duration) in enumerate(items):
            await connection.execute(
                "INSERT INTO playlist_items (id, room, position, title, kind, url, duration, added_by,"
                " added_by_username, added_at) VALUES ($1, $2, $3, $1, 'url', 'http://x/v.mp4', $4, 'u1', 'Ada', 0)",
                item, room, position, duration,
            )  # fmt: skip
    finally:
        await connection.close()


async def count_rows(dsn: str, query: str, *arguments: object) -> int:
    """The one number of a query."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return int(await connection.fetchval(query, *arguments))
    finally:
        await connection.close()
