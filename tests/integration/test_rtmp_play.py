"""RTMP players of a real ingest worker on a real NATS: libavformat, Debian's ffmpeg, and raw bytes."""

import asyncio
import contextlib
import json
import shutil
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import av
import pytest
from nats.aio.msg import Msg

from bus_schemas.messages.live import PlayAnswered, PlayAsked
from bus_schemas.subjects import LIVE_PLAY
from tests.embedded import fresh_name
from tests.integration.ingest_worker import (
    PROMPT_S,
    Ingest,
    RawPublisher,
    running,
    start_libavformat,
    until,
)
from tests.unit.ingest.rtmp_client import HANDSHAKE, audio_frame, chunk, command, inter_frame, key_frame
from workers.ingest.rtmp import amf0
from workers.ingest.rtmp.chunks import ChunkReader
from workers.ingest.rtmp.messages import Message, MessageType

pytestmark = pytest.mark.connected

FFMPEG = shutil.which("ffmpeg")
RTMPDUMP = shutil.which("rtmpdump")


@pytest.fixture
async def ingest(nats_url: str) -> AsyncIterator[Ingest]:
    """A worker, and beside it one who answers as a gateway does: `secret…` wants the token `good`."""
    async with running(nats_url, "n1", live={"stall_s": 1.0, "linger_s": 1.0}) as worker:

        async def answer(message: Msg) -> None:
            asked = PlayAsked.model_validate_json(message.data)
            allowed = not asked.stream.startswith("secret") or asked.token == "good"
            detail = "" if allowed else "This stream wants a play token: ?token=…"
            told = PlayAnswered(stream=asked.stream, allowed=allowed, detail=detail)
            await message.respond(told.model_dump_json().encode())

        await worker.bus.nc.subscribe(LIVE_PLAY.pattern, cb=answer)
        yield worker


