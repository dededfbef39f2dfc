"""One room's events at one gateway: order, memory, who gets what."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus_schemas.permissions import EVERYTHING, NOTHING, Permission
from gateway.ws.channel import DANMAKU_S, KEPT_EVENTS, SETTLE_S, Channel, Place
from gateway.ws.events import Marks, RoomEventFrame, render
from gateway.ws.outgoing import Outgoing


class Reader:
    """A socket that takes everything."""

    def __init__(self, permissions: Permission = EVERYTHING) -> None:
        self.taken: list[bytes] = []
        self.outgoing = Outgoing(self, lambda: None)
        self.permissions = permissions

    def write(self, data: bytes) -> None:
        """Cut into frames (RFC 6455, 5.2): several may come at once."""
        while data:
            size, start = (data[1], 2) if data[1] < 126 else (int.from_bytes(data[2:4], "big"), 4)
            self.taken.append(data[: start + size])
            data = data[start + size :]

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def seqs(self) -> list[int]:
        return [json.loads(data[data.index(b"{") :])["seq"] for data in self.taken]


def chat(seq: int, message: str = "") -> RoomEventFrame:
    body = {"type": "chat", "message": {"id": message or f"m{seq}"}, "at": seq}
    found = render("r1", seq, json.dumps(body).encode())
    assert found is not None
    return found


def channel_at(position: int) -> Channel:
    channel = Channel("r1")
    channel.begin(position)
    return channel


@pytest.mark.parametrize(
    ("seq", "previous", "place"),
    [
        (10, 9, Place.OLD),
        (9, 3, Place.OLD),
        (11, 10, Place.NEXT),
        (40, 10, Place.NEXT),
        (40, 0, Place.NEXT),
        (40, 9, Place.NEXT),
        (40, 12, Place.BEYOND),
    ],
)
def test_the_chain_shows_what_is_missing(seq: int, previous: int, place: Place) -> None:
    """Numbers have holes of other rooms; only a forerunner that was not seen is a gap."""
    assert channel_at(10).place(seq, previous) is place


def test_one_event_is_the_same_bytes_for_everybody() -> None:
    """An event is rendered once, however many there are."""
    channel, readers = channel_at(0), [Reader(), Reader(), Reader()]
    for reader in readers:
        channel.admit(reader, Marks(after=0), [], now=0.0)
    channel.settle(now=SETTLE_S + 1)

    channel.take(event := chat(1))

    assert all(reader.taken == [event.wire] for reader in readers)


def test_a_newcomer_goes_on_exactly_where_his_snapshot_ends() -> None:
    """What happened while the snapshot was read follows it; nothing is missing, nothing comes twice."""
    channel, reader = channel_at(0), Reader()
    for seq in (1, 2, 3):
        channel.take(chat(seq))
    snapshot = Marks(after=1, messages=frozenset({"m1", "m2"}))

    later = channel.since(1)
    assert later is not None
    channel.admit(reader, snapshot, [event for event in later if not snapshot.cover(event)], now=0.0)
    channel.take(chat(4, "m2"))
    channel.take(chat(5))

    assert reader.seqs() == [3, 5]


def test_marks_are_forgotten_once_the_events_have_caught_up() -> None:
    """After a while a newcomer is like everybody else."""
    channel, reader = channel_at(0), Reader()
    channel.admit(reader, Marks(after=0, messages=frozenset({"m1"})), [], now=0.0)

    channel.settle(now=SETTLE_S + 1)
    channel.take(chat(1, "m1"))

    assert reader.seqs() == [1]


def test_one_who_is_ahead_of_this_gateway_is_not_told_again() -> None:
    """A client that resumed from another gateway has seen events that come here only now."""
    channel, reader = channel_at(5), Reader()
    channel.admit(reader, Marks(after=7), [], now=0.0)
    channel.settle(now=SETTLE_S * 100)

    for seq in (6, 7, 8):
        channel.take(chat(seq))

    assert reader.seqs() == [8]


def test_memory_is_bounded_and_says_where_it_begins() -> None:
    """The oldest events go first; asking for more than is kept gives None, never a gap."""
    channel = channel_at(0)
    for seq in range(1, KEPT_EVENTS + 11):
        channel.take(chat(seq))

    assert channel.since(9) is None
    kept = channel.since(10)
    assert kept is not None
    assert [event.seq for event in kept] == list(range(11, KEPT_EVENTS + 11))
    assert channel.since(KEPT_EVENTS + 10) == []
    assert channel.since(KEPT_EVENTS + 500) == []


@given(st.lists(st.integers(1, 5), min_size=1, max_size=40), st.integers(0, 200), st.data())
def test_resuming_anywhere_gives_every_event_once(steps: list[int], start: int, data: st.DataObject) -> None:
    """For any numbers with holes, what a client saw and what it is given later are together everything."""
    channel, seqs, seq = channel_at(start), [], start
    reader = Reader()
    for step in steps:
        seq += step
        seqs.append(seq)
    cut = data.draw(st.integers(0, len(seqs)))
    for number in seqs[:cut]:
        channel.take(chat(number))
    after = data.draw(st.integers(start, channel.position))

    missed = channel.since(after)
    assert missed is not None
    channel.admit(reader, Marks(after=missed[-1].seq if missed else after), missed, now=0.0)
    for number in seqs[cut:]:
        channel.take(chat(number))

    assert reader.seqs() == [number for number in seqs if number > after]


def test_events_are_only_for_those_who_may_see_them() -> None:
    """Without VIEW_MEMBER_LIST nobody hears who comes and goes; chat he hears."""
    channel = channel_at(0)
    outsider, insider = Reader(NOTHING), Reader(Permission.VIEW_MEMBER_LIST)
    for reader in (outsider, insider):
        channel.admit(reader, Marks(after=0), [], now=0.0)
    member = render("r1", 1, b'{"type":"member","change":"joined","at":1}')
    assert member is not None

    channel.take(member)
    channel.take(chat(2))

    assert outsider.seqs() == [2]
    assert insider.seqs() == [1, 2]


def test_one_who_left_hears_nothing_more() -> None:
    """Dismissed is dismissed, twice is once."""
    channel, reader = channel_at(0), Reader()
    channel.admit(reader, Marks(after=0), [], now=0.0)

    channel.dismiss(reader)
    channel.dismiss(reader)
    channel.take(chat(1))

    assert reader.taken == []


def test_danmaku_are_kept_for_seconds_and_once() -> None:
    """A newcomer is given the danmaku of the last ten seconds; a repeated one is not taken."""
    channel = channel_at(0)

    assert channel.add_danmaku(1, 1_000, {"text": "a"})
    assert channel.add_danmaku(2, 5_000, {"text": "b"})
    assert not channel.add_danmaku(2, 5_000, {"text": "b"})

    assert channel.recent_danmaku(1_000 + DANMAKU_S * 1_000 + 1) == [{"text": "b"}]
