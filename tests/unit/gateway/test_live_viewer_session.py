"""Who watches, by session."""

from bus_schemas.viewers import Protocol
from gateway.live.viewer_session import SILENT_MIN_S, Session, SessionBook


def session(name: str, stream: str = "s1", protocol: Protocol = Protocol.HLS) -> Session:
    """One that was seen at 0."""
    return Session(name, stream, protocol, "address", 0.0, 0.0, protocol in {Protocol.HLS, Protocol.DASH})


def test_viewers_are_counted_by_stream_and_protocol() -> None:
    """What nobody watches is left out."""
    book = SessionBook()
    sessions = [
        session("a"), session("b"), session("c", protocol=Protocol.FLV), session("d", "s2", Protocol.MP4),
    ]  # fmt: skip
    for one in sessions:
        book.add(one)
    book.remove(sessions[3])

    assert book.counts("s1") == {Protocol.HLS: 2, Protocol.FLV: 1}
    assert book.counts("s2") == {}
    assert book.totals() == {"s1": 3}
    assert len(book) == 3


def test_a_session_ends_once() -> None:
    """A second end is none, and does not end a later session of the same id."""
    book, one, later = SessionBook(), session("a"), session("a")
    book.add(one)

    assert book.remove(one)
    book.add(later)
    assert not book.remove(one)
    assert book.find(later.key) is later


def test_an_inferred_session_is_over_after_three_target_durations_of_silence() -> None:
    """And never before six seconds; one that is seen lives on."""
    book, short, long, seen = SessionBook(), session("short"), session("long"), session("seen")
    short.expect(1.0)
    long.expect(4.0)
    for one in (short, long, seen):
        book.add(one)
    seen.seen = 5.0

    assert book.silent(SILENT_MIN_S) == []
    assert book.silent(SILENT_MIN_S + 0.1) == [short]
    assert book.silent(12.1) == [short, long, seen]


def test_who_is_made_to_wait_is_not_silent() -> None:
    """A reload that is held back is no silence, however long."""
    book, one = SessionBook(), session("a")
    book.add(one)
    one.waiting = 1

    assert book.silent(1e9) == []
    one.waiting = 0
    assert book.silent(1e9) == [one]


def test_a_connection_is_never_silent() -> None:
    """It ends when it closes: a stalled one is the fan-out's business."""
    book = SessionBook()
    book.add(session("a", protocol=Protocol.FLV))

    assert book.silent(1e9) == []
