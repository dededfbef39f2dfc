"""The players of one ring: shared bytes, key-frame-aware drops, a bound for those who take nothing."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from prometheus_client import CollectorRegistry, Counter

from media import flv
from media.ring import Ring
from media.timeline import stamp
from workers.ingest.audience import FULL, Audience, AudienceCounters, Ending
from workers.ingest.rtmp.playing import encode_tags

HEADER = flv.mux(flv.TagType.VIDEO, 0, b"\x17\x00header")


class Loop:
    """The clock and the timers an audience asks for, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[..., None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., None]) -> Any:
        self.timers.append((self.now + delay, callback))
        return object()

    def move(self, seconds: float) -> None:
        """Let time pass, timers included."""
        end = self.now + seconds
        while due := sorted(timer for timer in self.timers if timer[0] <= end):
            self.timers.remove(due[0])
            self.now = due[0][0]
            due[0][1]()
        self.now = end


class Listener:
    """A player whose socket takes what it is told to."""

    def __init__(self, stream_id: int = 1) -> None:
        self.stream_id = stream_id
        self.sent: list[bytes] = []
        self.blocked = 0
        self.ending: Ending | None = None

    def send(self, chunks: bytes) -> None:
        self.sent.append(chunks)

    def waiting(self) -> int:
        return self.blocked

    def over(self, ending: Ending) -> None:
        self.ending = ending


class Stage:
    """An audience with its ring."""

    def __init__(self, max_messages: int = 8) -> None:
        self.loop = Loop()
        registry = CollectorRegistry()
        self.counters = AudienceCounters(
            *(Counter(name, name, registry=registry) for name in ("a", "b", "c"))
        )
        self.ring = Ring(seconds=60, max_bytes=1 << 30, max_messages=max_messages)
        self.ring.set_header(HEADER)
        self.audience = Audience(
            self.ring,
            cast("asyncio.AbstractEventLoop", self.loop),
            stall_s=5,
            counters=self.counters,
            stamp=stamp,
        )

    def append(self, *names: str) -> None:
        """Messages by name; those in capitals are key frames."""
        for name in names:
            self.ring.append(name.encode(), 40 * self.ring.head, key=name.isupper())
            self.audience.notice()

    def counted(self, counter: Counter) -> float:
        return float(counter._value.get())


def shown(listener: Listener) -> str:
    """What a player got; `|` for headers."""
    return "".join("|" if b"header" in data else data.decode() for data in listener.sent)


def test_a_player_begins_at_the_newest_key_frame_with_headers_of_its_time() -> None:
    """And goes on with what comes."""
    stage, listener = Stage(), Listener()
    stage.append("A", "b", "C", "d")

    stage.audience.add(listener)
    stage.append("e")

    assert shown(listener) == "|Cde"
    assert listener.sent[0] == encode_tags(stamp(HEADER, 80))


def test_players_at_the_edge_share_one_buffer() -> None:
    """The very same bytes object."""
    stage, one, two = Stage(), Listener(), Listener()
    stage.append("A")
    stage.audience.add(one)
    stage.audience.add(two)

    stage.append("b")

    assert one.sent[-1] is two.sent[-1]


def test_one_who_waits_for_the_first_key_frame_gets_it() -> None:
    """Added to a stream that has not begun."""
    stage, listener = Stage(), Listener()
    stage.audience.add(listener)
    stage.append("a")
    stage.append("B")

    assert shown(listener) == "|B"


def test_a_slow_player_falls_to_the_newest_key_frame_and_is_counted() -> None:
    """Out of the ring: headers, key frame, no delta without its key; the others lose nothing."""
    stage, slow, fast = Stage(max_messages=4), Listener(), Listener()
    stage.append("A")
    stage.audience.add(slow)
    stage.audience.add(fast)
    slow.blocked = FULL + 1
    stage.append("b", "c", "d", "e", "F", "g")

    slow.blocked = 0
    stage.loop.move(0.1)

    assert shown(slow) == "|A|Fg"
    assert shown(fast) == "|AbcdeFg"
    assert stage.counted(stage.counters.drops) == 1
    assert stage.audience.drops(slow) == 1


def test_a_slow_player_who_is_still_in_the_ring_loses_nothing() -> None:
    """He catches up."""
    stage, slow = Stage(), Listener()
    stage.append("A")
    stage.audience.add(slow)
    slow.blocked = FULL + 1
    stage.append("b", "c")

    slow.blocked = 0
    stage.append("d")

    assert shown(slow) == "|Abcd"
    assert stage.counted(stage.counters.drops) == 0


def test_one_who_takes_nothing_is_given_up() -> None:
    """After the bound; who takes a little is not."""
    stage, stuck, slow = Stage(), Listener(), Listener()
    stage.append("A")
    stage.audience.add(stuck)
    stage.audience.add(slow)
    stuck.blocked = slow.blocked = 2 * FULL
    for _ in range(60):
        stage.append("b")
        slow.blocked -= 100
        stage.loop.move(0.1)

    assert (stuck.ending, slow.ending) == (Ending.STALLED, None)
    assert len(stage.audience) == 1
    assert stage.counted(stage.counters.stalled) == 1


def test_at_the_end_everybody_gets_what_there_is() -> None:
    """At the edge one hears of it at once, behind once the socket took the rest, stuck after 5 s."""
    stage, quick, slow, stuck = Stage(), Listener(), Listener(), Listener()
    stage.append("A")
    for listener in (quick, slow, stuck):
        stage.audience.add(listener)
    slow.blocked = stuck.blocked = FULL + 1
    stage.append("b")

    stage.audience.finish()
    at_once = (quick.ending, slow.ending, stuck.ending)
    slow.blocked = FULL
    stage.loop.move(1)
    given = (shown(slow), slow.ending)
    slow.blocked = 0
    stage.loop.move(1)
    later = (shown(slow), slow.ending, stuck.ending)
    stage.loop.move(6)

    assert at_once == (Ending.ENDED, None, None)
    assert given == ("|Ab", None)
    assert later == ("|Ab", Ending.ENDED, None)
    assert stuck.ending in (Ending.ENDED, Ending.STALLED)


def test_many_players_get_several_messages_in_one_write() -> None:
    """Above 50 arrivals are gathered for a moment, at most 100 ms."""
    stage = Stage()
    stage.append("A")
    listeners = [Listener() for _ in range(500)]
    for listener in listeners:
        stage.audience.add(listener)
    stage.loop.move(0.2)

    stage.append("b", "c")
    before = shown(listeners[0])
    stage.loop.move(0.1)

    assert before == "|A"
    assert [shown(listener) for listener in listeners] == ["|Abc"] * 500
    assert listeners[0].sent[-1] == b"bc"


def test_one_who_left_gets_nothing() -> None:
    """Removed twice is removed once."""
    stage, listener = Stage(), Listener()
    stage.append("A")
    stage.audience.add(listener)
    stage.audience.remove(listener)
    stage.audience.remove(listener)
    stage.append("b")

    assert shown(listener) == "|A"
