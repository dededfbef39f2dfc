"""A real ingest worker on a real NATS, published to by libavformat and by raw bytes."""

import asyncio
import contextlib
import io
import itertools
import time
from collections.abc import AsyncIterator

import av
import pytest

from bus_schemas.messages.live import (
    PublisherClaim,
    StreamControl,
    StreamDescribed,
    StreamLimits,
    StreamStarted,
    StreamStopped,
    TransmuxJob,
)
from bus_schemas.streams import JOBS, LIVE, LIVE_HEADERS, PUBLISHERS
from bus_schemas.subjects import JOBS_TRANSMUX, LIVE_CONTROL, LIVE_HEADER
from bus_schemas.tags import HEADER_SIZE, TagFlags, TagHeader
from media import flv, script
from runtime.emit import emit
from runtime.kv import Bucket
from tests.embedded import RunningServer, fresh_name
from tests.integration.ingest_worker import (
    HANDSHAKE_S,
    IDLE_S,
    PROMPT_S,
    Ingest,
    RawPublisher,
    push_by_libavformat,
    running,
    start_libavformat,
    until,
)
from tests.unit.ingest.rtmp_client import (
    HANDSHAKE,
    audio_frame,
    chunk,
    command,
    inter_frame,
    key_frame,
    opening,
)

pytestmark = pytest.mark.connected


@pytest.fixture
async def ingest(nats_url: str) -> AsyncIterator[Ingest]:
    async with running(nats_url, "n1") as worker:
        yield worker


async def test_what_libavformat_publishes_comes_out_as_tag_messages(ingest: Ingest) -> None:
    """H.264 with B-frames and AAC: headers first, key frames on their subject, DTS rising, an END."""
    stream = fresh_name("s")
    await ingest.add_key("k1", stream, room="r1")

    await push_by_libavformat(ingest.url("k1"), 2.0)
    await until(lambda: any(header.flags & TagFlags.END for header, _ in ingest.of(stream)))

    messages = ingest.of(stream)
    first, tags = messages[0]
    assert first.flags == TagFlags.KEY | TagFlags.HEADER
    assert [tag.type for tag in tags] == [18, 9, 8, 18, 9]
    assert script.read_numbers(tags[0].payload)[0] == "onMetaData"
    name, clock = script.read_numbers(tags[3].payload)
    assert name == "onClock"
    assert clock["dts"] == tags[4].timestamp_ms
    assert abs(clock["pdt"] - time.time() * 1000) < 60_000
    assert [header.sequence for header, _ in messages] == list(range(len(messages)))
    assert len({header.epoch for header, _ in messages}) == 1
    assert [header.dts_ms for header, _ in messages] == sorted(header.dts_ms for header, _ in messages)
    keys = [tags for header, tags in messages if header.flags & TagFlags.KEY]
    assert len(keys) == 2
    video = [tag for _, tags in messages for tag in tags if tag.type == 9 and tag.payload[1] == 1]
    assert len(video) == 50
    assert [tag.timestamp_ms for tag in video] == [number * 40 for number in range(50)]
    assert any(int.from_bytes(tag.payload[2:5], "big", signed=True) > 0 for tag in video)
    audio = [tag for _, tags in messages for tag in tags if tag.type == 8 and tag.payload[1] == 1]
    assert 85 <= len(audio) <= 89
    assert messages[-1][0].flags == TagFlags.END


async def test_the_bytes_that_viewers_copy_can_be_decoded(ingest: Ingest) -> None:
    """An FLV file header and the tags as they are: libavformat decodes picture and sound from them."""
    stream = fresh_name("s")
    await ingest.add_key("k2", stream)
    await push_by_libavformat(ingest.url("k2"), 1.0)
    await until(lambda: any(header.flags & TagFlags.END for header, _ in ingest.of(stream)))
    bodies = [data[HEADER_SIZE:] for subject, data in ingest.messages if subject.split(".")[2] == stream]

    copied = io.BytesIO(flv.file_header(audio=True, video=True) + b"".join(bodies))
    with av.open(copied, format="flv") as container:
        pictures = sum(1 for _ in container.decode(video=0))

    assert pictures == 25


