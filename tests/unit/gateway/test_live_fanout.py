"""One stream to many sockets."""

import asyncio
import itertools
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, Counter

from gateway.live.fanout import BITE, ENDING_S, FULL, Ending, Fanout, Viewer, join_window_s
from gateway.live.framing import Framing, chunk, framed
from media.ring import Ring
from tests.unit.gateway.live_sources import HEADERS, inter_frame, key_frame

STALL_S = 10.0
_names = itertools.count()


class Clock:
    """A loop as far as the fan-out knows one: a clock, and timers that run when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> "Timer":
        timer = (when, callback)
        self.timers.append(timer)
        return Timer(self, timer)

    def pass_time(self, seconds: float) -> None:
        """Run what falls due within so many seconds, each at its time."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            timer = min(due, key=lambda one: one[0])
            self.timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[1]()
        self.now = end


class Timer:
    """One of its timers."""

    def __init__(self, clock: Clock, timer: tuple[float, Callable[[], None]]) -> None:
        self.clock = clock
        self.timer = timer

    def cancel(self) -> None:
        if self.timer in self.clock.timers:
            self.clock.timers.remove(self.timer)


class Socket:
    """A transport that keeps what it is given; `stuck` takes nothing."""

    def __init__(self, *, stuck: bool = False) -> None:
        self.stuck = stuck
        self.written: list[bytes] = []
        self.waiting = 0
        self.closing = False

    def write(self, data: bytes) -> None:
        self.written.append(data)
        if self.stuck:
            self.waiting += len(data)

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return self.closing


class Stream:
    """A ring, its fan-out and a clock."""

    def __init__(self, **bounds: int) -> None:
        self.clock = Clock()
        self.ring = Ring(
            seconds=15,
            max_bytes=bounds.get("max_bytes", 64 << 20),
            max_messages=bounds.get("max_messages", 4_000),
        )
        self.counters = [
            Counter(f"c{next(_names)}", "of a test", registry=CollectorRegistry()) for _ in range(3)
        ]
        sent, drops, stalled = self.counters
        self.fanout = Fanout(
            self.ring,
            self.clock,  # type: ignore[arg-type]
            stall_s=STALL_S,
            sent_bytes=sent,
            drops=drops,
            stalled=stalled,
        )
        self.ring.set_header(HEADERS)
        self.dts = 0

    def frame(self, *, key: bool = False, size: int = 10) -> bytes:
        """Publish the next frame, 40 ms after the one before."""
        tags = (key_frame if key else inter_frame)(self.dts, bytes(size))
        self.ring.append(tags, self.dts, key=key)
        self.fanout.notice()
        self.dts += 40
        return tags

    async def join(self, socket: Socket, framing: Framing = Framing.CHUNKED) -> Viewer:
        done: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        viewer = Viewer(socket, done, framing)  # type: ignore[arg-type]
        self.fanout.add(viewer)
        return viewer

    def counted(self, which: int) -> float:
        value: float = self.counters[which]._value.get()
        return value


def body(socket: Socket) -> bytes:
    """What a client has after undoing HTTP's chunked coding."""
    data = b"".join(socket.written)
    found = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        found += data[:length]
        assert data[length : length + 2] == b"\r\n"
        data = data[length + 2 :]
    return found


async def test_a_newcomer_gets_headers_and_the_newest_key_frame_at_once() -> None:
    """In the middle of a group of pictures the first write begins with headers and its key frame."""
    stream = Stream()
    stream.frame(key=True)
    frames = [stream.frame(key=True), stream.frame(), stream.frame()]
    socket = Socket()

    await stream.join(socket)

    assert body(socket).endswith(b"".join(frames))
    assert body(socket)[: -len(b"".join(frames))].count(b"onMetaData") == 1


async def test_viewers_at_the_edge_are_given_the_same_buffer() -> None:
    """A frame is put together once, however many watch."""
    stream = Stream()
    stream.frame(key=True)
    sockets = [Socket() for _ in range(5)]
    for socket in sockets:
        await stream.join(socket)

    tags = stream.frame()

    last = [socket.written[-1] for socket in sockets]
    assert last[0] == chunk(tags)
    assert all(one is last[0] for one in last)


async def test_connections_that_want_another_framing_share_a_buffer_of_their_own() -> None:
    """Beside HTTP viewers all WebSocket viewers get one binary message, made once."""
    stream = Stream()
    stream.frame(key=True)
    http, *sockets = (Socket() for _ in range(4))
    await stream.join(http)
    for socket in sockets:
        await stream.join(socket, Framing.SOCKET)

    tags = stream.frame(size=200)

    assert http.written[-1] == chunk(tags)
    assert sockets[0].written[-1] == b"\x82\x7e" + len(tags).to_bytes(2, "big") + tags
    assert all(socket.written[-1] is sockets[0].written[-1] for socket in sockets)


async def test_an_http_1_0_viewer_gets_plain_bytes() -> None:
    """Who does not know the chunked coding gets the tags as they are."""
    stream = Stream()
    stream.frame(key=True)
    socket = Socket()
    await stream.join(socket, Framing.PLAIN)

    tags = stream.frame()

    assert socket.written[-1] == tags


@pytest.mark.parametrize(("viewers", "window"), [(0, 0.0), (50, 0.0), (275, 0.05), (500, 0.1), (5_000, 0.1)])
def test_the_join_window_grows_with_the_viewers(viewers: int, window: float) -> None:
    """Few viewers get each frame at once, many share writes."""
    assert join_window_s(viewers) == pytest.approx(window)


