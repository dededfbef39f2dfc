"""What a segmenter puts out: init segments and parts, with the headers they have on the bus."""

from __future__ import annotations

from dataclasses import dataclass

from bus_schemas.parts import InitHeader, PartHeader


@dataclass(frozen=True, slots=True)
class InitReady:
    """An init segment that the parts after it need."""

    header: InitHeader
    body: bytes

    def message(self) -> bytes:
        """As it goes on the bus."""
        return self.header.pack() + self.body


@dataclass(frozen=True, slots=True)
class PartReady:
    """A part, or with `PartFlags.END` the end."""

    header: PartHeader
    body: bytes

    def message(self) -> bytes:
        """As it goes on the bus."""
        return self.header.pack() + self.body


Output = InitReady | PartReady
