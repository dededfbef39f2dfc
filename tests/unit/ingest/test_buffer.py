"""The receive buffer."""

from workers.ingest.rtmp.buffer import ReceiveBuffer


def test_a_whole_read_is_not_copied() -> None:
    """With nothing kept, the very bytes that were fed come back."""
    data = b"abc"

    assert ReceiveBuffer().feed(data) is data


def test_nothing_is_parsed_before_enough_is_there() -> None:
    """While fewer bytes than wanted are kept, there is nothing to do."""
    buffer = ReceiveBuffer()
    source = buffer.feed(b"abcd")
    assert source is not None
    buffer.keep(source, 1, 5)

    early = buffer.feed(b"e")
    ready = buffer.feed(b"f")

    assert early is None
    assert ready == b"bcdef"
    assert len(buffer) == 5


def test_what_was_used_is_forgotten() -> None:
    """Kept bytes go when they were parsed."""
    buffer = ReceiveBuffer()
    source = buffer.feed(b"abcd")
    assert source is not None
    buffer.keep(source, 2, 3)
    source = buffer.feed(b"ef")
    assert source is not None

    buffer.keep(source, 4, 1)

    assert len(buffer) == 0
    assert buffer.feed(b"g") == b"g"
