"""The states of a server connection, as one table.

Rules:
- Whatever the table does not list is a `RemoteProtocolError` when the peer did it, a
  `LocalProtocolError` when we did.
- FAILED is final; the connection then discards all it is fed.
- A peer may publish or play again on the same connection after it stopped (FMLE does).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class State(Enum):
    """Where a connection stands."""

    HANDSHAKE = auto()
    """Waiting for C0+C1, then C2."""
    OPENING = auto()
    """Handshake done, `connect` not yet seen."""
    READY = auto()
    """Connected, nothing is published or played."""
    ASKING = auto()
    """A publish waits for our answer."""
    PUBLISHING = auto()
    ASKING_TO_PLAY = auto()
    """A play waits for our answer."""
    PLAYING = auto()
    FAILED = auto()


class Act(Enum):
    """What moves a connection on."""

    SHOOK_HANDS = auto()
    CONNECT = auto()
    PUBLISH = auto()
    PLAY = auto()
    ACCEPT = auto()
    REFUSE = auto()
    STOP = auto()
    FAIL = auto()


TRANSITIONS: Final[dict[tuple[State, Act], State]] = {
    (State.HANDSHAKE, Act.SHOOK_HANDS): State.OPENING,
    (State.OPENING, Act.CONNECT): State.READY,
    (State.READY, Act.PUBLISH): State.ASKING,
    (State.ASKING, Act.ACCEPT): State.PUBLISHING,
    (State.ASKING, Act.REFUSE): State.READY,
    (State.ASKING, Act.STOP): State.READY,
    (State.PUBLISHING, Act.STOP): State.READY,
    # We end it: a kick, or a newer publisher that took the stream over.
    (State.PUBLISHING, Act.REFUSE): State.READY,
    (State.READY, Act.PLAY): State.ASKING_TO_PLAY,
    (State.ASKING_TO_PLAY, Act.ACCEPT): State.PLAYING,
    (State.ASKING_TO_PLAY, Act.REFUSE): State.READY,
    (State.ASKING_TO_PLAY, Act.STOP): State.READY,
    (State.PLAYING, Act.STOP): State.READY,
    # The stream ended, or its player is too slow.
    (State.PLAYING, Act.REFUSE): State.READY,
    **{(state, Act.FAIL): State.FAILED for state in State},
}