async def test_a_publish_is_told_on_the_bus(ingest: Ingest) -> None:
    """A job for transmux, the header for those who join later, and started, metadata, stopped in this order."""
    stream = fresh_name("s")
    await ingest.add_key("k3", stream, room="r1")
    publisher = await RawPublisher.to(ingest.port)
    await publisher.publish("k3")
    publisher.send_headers()
    publisher.send_frame(key_frame(), 0)
    await until(lambda: ingest.of(stream))
    header = (await ingest.bus.js.get_last_msg(LIVE_HEADERS.name, LIVE_HEADER.at(stream=stream))).data
    claim = await Bucket(ingest.bus.js, PUBLISHERS).get(stream)

    publisher.writer.write(command("FCUnpublish", 6, None, "k3") + command("deleteStream", 7, None, 1.0))
    await until(lambda: any(header.flags & TagFlags.END for header, _ in ingest.of(stream)))
    await asyncio.sleep(0.1)
    events = await ingest.events(stream)
    await publisher.close()

    epoch = ingest.of(stream)[0][0].epoch
    assert header is not None
    assert TagHeader.unpack(header).flags == TagFlags.HEADER
    assert [tag.type for tag in flv.demux(memoryview(header)[HEADER_SIZE:])] == [18, 9, 8]
    assert claim is not None
    assert PublisherClaim.model_validate_json(claim.value).epoch == epoch
    job = await ingest.bus.js.get_last_msg(JOBS.name, JOBS_TRANSMUX.at(stream=stream))
    assert TransmuxJob.model_validate_json(job.data or b"") == TransmuxJob(
        stream=stream, epoch=epoch, room="r1"
    )
    assert isinstance(events[0], StreamStarted)
    assert events[0].epoch == epoch
    described = next(event for event in events if isinstance(event, StreamDescribed))
    assert (described.width, described.height, described.sample_rate) == (160, 120, 44100)
    assert isinstance(events[-1], StreamStopped)
    assert events[-1].reason == "unpublished"
    assert await Bucket(ingest.bus.js, PUBLISHERS).get(stream) is None
    with pytest.raises(Exception, match="no message found"):
        await ingest.bus.js.get_last_msg(LIVE_HEADERS.name, LIVE_HEADER.at(stream=stream))


async def test_audio_alone_comes_in_short_messages(ingest: Ingest) -> None:
    """Without video no message holds more than 50 ms, and decoding may start at least each 2 s."""
    stream = fresh_name("s")
    await ingest.add_key("k4", stream)

    await push_by_libavformat(ingest.url("k4"), 5.0, "--no-video")
    await until(lambda: any(header.flags & TagFlags.END for header, _ in ingest.of(stream)))

    messages = [message for message in ingest.of(stream) if message[1]]
    assert messages[0][0].flags == TagFlags.KEY | TagFlags.HEADER
    for _, tags in messages:
        sound = [tag.timestamp_ms for tag in tags if tag.type == 8]
        assert sound[-1] - sound[0] < 50
    keys = [header.dts_ms for header, _ in messages if header.flags & TagFlags.KEY]
    assert len(keys) == 3
    assert all(b - a <= 2_050 for a, b in itertools.pairwise(keys))


