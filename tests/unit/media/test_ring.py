"""The ring a viewer's cursor walks."""

from hypothesis import given
from hypothesis import strategies as st

from media.ring import NOWHERE, Ring


def make_ring(*, seconds: float = 10, max_bytes: int = 1_000, max_messages: int = 100) -> Ring:
    return Ring(seconds=seconds, max_bytes=max_bytes, max_messages=max_messages)


def test_a_reader_gets_every_message_once_and_in_order() -> None:
    """A cursor walked to the head sees all messages, whatever the size of its bites."""
    ring = make_ring()
    for number in range(10):
        ring.append(bytes([number]) * 3, number * 40, key=number == 0)
    taken: list[bytes] = []
    cursor = 0

    while cursor < ring.head:
        some, cursor = ring.read(cursor, 7)
        taken += some

    assert taken == [bytes([number]) * 3 for number in range(10)]


def test_a_bite_holds_at_least_one_message() -> None:
    """A message larger than the bite is still delivered."""
    ring = make_ring()
    ring.append(b"x" * 500, 0, key=True)

    assert ring.read(0, 10) == ([b"x" * 500], 1)


def test_who_begins_begins_at_the_newest_key_message() -> None:
    """A newcomer starts where decoding may start, not at the oldest message."""
    ring = make_ring()
    for number in range(6):
        ring.append(b"x", number * 40, key=number in (0, 4))

    assert ring.resume(NOWHERE) == 4


def test_without_a_key_message_there_is_nowhere_to_begin() -> None:
    """A newcomer waits when no key message is held."""
    ring = make_ring(max_messages=2)
    for number in range(5):
        ring.append(b"x", number * 40, key=number == 0)

    assert ring.newest_key is None
    assert ring.resume(NOWHERE) is None
    assert ring.resume(4) == 4


def test_who_fell_out_jumps_to_the_newest_key_message() -> None:
    """A cursor older than the oldest message goes on at the newest key message."""
    ring = make_ring(max_messages=4)
    for number in range(10):
        ring.append(b"x", number * 40, key=number in (0, 8))

    assert ring.tail == 6
    assert ring.resume(2) == 8
    assert ring.resume(7) == 7


def test_seconds_never_forget_the_newest_group_of_pictures() -> None:
    """In a group of pictures longer than the ring one can still begin at its key frame."""
    ring = make_ring(seconds=1, max_messages=200)
    ring.append(b"old", 0, key=True)
    ring.append(b"key", 500, key=True)
    for number in range(100):
        ring.append(b"x", 540 + number * 40, key=False)

    assert ring.newest_key == 1
    assert ring.tail == 1


def test_bytes_hold_in_any_case() -> None:
    """A stream of enormous frames cannot fill the memory."""
    ring = make_ring(max_bytes=100)
    for number in range(10):
        ring.append(b"x" * 40, number * 40, key=number == 0)

    assert ring.bytes <= 100
    assert ring.newest_key is None


def test_one_message_larger_than_the_ring_is_held() -> None:
    """A single key frame over the bound can still be delivered."""
    ring = make_ring(max_bytes=100)

    ring.append(b"x" * 400, 0, key=True)

    assert ring.read(0, 10)[1] == 1


def test_headers_are_those_of_the_message_one_begins_at() -> None:
    """After a change of codec, who begins gets the headers of his first message, and none if it has its own."""
    ring = make_ring()
    ring.set_header(b"first")
    before = ring.append(b"x", 0, key=True)
    ring.set_header(b"second")
    change = ring.append(b"second+x", 40, key=True, inline=True)
    after = ring.append(b"x", 80, key=True)

    assert ring.header_at(before) == b"first"
    assert ring.header_at(change) == b""
    assert ring.header_at(after) == b"second"
    assert ring.header == b"second"


@given(
    st.lists(st.tuples(st.integers(0, 60), st.booleans(), st.integers(0, 200)), max_size=80),
    st.integers(1, 20),
    st.integers(1, 300),
)
def test_whatever_is_appended_the_bounds_and_numbers_hold(
    messages: list[tuple[int, bool, int]], max_messages: int, max_bytes: int
) -> None:
    """Counts, bytes and the newest key message always agree with what is held."""
    ring = make_ring(seconds=1, max_bytes=max_bytes, max_messages=max_messages)
    kept: list[tuple[bytes, bool]] = []
    dts = 0

    for step, key, size in messages:
        dts += step
        ring.append(bytes(size), dts, key=key)
        kept.append((bytes(size), key))

    held = kept[ring.tail : ring.head]
    assert ring.head == len(kept)
    assert len(held) <= max_messages
    assert ring.bytes == sum(len(data) for data, _ in held)
    assert ring.bytes <= max_bytes or len(held) == 1
    keys = [ring.tail + at for at, (_, key) in enumerate(held) if key]
    assert ring.newest_key == (keys[-1] if keys else None)
    assert ring.read(ring.tail, 1 << 40) == ([data for data, _ in held], ring.head)
