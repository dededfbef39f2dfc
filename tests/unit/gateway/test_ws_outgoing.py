"""What a slow reader gets, and what not."""

from gateway.ws.outgoing import HELD_BYTES, HELD_FRAMES, SOFT_BYTES, STALL_S, Outgoing, Worth


class Socket:
    """A transport whose buffer drains when told."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.buffered = 0
        self.closing = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def is_closing(self) -> bool:
        return self.closing


def slow_socket() -> tuple[Socket, Outgoing, list[str]]:
    socket, noticed = Socket(), list[str]()
    outgoing = Outgoing(socket, lambda: noticed.append("slow"))
    socket.buffered = SOFT_BYTES + 1
    return socket, outgoing, noticed


def test_a_reader_who_keeps_up_gets_everything_at_once() -> None:
    """Nothing is held as long as the buffer is taken."""
    socket = Socket()
    outgoing = Outgoing(socket, lambda: None)

    outgoing.send(b"a")
    outgoing.send(b"b", Worth.STATE, "r")
    outgoing.send(b"c", Worth.MOMENT)

    assert socket.sent == [b"a", b"b", b"c"]
    assert not outgoing.slow


def test_a_slow_reader_loses_what_is_of_the_moment_first() -> None:
    """Danmaku are dropped, states give way to the newest, chat waits in order."""
    socket, outgoing, noticed = slow_socket()

    for number in range(3):
        outgoing.send(b"chat%d" % number)
        outgoing.send(b"danmaku", Worth.MOMENT)
        outgoing.send(b"state%d" % number, Worth.STATE, "room")
    socket.buffered = 0
    outgoing.flush(now=1.0)

    assert socket.sent == [b"chat0", b"chat1", b"chat2", b"state2"]
    assert outgoing.dropped == 5
    assert noticed == ["slow"]
    assert not outgoing.slow


def test_states_of_two_rooms_do_not_outdo_each_other() -> None:
    """The newest state of each room is kept."""
    socket, outgoing, _ = slow_socket()

    outgoing.send(b"one", Worth.STATE, "room1")
    outgoing.send(b"two", Worth.STATE, "room2")
    outgoing.send(b"one again", Worth.STATE, "room1")
    socket.buffered = 0
    outgoing.flush(now=1.0)

    assert socket.sent == [b"two", b"one again"]


def test_what_comes_after_held_frames_waits_behind_them() -> None:
    """A frame never overtakes one that is held, even when the buffer has room again."""
    socket, outgoing, _ = slow_socket()

    outgoing.send(b"first")
    socket.buffered = 0
    outgoing.send(b"second")

    assert socket.sent == []
    outgoing.flush(now=1.0)
    assert socket.sent == [b"first", b"second"]


def test_too_many_frames_are_too_slow_a_reader() -> None:
    """Chat is held up to a bound of frames."""
    _, outgoing, _ = slow_socket()

    for _ in range(HELD_FRAMES):
        outgoing.send(b"x")
    assert not outgoing.too_slow
    outgoing.send(b"x")

    assert outgoing.too_slow


def test_too_many_bytes_are_too_slow_a_reader() -> None:
    """Chat is held up to a bound of bytes, and nothing is held after it was passed."""
    _, outgoing, _ = slow_socket()

    outgoing.send(b"x" * HELD_BYTES)
    outgoing.send(b"x")
    assert outgoing.too_slow
    outgoing.send(b"y")

    assert outgoing.dropped == 1


def test_a_reader_who_takes_nothing_is_too_slow_in_time() -> None:
    """However little is held, it does not wait for ever; taking some of it starts the clock again."""
    socket, outgoing, _ = slow_socket()
    outgoing.send(b"x")
    outgoing.send(b"y")

    outgoing.flush(now=100.0)
    outgoing.flush(now=100.0 + STALL_S)
    assert not outgoing.too_slow
    outgoing.flush(now=100.1 + STALL_S)

    assert outgoing.too_slow
    assert socket.sent == []


def test_what_a_client_asked_for_is_sent_whatever_its_size() -> None:
    """A replay goes out whole, and then counts as what the reader is behind by."""
    socket = Socket()
    outgoing = Outgoing(socket, lambda: None)

    outgoing.push(b"e%d," % number for number in range(HELD_FRAMES * 2))
    socket.buffered = SOFT_BYTES * 4

    (sent,) = socket.sent
    assert sent.split(b",")[:-1] == [b"e%d" % number for number in range(HELD_FRAMES * 2)]
    assert outgoing.behind
    assert not outgoing.slow


def test_nothing_is_written_to_a_closing_socket() -> None:
    """A transport that is going takes no more."""
    socket = Socket()
    socket.closing = True

    Outgoing(socket, lambda: None).send(b"x")

    assert socket.sent == []