async def test_a_wrong_key_is_refused_in_words(ingest: Ingest) -> None:
    """onStatus names the reason, and the connection is closed within a second."""
    publisher = await RawPublisher.to(ingest.port)
    publisher.writer.write(HANDSHAKE + opening(name="nobody-knows-this"))

    took = await publisher.read_to_end()

    assert b"NetStream.Publish.Denied" in publisher.answers
    assert b"unknown stream key" in publisher.answers
    assert took < PROMPT_S
    assert ingest.counted("matinee_ingest_refused_total", reason="wrong_key") == 1
    await publisher.close()
    assert await push_by_libavformat(ingest.url("neither-this"), 0.5) != 0


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "protocol"),
        (HANDSHAKE[:700], "handshake_timeout"),
        (HANDSHAKE + opening()[:60], "handshake_timeout"),
        (HANDSHAKE + chunk(1, (1).to_bytes(4, "big")), "protocol"),
        (HANDSHAKE + b"\x03" + bytes(3) + (12 << 20).to_bytes(3, "big") + b"\x09" + bytes(4), "protocol"),
    ],
    ids=["http", "half a handshake", "half a connect", "chunk size 1", "a message of 12 MB"],
)
async def test_bad_input_closes_its_own_connection_only(ingest: Ingest, sent: bytes, reason: str) -> None:
    """Garbage, half a handshake, chunk size 1, an oversized message: closed and counted, nobody else notices."""
    stream = fresh_name("s")
    await ingest.add_key(stream, stream)
    good = await RawPublisher.to(ingest.port)
    await good.publish(stream)
    bad = await RawPublisher.to(ingest.port)

    bad.writer.write(sent)
    took = await bad.read_to_end()
    good.send_headers()
    good.send_frame(key_frame(), 0)
    await until(lambda: ingest.of(stream))

    assert took < HANDSHAKE_S + PROMPT_S
    assert ingest.counted("matinee_ingest_closed_total", reason=reason) == 1
    await bad.close()
    await good.close()


async def test_a_message_of_12_mb_within_a_publish_is_refused_in_words(ingest: Ingest) -> None:
    """Its header is enough: the publisher is told, closed and counted."""
    stream = fresh_name("s")
    await ingest.add_key(stream, stream)
    publisher = await RawPublisher.to(ingest.port)
    await publisher.publish(stream)

    publisher.writer.write(
        b"\x06" + bytes(3) + (12 << 20).to_bytes(3, "big") + b"\x09\x01\0\0\0" + bytes(99_999)
    )
    took = await publisher.read_to_end()

    assert took < PROMPT_S
    assert b"a message of 12582912 bytes, at most 8388608" in publisher.answers
    assert ingest.counted("matinee_ingest_closed_total", reason="protocol") == 1
    await publisher.close()


async def test_a_second_publisher_with_the_same_key_takes_over(ingest: Ingest) -> None:
    """The newest wins under a later epoch, the old one is told within a second; the timeline goes on."""
    stream = fresh_name("s")
    await ingest.add_key(stream, stream)
    old = await RawPublisher.to(ingest.port)
    await old.publish(stream)
    old.send_headers()
    old.send_frame(key_frame(), 5_000)
    await until(lambda: ingest.of(stream))

    new = await RawPublisher.to(ingest.port)
    await new.publish(stream)
    took = await old.read_to_end()
    new.send_headers()
    new.send_frame(key_frame(), 70_000)
    await until(lambda: len(ingest.of(stream)) == 2)

    (first, _), (second, tags) = ingest.of(stream)
    assert took < PROMPT_S
    assert b"NetStream.Publish.BadName" in old.answers
    assert second.epoch > first.epoch
    assert second.sequence == 0
    assert second.flags == TagFlags.KEY | TagFlags.HEADER
    assert second.generation == first.generation
    assert 100 <= second.dts_ms - first.dts_ms < 3_000
    assert tags[-1].timestamp_ms == second.dts_ms
    assert ingest.counted("matinee_ingest_closed_total", reason="replaced") == 1
    await old.close()
    await new.close()


async def test_encoders_that_fight_for_a_key_are_stopped(ingest: Ingest) -> None:
    """After three takeovers in 30 s the newcomer gets BadName, and who publishes is left alone."""
    stream = fresh_name("s")
    await ingest.add_key(stream, stream)
    publishers = [await RawPublisher.to(ingest.port) for _ in range(5)]
    for publisher in publishers[:4]:
        await publisher.publish(stream)

    publishers[4].writer.write(HANDSHAKE + opening(name=stream))
    await publishers[4].read_to_end()
    publishers[3].send_headers()
    publishers[3].send_frame(key_frame(), 0)
    await until(lambda: ingest.of(stream))

    assert b"NetStream.Publish.BadName" in publishers[4].answers
    assert b"too many takeovers" in publishers[4].answers
    for publisher in publishers:
        await publisher.close()