async def test_what_arrives_within_the_join_window_is_one_write() -> None:
    """Five hundred viewers get 100 ms of frames in one buffer, and nobody misses any."""
    stream = Stream()
    stream.frame(key=True)
    sockets = [Socket() for _ in range(500)]
    for socket in sockets:
        await stream.join(socket)
    stream.clock.pass_time(1)
    before = len(sockets[0].written)

    stream.clock.now += 0.2
    tags = [stream.frame()]
    for _ in range(3):
        stream.clock.pass_time(0.03)
        tags.append(stream.frame())
    stream.clock.pass_time(0.02)

    assert sockets[0].written[before:] == [chunk(tags[0]), chunk(b"".join(tags[1:]))]
    assert all(body(socket) == body(sockets[0]) for socket in sockets)


async def test_one_slow_viewer_does_not_shorten_the_join_window_of_the_others() -> None:
    """Who is behind is looked after by himself."""
    stream = Stream()
    stream.frame(key=True, size=FULL)
    slow = Socket(stuck=True)
    await stream.join(slow)
    sockets = [Socket() for _ in range(499)]
    for socket in sockets:
        await stream.join(socket)
    stream.clock.pass_time(1)
    stream.frame()
    before = len(sockets[0].written)

    for _ in range(5):
        stream.clock.pass_time(0.018)
        stream.frame()

    assert len(sockets[0].written) - before <= 1


async def test_a_slow_viewer_holds_a_bounded_amount_and_misses_nothing_he_can_still_have() -> None:
    """He gets no more than a full buffer, and the rest in order once he takes it."""
    stream = Stream()
    tags = stream.frame(key=True, size=1_000)
    socket = Socket(stuck=True)
    await stream.join(socket)
    for _ in range(100):
        tags += stream.frame(size=10_000)
    assert socket.waiting <= FULL + BITE + 20_000

    socket.stuck, socket.waiting = False, 0
    stream.clock.pass_time(0.1)

    assert body(socket).endswith(tags)
    assert stream.counted(1) == 0


async def test_who_falls_out_of_the_ring_jumps_to_the_newest_key_frame_headers_first() -> None:
    """The jump is counted, and what follows it can be decoded."""
    stream = Stream(max_messages=20)
    stream.frame(key=True, size=FULL + 1)
    socket = Socket(stuck=True)
    viewer = await stream.join(socket)
    for _ in range(30):
        stream.frame()
    tail = stream.frame(key=True) + stream.frame()
    before = len(body(socket))

    socket.stuck, socket.waiting = False, 0
    stream.clock.pass_time(0.1)

    after = body(socket)[before:]
    assert after.endswith(tail)
    assert after[: -len(tail)].count(b"onMetaData") == 1
    assert (viewer.drops, stream.counted(1)) == (1, 1)


async def test_a_viewer_who_takes_nothing_is_closed() -> None:
    """A stalled connection does not stay for ever; one that takes a little does."""
    stream = Stream()
    stream.frame(key=True, size=FULL + 1)
    stuck, slow = Socket(stuck=True), Socket(stuck=True)
    closed, kept = await stream.join(stuck), await stream.join(slow)

    for _ in range(12):
        slow.waiting -= 1
        stream.clock.pass_time(1)

    assert closed.done.result() is Ending.STALLED
    assert not kept.done.done()
    assert stream.counted(2) == 1


async def test_a_viewer_who_left_is_noticed_without_any_frame() -> None:
    """During a publisher's silence connections that are gone are let go."""
    stream = Stream()
    stream.frame(key=True)
    socket = Socket()
    viewer = await stream.join(socket)
    socket.closing = True

    stream.clock.pass_time(1.5)

    assert viewer.done.result() is Ending.GONE
    assert not stream.fanout.viewers
    assert not stream.clock.timers


async def test_who_comes_before_the_first_key_frame_waits_for_it() -> None:
    """Nothing that cannot be decoded is sent."""
    stream = Stream()
    socket = Socket()
    await stream.join(socket)
    stream.frame()
    assert socket.written == []

    tags = stream.frame(key=True) + stream.frame()

    stream.clock.pass_time(0.1)
    assert body(socket).endswith(tags)


async def test_at_the_end_everybody_gets_what_there_is() -> None:
    """A viewer at the edge is ended at once, one who is behind when he has the rest, a dead one after a while."""
    stream = Stream()
    stream.frame(key=True, size=FULL + 1)
    sockets = [Socket(), Socket(stuck=True), Socket(stuck=True)]
    viewers = [await stream.join(socket) for socket in sockets]
    tags = stream.frame()

    stream.fanout.finish()
    at_once = [viewer.done.done() for viewer in viewers]
    sockets[1].stuck, sockets[1].waiting = False, 0
    stream.clock.pass_time(ENDING_S + 1)

    assert at_once == [True, False, False]
    assert [viewer.done.result() for viewer in viewers] == [Ending.ENDED, Ending.ENDED, Ending.STALLED]
    assert body(sockets[1]).endswith(tags)


def test_an_empty_chunk_is_never_written() -> None:
    """A chunk of length zero would end the response, an empty message says nothing."""
    assert [framed(b"", framing) for framing in Framing] == [b"", b"", b""]
    assert chunk(b"") == b""
    assert chunk(b"abc") == b"3\r\nabc\r\n"