class RawPlayer:
    """A player made of bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.messages: list[Message] = []
        self._chunks = ChunkReader()
        self._left = 1 + 2 * 1536

    @classmethod
    async def playing(cls, port: int, name: str, app: str = "live", stream_id: int = 1) -> "RawPlayer":
        player = cls(*await asyncio.open_connection("127.0.0.1", port))
        opening = command("connect", 1, {"app": app, "tcUrl": f"rtmp://h/{app}"})
        opening += b"".join(command("createStream", 2 + n, None) for n in range(stream_id))
        play = command("play", 9, None, name, -2000.0, stream_id=stream_id)
        player.writer.write(HANDSHAKE + opening + play)
        return player

    async def read(self, within: float = 20.0) -> bool:
        """Take what comes next; False at the end."""
        async with asyncio.timeout(within):
            try:
                data = await self.reader.read(1 << 16)
            except ConnectionError:
                data = b""
        skipped = min(self._left, len(data))
        self._left -= skipped
        self.messages += self._chunks.feed(data[skipped:])
        assert self._chunks.fault is None, self._chunks.fault
        if not data:
            self.close()
        return bool(data)

    async def until(self, count: int) -> list[Message]:
        """Read until so many messages of audio and video are there; gives these."""
        while len(self.media()) < count:
            assert await self.read(), f"closed: {self.statuses()}"
        return self.media()

    def media(self) -> list[Message]:
        return [m for m in self.messages if m.type in (MessageType.AUDIO, MessageType.VIDEO)]

    def statuses(self) -> list[str]:
        said = [amf0.decode(m.payload) for m in self.messages if m.type == MessageType.COMMAND_AMF0]
        return [arguments[3]["code"] for arguments in said if arguments[0] == "onStatus"]

    def close(self) -> None:
        self.writer.transport.abort()


async def published(ingest: Ingest, stream: str) -> RawPublisher:
    """A publisher of the stream with one group of pictures."""
    await ingest.add_key(stream, stream)
    publisher = await RawPublisher.to(ingest.port)
    await publisher.publish(stream)
    publisher.send_headers()
    publisher.send_frame(key_frame(200_000), 0)
    publisher.send_frame(audio_frame(), 20, kind=8)
    publisher.send_frame(inter_frame(composition=-40), 40)
    await until(lambda: len(ingest.of(stream)) == 2)
    return publisher


async def test_a_player_begins_at_the_last_key_frame_headers_first(ingest: Ingest) -> None:
    """Play.Start, then metadata, sequence headers, the key frame and what came since, byte for byte."""
    stream = fresh_name("s")
    publisher = await published(ingest, stream)
    began = time.monotonic()
    player = await RawPlayer.playing(ingest.port, stream)

    media = await player.until(5)
    took = time.monotonic() - began
    publisher.send_frame(inter_frame(77), 80)
    await player.until(6)

    assert player.statuses()[:2] == ["NetStream.Play.Reset", "NetStream.Play.Start"]
    assert [m.type for m in media] == [9, 8, 9, 8, 9]
    assert media[2].payload == key_frame(200_000)
    assert [m.timestamp for m in media] == [0, 0, 0, 20, 40]
    assert media[4].payload == inter_frame(composition=-40)
    names = [amf0.decode_first(m.payload)[0] for m in player.messages if m.type == MessageType.DATA_AMF0]
    assert names[:4] == ["|RtmpSampleAccess", "onStatus", "onMetaData", "onClock"]
    assert took < PROMPT_S
    assert ingest.counted("matinee_live_viewers", protocol="rtmp") == 1
    player.close()
    await publisher.close()
    await until(lambda: ingest.counted("matinee_live_streams") == 0)


async def test_another_message_stream_gets_the_same(ingest: Ingest) -> None:
    """A player that created three streams and plays on the third."""
    stream = fresh_name("s")
    publisher = await published(ingest, stream)

    player = await RawPlayer.playing(ingest.port, "", app=f"live/{stream}", stream_id=3)
    media = await player.until(5)

    assert {m.stream_id for m in media} == {3}
    assert media[2].payload == key_frame(200_000)
    player.close()
    await publisher.close()


async def test_the_end_of_the_stream_is_told(ingest: Ingest) -> None:
    """UnpublishNotify and Stop, then the connection is closed within a second."""
    stream = fresh_name("s")
    publisher = await published(ingest, stream)
    player = await RawPlayer.playing(ingest.port, stream)
    await player.until(5)

    publisher.writer.write(command("deleteStream", 7, None, 1.0))
    began = time.monotonic()
    while await player.read():
        pass

    assert player.statuses()[-2:] == ["NetStream.Play.UnpublishNotify", "NetStream.Play.Stop"]
    assert time.monotonic() - began < PROMPT_S
    assert ingest.counted("matinee_ingest_closed_total", reason="ended") == 1
    await publisher.close()


async def test_a_player_sees_a_publisher_come_back(ingest: Ingest) -> None:
    """A cut link and a return: the same connection goes on, time never back, headers not again in between."""
    stream = fresh_name("s")
    publisher = await published(ingest, stream)
    player = await RawPlayer.playing(ingest.port, stream)
    await player.until(5)
    publisher.writer.transport.abort()

    again = await RawPublisher.to(ingest.port)
    await again.publish(stream)
    again.send_headers()
    again.send_frame(key_frame(), 0)
    media = await player.until(8)

    stamps = [m.timestamp for m in media]
    assert stamps == sorted(stamps)
    assert media[-1].payload == key_frame()
    player.close()
    await again.close()


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("nobody-publishes-this", "NetStream.Play.StreamNotFound", b"nobody publishes this stream now"),
        ("a.b*", "NetStream.Play.StreamNotFound", b"there is no such stream"),
        ("", "NetStream.Play.StreamNotFound", b"there is no such stream"),
        ("secret1", "NetStream.Play.Failed", b"wants a play token"),
        ("secret1?token=bad", "NetStream.Play.Failed", b"wants a play token"),
    ],
)
async def test_a_play_is_refused_in_words(ingest: Ingest, name: str, code: str, words: bytes) -> None:
    """onStatus of level error says why; nothing is left behind of the name."""
    player = await RawPlayer.playing(ingest.port, name)
    began = time.monotonic()
    while await player.read():
        pass

    assert player.statuses() == [code]
    assert any(words in m.payload for m in player.messages)
    assert time.monotonic() - began < PROMPT_S
    assert ingest.counted("matinee_live_streams") == 0


async def test_a_private_stream_plays_with_its_token(ingest: Ingest) -> None:
    """`?token=` behind the name."""
    stream = fresh_name("secret")
    publisher = await published(ingest, stream)

    player = await RawPlayer.playing(ingest.port, f"{stream}?token=good")

    assert len(await player.until(5)) >= 5
    player.close()
    await publisher.close()


async def test_a_player_who_takes_nothing_is_closed_and_the_others_lose_nothing(ingest: Ingest) -> None:
    """One does not read: after the stall bound he is closed and counted; the other gets every frame."""
    stream = fresh_name("s")
    publisher = await published(ingest, stream)
    stuck = await RawPlayer.playing(ingest.port, stream)
    good = await RawPlayer.playing(ingest.port, stream)
    await good.until(5)

    frames, began = 0, time.monotonic()
    while ingest.counted("matinee_live_stalled_total") == 0 and time.monotonic() - began < 60:
        frames += 1
        publisher.send_frame(inter_frame(150_000), 40 + 40 * frames)
        await publisher.writer.drain()
        await good.until(5 + frames)

    assert ingest.counted("matinee_live_stalled_total") == 1
    assert [m.timestamp for m in good.media()[-frames:]] == [40 + 40 * (n + 1) for n in range(frames)]
    stuck.close()
    good.close()
    await publisher.close()


async def test_a_stopped_play_leaves_the_connection_open(ingest: Ingest) -> None:
    """closeStream, then another play on the same connection."""
    stream = fresh_name("s")
    publisher = await published(ingest, stream)
    player = await RawPlayer.playing(ingest.port, stream)
    await player.until(5)

    player.writer.write(command("closeStream", 0, None, stream_id=1))
    player.writer.write(command("play", 10, None, stream, stream_id=1))
    await player.until(10)

    assert player.statuses().count("NetStream.Play.Start") == 2
    player.close()
    await publisher.close()


async def test_libavformat_plays_what_libavformat_publishes(ingest: Ingest) -> None:
    """Picture and sound decode; time rises."""
    stream = fresh_name("s")
    await ingest.add_key(stream, stream)
    sender = await start_libavformat(ingest.url(stream), 4.0, "--paced")
    await until(lambda: len(ingest.of(stream)) > 10)
    code = (
        "import av, json, sys\n"
        "with av.open(sys.argv[1], options={'rw_timeout': '5000000'}) as c:\n"
        "    dts = {'video': [], 'audio': []}\n"
        "    for packet in c.demux():\n"
        "        if packet.dts is not None: dts.setdefault(packet.stream.type, []).append(packet.dts)\n"
        "        if len(dts['video']) == 40: break\n"
        "    print(json.dumps(dts))\n"
    )
    url = f"rtmp://127.0.0.1:{ingest.port}/live/{stream}"
    player = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, url, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        out, _ = await player.communicate()
        await sender.wait()

    dts = json.loads(out)
    assert len(dts["video"]) == 40
    assert len(dts["audio"]) > 40
    assert all(dts[kind] == sorted(dts[kind]) for kind in ("video", "audio"))


@pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg on this machine")
async def test_ffmpeg_shakes_hands_by_digest_publishes_and_plays(ingest: Ingest) -> None:
    """Debian's ffmpeg checks the digests of S1 and S2, and its player ends with the stream, without an error."""
    assert FFMPEG is not None
    stream = fresh_name("s")
    await ingest.add_key(stream, stream)
    source = ["-re", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=25", "-f", "lavfi", "-i", "sine"]
    encoding = ["-t", "4", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac", "-f", "flv"]
    quiet = [FFMPEG, "-hide_banner", "-loglevel", "warning", "-nostdin"]
    publisher = await asyncio.create_subprocess_exec(
        *quiet, *source, *encoding, ingest.url(stream), stderr=asyncio.subprocess.PIPE
    )
    await until(lambda: ingest.of(stream))
    player = await asyncio.create_subprocess_exec(
        *quiet, "-i", f"rtmp://127.0.0.1:{ingest.port}/live/{stream}", "-c", "copy", "-f", "framecrc", "-",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(20):
        out, complaints = await player.communicate()
        _, refused = await publisher.communicate()

    lines = [line.split(b",") for line in out.splitlines() if line[:1].isdigit()]
    assert publisher.returncode == 0, refused
    assert player.returncode == 0
    assert complaints == b""
    assert sum(1 for line in lines if line[0] == b"0") > 50
    assert sum(1 for line in lines if line[0] == b"1") > 50


@pytest.mark.skipif(RTMPDUMP is None, reason="no rtmpdump on this machine")
async def test_librtmp_plays(ingest: Ingest, tmp_path: Path) -> None:
    """rtmpdump records two seconds that libavformat can read."""
    assert RTMPDUMP is not None
    stream = fresh_name("s")
    await ingest.add_key(stream, stream)
    sender = await start_libavformat(ingest.url(stream), 5.0, "--paced")
    await until(lambda: ingest.of(stream))
    url, recorded = f"rtmp://127.0.0.1:{ingest.port}/live/{stream}", tmp_path / "recorded.flv"

    player = await asyncio.create_subprocess_exec(
        RTMPDUMP, "--quiet", "--live", "-r", url, "--stop", "2", "-o", str(recorded)
    )
    async with asyncio.timeout(20):
        await player.wait()
        await sender.wait()

    with av.open(str(recorded), format="flv") as container:
        pictures = sum(1 for _ in container.decode(video=0))
    assert pictures > 25


async def test_a_flood_of_plays_of_nothing_leaves_nothing(ingest: Ingest) -> None:
    """200 names that do not exist: no reader, no ring, no connection stays."""
    for _ in range(10):
        players = [await RawPlayer.playing(ingest.port, fresh_name("none")) for _ in range(20)]
        for player in players:
            with contextlib.suppress(ConnectionError):
                while await player.read():
                    pass
    await until(lambda: ingest.counted("matinee_ingest_connections", protocol="rtmp") == 0)

    assert ingest.counted("matinee_live_streams") == 0


async def test_media_from_a_player_is_nothing(ingest: Ingest) -> None:
    """Who plays cannot publish beside it: his frames are ignored, and a publish is refused."""
    stream = fresh_name("s")
    publisher = await published(ingest, stream)
    player = await RawPlayer.playing(ingest.port, stream)
    await player.until(5)
    before = len(ingest.of(stream))

    player.writer.write(chunk(9, key_frame(), stream_id=1, chunk_stream=6))
    player.writer.write(command("publish", 11, None, stream, "live", stream_id=1))
    while "NetStream.Publish.BadName" not in player.statuses():
        assert await player.read()

    assert len(ingest.of(stream)) == before
    player.close()
    await publisher.close()