async def test_a_key_that_refuses_keeps_its_first_publisher(ingest: Ingest) -> None:
    """`on_conflict: refuse`: the second publisher gets BadName."""
    stream = fresh_name("s")
    await ingest.add_key(stream, stream, on_conflict="refuse")
    first, second = await RawPublisher.to(ingest.port), await RawPublisher.to(ingest.port)
    await first.publish(stream)

    second.writer.write(HANDSHAKE + opening(name=stream))
    await second.read_to_end()

    assert b"NetStream.Publish.BadName" in second.answers
    await first.close()
    await second.close()


async def test_a_lost_link_says_nothing_and_its_return_goes_on(ingest: Ingest) -> None:
    """No END after a cut: the publisher comes back with the timeline continued by the time that passed."""
    stream = fresh_name("s")
    await ingest.add_key(stream, stream)
    for number in range(2):
        publisher = await RawPublisher.to(ingest.port)
        await publisher.publish(stream)
        publisher.send_headers()
        publisher.send_frame(key_frame(), 0)
        publisher.send_frame(audio_frame(), 20, kind=8)
        publisher.send_frame(inter_frame(), 40)
        await until(lambda count=(number + 1) * 2: len(ingest.of(stream)) == count)
        publisher.writer.transport.abort()
        await until(lambda: ingest.counted("matinee_ingest_connections", protocol="rtmp") == 0)

    headers = [header for header, _ in ingest.of(stream)]
    assert not any(header.flags & (TagFlags.END | TagFlags.DISCONTINUITY) for header in headers)
    assert headers[2].epoch > headers[0].epoch
    assert headers[2].dts_ms >= headers[1].dts_ms + 100
    assert headers[2].generation == headers[0].generation


async def test_a_worker_that_stops_leaves_its_streams_to_another(ingest: Ingest, nats_url: str) -> None:
    """Its publishers are closed without END, the claim is free, and the next worker goes on with the timeline."""
    stream = fresh_name("s")
    await ingest.add_key(stream, stream)
    async with running(nats_url, "n2") as leaving:
        publisher = await RawPublisher.to(leaving.port)
        await publisher.publish(stream)
        publisher.send_headers()
        publisher.send_frame(key_frame(), 0)
        await until(lambda: ingest.of(stream))
    took = await publisher.read_to_end()
    claim = await Bucket(ingest.bus.js, PUBLISHERS).get(stream)

    again = await RawPublisher.to(ingest.port)
    await again.publish(stream)
    again.send_headers()
    again.send_frame(key_frame(), 0)
    await until(lambda: len(ingest.of(stream)) == 2)

    (first, _), (second, _) = ingest.of(stream)
    assert took < PROMPT_S
    assert claim is None
    assert second.flags == TagFlags.KEY | TagFlags.HEADER
    assert second.epoch > first.epoch
    assert second.dts_ms >= first.dts_ms + 100
    await publisher.close()
    await again.close()


async def test_a_kick_ends_the_stream(ingest: Ingest) -> None:
    """An order on `live.control.{stream}`: the publisher is told why, END and stopped follow."""
    stream = fresh_name("s")
    await ingest.add_key(stream, stream)
    publisher = await RawPublisher.to(ingest.port)
    await publisher.publish(stream)
    publisher.send_headers()
    publisher.send_frame(key_frame(), 0)
    await until(lambda: ingest.of(stream))

    await emit(ingest.bus, LIVE_CONTROL, StreamControl(stream=stream, reason="enough"), stream=stream)
    took = await publisher.read_to_end()
    await until(lambda: ingest.of(stream)[-1][0].flags & TagFlags.END)
    await asyncio.sleep(0.1)

    assert took < PROMPT_S
    assert b"enough" in publisher.answers
    stopped = (await ingest.events(stream))[-1]
    assert isinstance(stopped, StreamStopped)
    assert stopped.reason == "kicked"
    await publisher.close()


