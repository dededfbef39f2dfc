"""What the command benchmark calls a fault."""

import json

from bench.commands import Watched


class Member:
    """A member's socket: takes commands."""

    def __init__(self) -> None:
        self.sent: list[dict[str, object]] = []

    def send(self, frame: dict[str, object]) -> None:
        self.sent.append(frame)


def told(kind: str, revision: int, position: float = 1.0) -> bytes:
    state = {"position": position, "revision": revision}
    return json.dumps({"type": kind, "state": state}, separators=(",", ":")).encode()


def watched() -> tuple[Watched, Member, Member]:
    room, one, other = Watched("r"), Member(), Member()
    room.sockets = [one, other]  # type: ignore[list-item]  # as much of a socket as is needed
    room.seek()
    return room, one, other


def test_a_command_that_all_saw_is_no_fault() -> None:
    """Answered once, seen by both, in one row of revisions."""
    room, *members = watched()

    for member in members:
        room.on_text(member, told("playback", 5))  # type: ignore[arg-type]
    room.on_text(members[0], told("ack", 5))  # type: ignore[arg-type]

    assert room.faults() == []
    assert len(room.latencies_ms()) == 1


def test_what_is_lost_doubled_or_skipped_is_a_fault() -> None:
    """One member sees it twice, the other never; nobody is answered; a revision is left out."""
    room, one, _ = watched()

    room.on_text(one, told("playback", 5))  # type: ignore[arg-type]
    room.on_text(one, told("playback", 5))  # type: ignore[arg-type]
    room.on_text(one, told("playback", 7, 2.0))  # type: ignore[arg-type]

    assert room.faults() == [
        "1 commands, 0 revisions answered",
        "revision 5 after 5",
        "revision 7 after 5",
    ]


def test_a_state_that_somebody_missed_is_a_fault() -> None:
    """The other member was told nothing."""
    room, one, _ = watched()

    room.on_text(one, told("playback", 5))  # type: ignore[arg-type]
    room.on_text(one, told("ack", 5))  # type: ignore[arg-type]

    assert room.faults() == ["a state that did not come once to every member"]
