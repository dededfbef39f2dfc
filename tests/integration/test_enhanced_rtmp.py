"""A current ffmpeg publishes every codec by enhanced RTMP; ingest and transmux carry it, libavformat plays it."""

import asyncio
import contextlib
import io
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import pytest
from nats.aio.msg import Msg

from bus_schemas.messages.live import StreamDescribed
from bus_schemas.parts import PART_HEADER_SIZE, InitHeader, PartFlags, PartHeader
from bus_schemas.tags import HEADER_SIZE
from media import flv
from runtime.bus import connect
from runtime.health import Health
from runtime.lifecycle import Context
from runtime.metrics import Metrics
from runtime.settings import Settings
from runtime.tasks import Tasks
from tests.embedded import fresh_name
from tests.enhanced_flv import enhanced_file
from tests.integration.ingest_worker import Ingest, RawPublisher, running, until
from tests.unit.ingest.rtmp_client import chunk
from workers.transmux.worker import make_app as make_transmux

pytestmark = pytest.mark.connected

CODECS = "hvc1,av01,vp09,Opus,fLaC,ac-3,ec-3,mp4a,avc1"
KINDS = ("video", "audio")
Packets = dict[str, list[tuple[float, float, bytes]]]


@dataclass
class Packaged:
    """What transmux put on the bus for one stream."""

    inits: dict[int, tuple[InitHeader, bytes]] = field(default_factory=dict)
    parts: list[tuple[PartHeader, bytes]] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return any(header.flags & PartFlags.END for header, _ in self.parts)

    def file(self, init: int) -> bytes:
        """An init segment and the parts that need it."""
        return self.inits[init][1] + b"".join(body for header, body in self.parts if header.init == init)


@dataclass
class House:
    """An ingest worker and a transmux worker on one bus."""

    ingest: Ingest
    streams: dict[str, Packaged]

    def file(self, stream: str) -> bytes:
        """What an FLV viewer of the whole stream gets."""
        messages = [data for subject, data in self.ingest.messages if subject.split(".")[2] == stream]
        header = flv.file_header(audio=True, video=True)
        return header + b"".join(message[HEADER_SIZE:] for message in messages)


@pytest.fixture
async def house(nats_url: str) -> AsyncIterator[House]:
    async with running(nats_url, "n1") as ingest:
        metrics = Metrics()
        bus = await connect(nats_url, metrics, name="test-transmux")
        tasks = Tasks(metrics)
        settings = Settings.model_validate({"nats_url": nats_url})
        made = House(ingest, defaultdict(Packaged))

        async def collect(message: Msg) -> None:
            stream = made.streams[message.subject.split(".")[2]]
            if message.subject.startswith("hls.init."):
                header, body = InitHeader.unpack(message.data)
                stream.inits[header.init] = header, body
            else:
                stream.parts.append((PartHeader.unpack(message.data), message.data[PART_HEADER_SIZE:]))

        await ingest.bus.nc.subscribe("hls.*.>", cb=collect)
        async with make_transmux(Context("transmux", "t1", settings, bus, tasks, metrics, Health(), {})):
            yield made
        await tasks.cancel()
        await bus.nc.close()


