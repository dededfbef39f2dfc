"""What one socket is sent, and what a slow reader does not get (DESIGN.md §8). Pure.

As long as a socket takes what it is given, a frame goes straight to it. Once its send buffer stands
above `SOFT_BYTES` frames are held back, in order: what is only of the moment (danmaku, viewer counts)
is dropped, of a room's states only the newest is kept, everything else is kept up to a bound. Past the
bound, or when nothing moved for `STALL_S`, the reader is too slow, and resumes on another socket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final, Protocol

SOFT_BYTES: Final = 256 << 10
"""A `joined` of a full room fits; so does a second of the busiest one."""
HELD_FRAMES: Final = 1_024
HELD_BYTES: Final = 1 << 20
STALL_S: Final = 20.0


class Sink(Protocol):
    """The part of a transport that is needed here."""

    def write(self, data: bytes, /) -> None:
        """Send, or queue."""
        ...

    def get_write_buffer_size(self) -> int:
        """Bytes queued and not yet taken by the system."""
        ...

    def is_closing(self) -> bool:
        """Whether it takes nothing more."""
        ...


class Worth(Enum):
    """What becomes of a frame that a slow reader cannot take now."""

    MOMENT = "moment"
    """Dropped."""
    STATE = "state"
    """Replaced by the next of the same key."""
    KEPT = "kept"
    """Held, up to the bound."""


class Outgoing:
    """The way to one socket. `too_slow` is final: the owner closes.

    `on_slow` is called when frames begin to be held: from then on the owner calls `flush`.
    """

    __slots__ = ("_held", "_held_bytes", "_moved", "_on_slow", "_sink", "_states", "dropped", "too_slow")

    def __init__(self, sink: Sink, on_slow: Callable[[], None]) -> None:
        self._sink = sink
        self._on_slow = on_slow
        # Numbered, so that a newer state can take the older one's frame out of the middle.
        self._held: dict[int, tuple[bytes, str]] = {}
        self._held_bytes = 0
        self._moved: float | None = None
        self._states: dict[str, int] = {}
        self.dropped = 0
        self.too_slow = False

    @property
    def slow(self) -> bool:
        """Whether frames are being held back."""
        return bool(self._held) or self.too_slow

    def send(self, data: bytes, worth: Worth = Worth.KEPT, key: str = "") -> bool:
        """Send, hold or drop one frame; False when it did not go out at once. `key` names the state."""
        sink = self._sink
        if not self._held and sink.get_write_buffer_size() <= SOFT_BYTES:
            if not sink.is_closing():
                sink.write(data)
            return True
        self._hold(data, worth, key)
        return False

    def push(self, frames: Iterable[bytes]) -> None:
        """Send however much it is: what the client asked for, bounded by whoever answers it."""
        if self._held:
            for data in frames:
                self._hold(data, Worth.KEPT, "")
        elif not self._sink.is_closing() and (together := b"".join(frames)):
            self._sink.write(together)

    @property
    def behind(self) -> bool:
        """Whether the reader has yet to take what it was sent before."""
        return bool(self._held) or self._sink.get_write_buffer_size() > SOFT_BYTES

    def _hold(self, data: bytes, worth: Worth, key: str) -> None:
        if worth is Worth.MOMENT or self.too_slow:
            self.dropped += 1
            return
        if not self._held:
            self._on_slow()
        if worth is Worth.STATE:
            older = self._states.pop(key, None)
            if older is not None:
                self._held_bytes -= len(self._held.pop(older)[0])
                self.dropped += 1
        number = next(reversed(self._held), -1) + 1
        self._held[number] = (data, key if worth is Worth.STATE else "")
        self._held_bytes += len(data)
        if worth is Worth.STATE:
            self._states[key] = number
        if len(self._held) > HELD_FRAMES or self._held_bytes > HELD_BYTES:
            self.give_up()

    def give_up(self) -> None:
        """Hold nothing any more: the reader resumes elsewhere."""
        self.too_slow = True
        self._held.clear()
        self._states.clear()
        self._held_bytes = 0

    def flush(self, now: float) -> None:
        """Send what the socket takes now; `now` in seconds, monotonic. Called as long as `slow`."""
        sink = self._sink
        while self._held and sink.get_write_buffer_size() <= SOFT_BYTES:
            number = next(iter(self._held))
            data, key = self._held.pop(number)
            if self._states.get(key) == number:
                del self._states[key]
            self._held_bytes -= len(data)
            self._moved = now
            if sink.is_closing():
                self.give_up()
                return
            sink.write(data)
        if not self._held:
            self._moved = None
        elif self._moved is None:
            self._moved = now
        elif now - self._moved > STALL_S:
            self.give_up()
