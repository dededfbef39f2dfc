"""Tag messages on their way to the bus: kept until stored, and the last group of pictures longer.

The bus acknowledges some messages; an acknowledgement stands for all before it, because one
connection keeps their order. When a memory stream has vanished with its server, the messages
since the last key frame go out again with their old sequence numbers, so that readers who joined
anew find a place to begin and the others skip what they have.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from bus_schemas.tags import TagFlags
from workers.ingest.packing import TagMessage

_KEY: Final = TagFlags.KEY
MAX_KEPT: Final = 16 << 20
"""Bytes of stored messages kept for the case above: 6 s at the greatest default bitrate."""


class Outbox:
    """In this order: stored but kept, sent but not yet known to be stored, not yet sent."""

    def __init__(self) -> None:
        self._messages: deque[TagMessage] = deque()
        self._stored = 0
        self._sent = 0
        self._key_sequence = 0
        self.sent_sequence = -1
        """Sequence of the message sent last."""
        self.kept_bytes = 0
        self.flying_bytes = 0
        """Sent, and not known to be stored."""
        self.waiting_bytes = 0
        """Not yet sent."""

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def waiting(self) -> int:
        """How many messages are not yet sent."""
        return len(self._messages) - self._sent

    def append(self, message: TagMessage) -> None:
        """Queue a message."""
        self._messages.append(message)
        self.waiting_bytes += len(message.payload)

    def peek(self) -> TagMessage | None:
        """The next message to send."""
        messages, sent = self._messages, self._sent
        return messages[sent] if sent < len(messages) else None

    def mark_sent(self) -> None:
        """What `peek` gave is on its way."""
        flags, sequence, _, payload, _ = self._messages[self._sent]
        self._sent += 1
        size = len(payload)
        self.waiting_bytes -= size
        self.flying_bytes += size
        self.sent_sequence = sequence
        if flags & _KEY:
            self._key_sequence = sequence

    def acknowledge(self, sequence: int) -> None:
        """All sent messages up to `sequence` are stored."""
        messages = self._messages
        while self._stored < self._sent and messages[self._stored].sequence <= sequence:
            size = len(messages[self._stored].payload)
            self.flying_bytes -= size
            self.kept_bytes += size
            self._stored += 1
        while self._stored and (messages[0].sequence < self._key_sequence or self.kept_bytes > MAX_KEPT):
            self.kept_bytes -= len(messages.popleft().payload)
            self._stored -= 1
            self._sent -= 1

    def rewind(self, stored: int | None) -> None:
        """After a doubt: send again all after sequence `stored`.

        None: nothing is stored, so from the last key frame that was sent.
        """
        messages = self._messages
        if stored is None:
            self._stored = 0
            for index in range(self._sent):
                if messages[index].sequence == self._key_sequence:
                    self._stored = index
        else:
            self._stored = sum(1 for message in messages if message.sequence <= stored)
        self._sent = self._stored
        sizes = [len(message.payload) for message in messages]
        self.kept_bytes = sum(sizes[: self._stored])
        self.flying_bytes = 0
        self.waiting_bytes = sum(sizes[self._stored :])

    def shed(self) -> int:
        """Drop what is not yet sent; gives how many messages."""
        dropped = self.waiting
        for _ in range(dropped):
            self._messages.pop()
        self.waiting_bytes = 0
        return dropped
