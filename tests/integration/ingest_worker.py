"""Ingest workers within the test's own loop, and publishers for them: libavformat, and raw bytes."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from nats.aio.msg import Msg

from bus_schemas.messages.live import LiveEvent, StreamKey
from bus_schemas.streams import LIVE_EVENTS, STREAM_KEYS
from bus_schemas.subjects import LIVE_EVENT
from bus_schemas.tags import HEADER_SIZE, TagFlags, TagHeader
from media import flv
from runtime.bus import Bus, connect
from runtime.health import Health
from runtime.kv import Bucket
from runtime.lifecycle import Context
from runtime.metrics import Metrics
from runtime.settings import Settings
from runtime.tasks import Tasks
from tests.unit.ingest.rtmp_client import AAC_HEADER, AVC_HEADER, HANDSHAKE, chunk, metadata, opening
from workers.ingest.registry import key_hash
from workers.ingest.worker import make_app

WITHIN = 20.0
HANDSHAKE_S, IDLE_S = 3.0, 5.0
"""Deadlines of the workers here."""
PROMPT_S = 2.5
"""What is promised within a second, on a machine with other things to do; sooner than any deadline."""
QUIET_S = 0.5
"""No event for so long: that was the last."""


@dataclass
class Ingest:
    """A running worker and what it says on the bus."""

    bus: Bus
    metrics: Metrics
    port: int
    addresses: dict[str, str]
    messages: list[tuple[str, bytes]] = field(default_factory=list)

    async def add_key(self, key: str, stream: str, **options: object) -> None:
        value = StreamKey.model_validate({"stream": stream, "owner": "u1", **options})
        await Bucket(self.bus.js, STREAM_KEYS).put(key_hash(key), value.model_dump_json().encode())

    def url(self, key: str) -> str:
        return f"rtmp://127.0.0.1:{self.port}/live/{key}"

    def of(self, stream: str) -> list[tuple[TagHeader, list[flv.Tag]]]:
        found = []
        for subject, data in list(self.messages):
            header = TagHeader.unpack(data)
            if subject.split(".")[2] == stream:
                assert subject.endswith(".key") == bool(header.flags & TagFlags.KEY)
                found.append((header, list(flv.demux(memoryview(data)[HEADER_SIZE:]))))
        return found

    async def events(self, stream: str) -> list[object]:
        found: list[object] = []
        subscription = await self.bus.js.subscribe(
            LIVE_EVENT.at(stream=stream), stream=LIVE_EVENTS.name, ordered_consumer=True
        )
        with contextlib.suppress(TimeoutError):
            while True:
                message = await subscription.next_msg(timeout=QUIET_S)
                found.append(LiveEvent.model_validate_json(message.data).root)
        await subscription.unsubscribe()
        return found

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


async def until(check: Callable[[], object], within: float = WITHIN) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + within
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(nats_url: str, node: str, **sections: Any) -> AsyncIterator[Ingest]:
    """A worker with short deadlines, and a check that none of its tasks died."""
    deadlines = {
        "rtmp_port": 0, "handshake_timeout_s": HANDSHAKE_S, "idle_timeout_s": IDLE_S, "statistics_s": 0.5,
    }  # fmt: skip
    ingest = {**deadlines, **sections.pop("ingest", {})}
    settings = Settings.model_validate({"nats_url": nats_url, "ingest": ingest, **sections})
    metrics = Metrics()
    bus = await connect(nats_url, metrics, name=f"ingest-{node}")
    await bus.create_missing()
    failed: list[str] = []
    tasks = Tasks(metrics)
    context = Context("ingest", node, settings, bus, tasks, metrics, Health(), {})
    async with make_app(context):
        worker = Ingest(bus, metrics, int(context.addresses["rtmp"].rpartition(":")[2]), context.addresses)

        async def collect(message: Msg) -> None:
            worker.messages.append((message.subject, message.data))

        await bus.nc.subscribe("live.tags.*.*", cb=collect)
        yield worker
    await tasks.cancel()
    await bus.nc.close()
    for family in metrics.registry.collect():
        if family.name == "matinee_tasks_failed":
            failed = [str(sample.labels) for sample in family.samples if sample.name.endswith("_total")]
    assert failed == []


async def start_libavformat(url: str, seconds: float, *options: str) -> asyncio.subprocess.Process:
    """Publish from a process of its own: libavformat keeps Python's lock while it connects."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.rtmp_push", url, str(seconds), *options,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


async def push_by_libavformat(url: str, seconds: float, *options: str) -> int:
    """The same, to its end; the exit code, which is not 0 when the server refused."""
    process = await start_libavformat(url, seconds, *options)
    async with asyncio.timeout(20):
        return await process.wait()


class RawPublisher:
    """A publisher made of bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.answers = b""

    @classmethod
    async def to(cls, port: int) -> "RawPublisher":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def publish(self, key: str) -> None:
        """Everything up to the server's go-ahead."""
        self.writer.write(HANDSHAKE + opening(name=key))
        await self.read_until(b"NetStream.Publish.Start\x00\x0bdescription\x02\x00\x0apublishing")

    async def read_until(self, text: bytes) -> None:
        async with asyncio.timeout(WITHIN):
            while text not in self.answers:
                data = await self.reader.read(65536)
                assert data, f"closed without {text!r}"
                self.answers += data

    async def read_to_end(self) -> float:
        """Read until the server closes; seconds it took."""
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(WITHIN):
                while data := await self.reader.read(65536):
                    self.answers += data
        return time.monotonic() - began

    def send_frame(self, payload: bytes, timestamp: int, kind: int = 9) -> None:
        self.writer.write(chunk(kind, payload, timestamp=timestamp, stream_id=1, chunk_stream=4 + kind))

    def send_headers(self) -> None:
        """Metadata, both sequence headers."""
        self.writer.write(
            chunk(18, metadata(width=160.0, height=120.0, videocodecid=7.0, audiocodecid=10.0), stream_id=1)
        )
        self.send_frame(AVC_HEADER, 0)
        self.send_frame(AAC_HEADER, 0, kind=8)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()