async def publish(url: str, file: Path, *options: str) -> str:
    """A current ffmpeg sends a file as it is; what it had to say about it."""
    process = await asyncio.create_subprocess_exec(
        imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-v", "warning", "-i", str(file),
        "-map", "0:v?", "-map", "0:a?", "-c", "copy", *options, "-rtmp_enhanced_codecs", CODECS, "-f", "flv", url,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(20):
        _, said = await process.communicate()
    return said.decode()


def demuxed(data: bytes, form: str) -> Packets:
    """DTS and PTS, ms, and the bytes of each packet; all of them decode."""
    found: Packets = defaultdict(list)
    decoded = 0
    with av.open(io.BytesIO(data), format=form) as container:
        for packet in container.demux():
            if (
                packet.size
                and packet.stream.type in KINDS
                and packet.dts is not None
                and packet.pts is not None
            ):
                base: Any = packet.time_base
                times = float(packet.dts * base * 1000), float(packet.pts * base * 1000)
                found[packet.stream.type].append((*times, bytes(packet)))
                decoded += len(packet.decode())
    assert decoded > 20
    return found


def assert_same(sent: Packets, got: Packets, *, tolerance: float, missing: int) -> None:
    """The same frames with the same timestamps, but for the last ones."""
    assert got.keys() == sent.keys()
    for kind, packets in sent.items():
        assert len(got[kind]) >= len(packets) - missing
        for (dts, pts, data), (got_dts, got_pts, got_data) in zip(packets, got[kind], strict=False):
            assert abs(dts - got_dts) <= tolerance
            assert abs(pts - got_pts) <= tolerance
            assert data == got_data


@pytest.mark.parametrize(
    ("video", "audio", "codecs"),
    [
        ("libx265", "aac", "hvc1.1.6.L60.90,mp4a.40.2"),
        ("libsvtav1", "libopus", "av01.0.00M.08,Opus"),
        ("libvpx-vp9", "flac", "vp09.00.11.08,fLaC"),
        ("libx264", "eac3", "avc1.4d400d,ec-3"),
        ("libx265", "ac3", "hvc1.1.6.L60.90,ac-3"),
        (None, "libopus", "Opus"),
        (None, "libmp3lame", "mp4a.6B"),
    ],
)
async def test_what_ffmpeg_publishes_is_played_as_cmaf_and_as_flv(
    house: House, tmp_path: Path, video: str | None, audio: str, codecs: str
) -> None:
    """Every frame with its own timestamps and bytes, out of either; the event names the codecs."""
    stream, file = fresh_name("s"), tmp_path / "sent.flv"
    file.write_bytes(enhanced_file(video, audio))
    await house.ingest.add_key("key", stream)

    said = await publish(house.ingest.url("key"), file)

    packaged = house.streams[stream]
    await until(lambda: packaged.ended)
    assert "Error" not in said
    assert [header.codecs for header, _ in packaged.inits.values()] == [codecs]
    sent = demuxed(file.read_bytes(), "flv")
    if video:
        # Sound in front of the first picture is not part of the stream.
        begin = sent["video"][0][0]
        sent["audio"] = [packet for packet in sent["audio"] if packet[0] >= begin]
    assert_same(sent, demuxed(house.file(stream), "flv"), tolerance=1.0, missing=2)
    # END flushes what waits; only sound behind the last picture is not cut.
    assert_same(sent, demuxed(packaged.file(1), "mp4"), tolerance=2.0, missing=2)
    described = [event for event in await house.ingest.events(stream) if isinstance(event, StreamDescribed)]
    assert [",".join(filter(None, (d.video_codec, d.audio_codec))) for d in described] == [codecs]
    assert (described[0].width, described[0].height) == ((322, 182) if video else (None, None))


async def test_further_tracks_of_a_publisher_are_left_out_and_counted(house: House, tmp_path: Path) -> None:
    """ffmpeg sends two sound tracks by multitrack packets; the first one plays."""
    stream, file = fresh_name("s"), tmp_path / "sent.flv"
    file.write_bytes(enhanced_file("libx265", "aac"))
    await house.ingest.add_key("key", stream)

    said = await publish(house.ingest.url("key"), file, "-map", "0:a")

    packaged = house.streams[stream]
    await until(lambda: packaged.ended)
    assert "Error" not in said
    assert [header.codecs for header, _ in packaged.inits.values()] == ["hvc1.1.6.L60.90,mp4a.40.2"]
    assert_same(demuxed(file.read_bytes(), "flv"), demuxed(packaged.file(1), "mp4"), tolerance=2.0, missing=3)
    await until(lambda: house.ingest.counted("matinee_ingest_refused_total", reason="other_track") > 100)


async def test_a_codec_that_nobody_carries_is_refused_by_name(house: House) -> None:
    """The encoder's window shows what to do."""
    await house.ingest.add_key("key", fresh_name("s"))
    publisher = await RawPublisher.to(house.ingest.port)
    await publisher.publish("key")

    publisher.writer.write(chunk(9, b"\x90vvc1record", stream_id=1))

    await publisher.read_until(b"not vvc1: set the encoder to one of them")
    with contextlib.suppress(ConnectionError):
        publisher.writer.close()
        await publisher.writer.wait_closed()
    assert house.ingest.counted("matinee_ingest_refused_total", reason="codec") == 1


async def test_the_connect_reply_announces_what_is_carried(house: House) -> None:
    """FourCC by FourCC, for peers of either version of enhanced RTMP."""
    await house.ingest.add_key("key", fresh_name("s"))
    publisher = await RawPublisher.to(house.ingest.port)
    await publisher.publish("key")

    answers = publisher.answers
    publisher.writer.close()
    for name in (b"fourCcList", b"videoFourCcInfoMap", b"audioFourCcInfoMap", b"capsEx", b"hvc1", b"Opus"):
        assert name in answers
