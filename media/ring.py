"""The ring a viewer's cursor walks: the newest messages of one stream, bounded three ways.

A cursor is the absolute number of the next message its reader wants, so a reader costs one integer
however slow he is. Sans-I/O; times are DTS in milliseconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

NOWHERE: Final = -1
"""The cursor of one who has not begun: he begins at the newest key message."""


@dataclass(frozen=True, slots=True)
class _Entry:
    data: bytes
    dts_ms: int
    key: bool
    inline: bool
    header: int


class Ring:
    """Messages numbered from 0 in order of arrival, the oldest forgotten first.

    `seconds` never forgets the newest key message or what follows it, so that one may join within a long
    group of pictures; `max_bytes` and `max_messages` hold in any case.
    """

    def __init__(self, *, seconds: float, max_bytes: int, max_messages: int) -> None:
        self._span_ms = seconds * 1_000
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._entries: deque[_Entry] = deque()
        self._tail = 0
        self._newest_key: int | None = None
        self._headers: dict[int, bytes] = {}
        self._header = 0
        self.bytes = 0
        """Bytes of the messages held."""

    @property
    def tail(self) -> int:
        """Number of the oldest message held; equals `head` when there is none."""
        return self._tail

    @property
    def head(self) -> int:
        """Number of the message that comes next."""
        return self._tail + len(self._entries)

    @property
    def newest_key(self) -> int | None:
        """Number of the newest message at which decoding may start, where one is held."""
        return self._newest_key

    def set_header(self, header: bytes) -> None:
        """The codec headers of the messages appended from now on."""
        self._header += 1
        self._headers[self._header] = header
        self._forget_headers()

    def append(self, data: bytes, dts_ms: int, *, key: bool, inline: bool = False) -> int:
        """Add a message; `inline` says that it begins with its own headers. Gives its number."""
        number = self.head
        self._entries.append(_Entry(data, dts_ms, key, inline, self._header))
        self.bytes += len(data)
        if key:
            self._newest_key = number
        while len(self._entries) > self._max_messages or (
            self.bytes > self._max_bytes and len(self._entries) > 1
        ):
            self._drop()
        while (
            self._newest_key is not None
            and self._tail < self._newest_key
            and dts_ms - self._entries[0].dts_ms > self._span_ms
        ):
            self._drop()
        return number

    def resume(self, cursor: int) -> int | None:
        """Where a reader goes on: at his cursor, or at the newest key message if he fell out of the ring.

        None while there is nowhere to begin: he waits for the next key message.
        """
        return cursor if cursor >= self._tail else self._newest_key

    def header_at(self, number: int) -> bytes:
        """The codec headers to send before a reader begins at this message; empty where it carries its own."""
        entry = self._entries[number - self._tail]
        return b"" if entry.inline else self._headers.get(entry.header, b"")

    def dts_at(self, number: int) -> int:
        """DTS of a message held."""
        return self._entries[number - self._tail].dts_ms

    @property
    def header(self) -> bytes:
        """The codec headers set last; empty before any were."""
        return self._headers.get(self._header, b"")

    def read(self, cursor: int, max_bytes: int) -> tuple[list[bytes], int]:
        """Messages from a cursor within the ring, at least one where there is one, and the cursor behind them."""
        taken: list[bytes] = []
        size = 0
        for index in range(cursor - self._tail, len(self._entries)):
            data = self._entries[index].data
            if taken and size + len(data) > max_bytes:
                break
            taken.append(data)
            size += len(data)
        return taken, cursor + len(taken)

    def _drop(self) -> None:
        entry = self._entries.popleft()
        self.bytes -= len(entry.data)
        if self._newest_key == self._tail:
            self._newest_key = None
        self._tail += 1
        if self._entries and self._entries[0].header != entry.header:
            self._forget_headers()

    def _forget_headers(self) -> None:
        oldest = self._entries[0].header if self._entries else self._header
        for number in [number for number in self._headers if number < oldest]:
            del self._headers[number]