async def test_a_codec_that_is_not_carried_is_refused_in_words(ingest: Ingest) -> None:
    """Sorenson's H.263: the publisher reads what to change."""
    stream = fresh_name("s")
    await ingest.add_key(stream, stream)
    publisher = await RawPublisher.to(ingest.port)
    await publisher.publish(stream)

    publisher.send_headers()
    publisher.send_frame(key_frame(), 0)
    await until(lambda: ingest.of(stream))
    publisher.send_frame(b"\x12" + bytes(20), 0)
    await publisher.read_to_end()

    assert b"set the encoder to one of them" in publisher.answers
    await until(lambda: any(header.flags & TagFlags.END for header, _ in ingest.of(stream)))
    stopped = (await ingest.events(stream))[-1]
    assert isinstance(stopped, StreamStopped)
    assert stopped.reason == "codec"
    await publisher.close()


async def test_a_key_limits_the_bitrate(ingest: Ingest) -> None:
    """Above the key's limit the publisher is read only as fast as it allows."""
    stream = fresh_name("s")
    await ingest.add_key(stream, stream, limits=StreamLimits(bitrate_kbps=800).model_dump())
    publisher = await RawPublisher.to(ingest.port)
    await publisher.publish(stream)
    publisher.send_headers()
    publisher.send_frame(key_frame(), 0)
    big = chunk(9, inter_frame(1 << 20), timestamp=40, stream_id=1, chunk_stream=13)
    publisher.writer.write(big)

    await until(lambda: len(ingest.of(stream)) == 2)
    began = time.monotonic()
    publisher.send_frame(inter_frame(), 80)
    await until(lambda: len(ingest.of(stream)) == 3)

    assert time.monotonic() - began > 0.5
    await publisher.close()


async def test_a_silent_publisher_is_closed(ingest: Ingest) -> None:
    """Some seconds of silence, by this test's setting: closed as idle."""
    stream = fresh_name("s")
    await ingest.add_key(stream, stream)
    publisher = await RawPublisher.to(ingest.port)
    await publisher.publish(stream)

    took = await publisher.read_to_end()

    assert IDLE_S - 0.5 < took < IDLE_S + PROMPT_S
    assert ingest.counted("matinee_ingest_closed_total", reason="idle") == 1
    await publisher.close()


async def test_a_stream_goes_on_after_nats_was_killed(ingest: Ingest, nats_server: RunningServer) -> None:
    """The memory stream vanished: it is made again, headers and the last group of pictures go out, none is lost."""
    stream = fresh_name("s")
    await ingest.add_key(stream, stream)
    sender = await start_libavformat(ingest.url(stream), 5.0, "--paced")
    await until(lambda: len(ingest.of(stream)) > 30)

    nats_server.kill()
    await asyncio.sleep(0.7)
    await asyncio.to_thread(nats_server.start)
    await until(lambda: ingest.of(stream)[-1][0].flags & TagFlags.END, within=20)
    assert await sender.wait() == 0

    stored = []
    for subject in ("key", "delta"):
        subscription = await ingest.bus.js.subscribe(
            f"live.tags.{stream}.{subject}", stream=LIVE.name, ordered_consumer=True
        )
        with contextlib.suppress(TimeoutError):
            while True:
                stored.append(TagHeader.unpack((await subscription.next_msg(timeout=0.3)).data))
        await subscription.unsubscribe()
    stored.sort(key=lambda header: header.sequence)
    heard = {header.sequence for header, _ in ingest.of(stream)}
    assert stored[0].flags & TagFlags.KEY
    assert [header.sequence for header in stored] == list(range(stored[0].sequence, stored[-1].sequence + 1))
    assert set(range(stored[-1].sequence + 1)) == heard | set(
        range(stored[0].sequence, stored[-1].sequence + 1)
    )
    assert len({header.epoch for header in stored}) == 1
