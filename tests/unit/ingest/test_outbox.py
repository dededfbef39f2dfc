"""The outbox: sent, stored, kept, and sent again."""

from bus_schemas.tags import TagFlags
from workers.ingest.outbox import MAX_KEPT, Outbox
from workers.ingest.packing import TagMessage


def message(sequence: int, *, key: bool = False, size: int = 10) -> TagMessage:
    return TagMessage(TagFlags.KEY if key else TagFlags.NONE, sequence, sequence * 40, bytes(size))


def filled(count: int, keys: tuple[int, ...] = (0,), size: int = 10) -> Outbox:
    outbox = Outbox()
    for sequence in range(count):
        outbox.append(message(sequence, key=sequence in keys, size=size))
    return outbox


def send(outbox: Outbox, count: int) -> list[int]:
    sent = []
    for _ in range(count):
        following = outbox.peek()
        if following is None:
            break
        sent.append(following.sequence)
        outbox.mark_sent()
    return sent


def test_messages_leave_in_order() -> None:
    """Waiting becomes flying, byte by byte."""
    outbox = filled(3)

    assert send(outbox, 9) == [0, 1, 2]
    assert (outbox.waiting_bytes, outbox.flying_bytes, outbox.waiting) == (0, 30, 0)


def test_an_acknowledgement_stands_for_all_before_it() -> None:
    """What is stored stays while it belongs to the last group of pictures that was sent."""
    outbox = filled(8, keys=(0, 4))
    send(outbox, 6)

    outbox.acknowledge(4)

    assert (outbox.flying_bytes, outbox.kept_bytes, outbox.waiting_bytes) == (10, 10, 20)
    assert len(outbox) == 4


def test_an_acknowledgement_of_the_unsent_is_not_believed() -> None:
    """A sequence ahead of what was sent stores only what was sent."""
    outbox = filled(4)
    send(outbox, 2)

    outbox.acknowledge(9)

    assert (outbox.flying_bytes, outbox.waiting) == (0, 2)
    assert send(outbox, 9) == [2, 3]


def test_after_a_doubt_it_goes_on_behind_what_is_stored() -> None:
    """Nothing twice, nothing left out."""
    outbox = filled(6)
    send(outbox, 5)

    outbox.rewind(2)

    assert (outbox.kept_bytes, outbox.flying_bytes, outbox.waiting_bytes) == (30, 0, 30)
    assert send(outbox, 9) == [3, 4, 5]


def test_an_empty_stream_gets_the_last_group_of_pictures_again() -> None:
    """From the last key frame that was sent, stored before or not."""
    outbox = filled(9, keys=(0, 4))
    send(outbox, 7)
    outbox.acknowledge(6)

    outbox.rewind(None)

    assert send(outbox, 20) == [4, 5, 6, 7, 8]


def test_what_waits_can_be_dropped() -> None:
    """What was sent stays."""
    outbox = filled(5)
    send(outbox, 2)

    assert outbox.shed() == 3
    assert (outbox.waiting, outbox.waiting_bytes, outbox.flying_bytes) == (0, 0, 20)


def test_kept_bytes_are_bounded() -> None:
    """An endless group of pictures is not kept whole."""
    outbox = filled(40, size=1 << 20)
    send(outbox, 40)

    outbox.acknowledge(39)

    assert outbox.kept_bytes <= MAX_KEPT
