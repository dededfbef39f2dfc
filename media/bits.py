"""Bits of a big-endian bit string, with the Exp-Golomb codes of H.264 (ISO/IEC 14496-10, 9.1)."""

from __future__ import annotations

from typing import Final

_MAX_LEADING_ZEROS: Final = 32


class BitsError(ValueError):
    """More bits were asked for than there are, or a code longer than any value needs."""


class BitReader:
    """Reads from the most significant bit of `data` on; every method raises `BitsError` past its end."""

    __slots__ = ("_at", "_size", "_value")

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._size = len(data) * 8
        self._at = 0

    @property
    def left(self) -> int:
        """Bits not read yet."""
        return self._size - self._at

    def read(self, bits: int) -> int:
        """The next `bits` bits as an unsigned number: `u(n)`."""
        end = self._at + bits
        if end > self._size:
            raise BitsError(f"{bits} bits wanted, {self._size - self._at} left")
        self._at = end
        return self._value >> (self._size - end) & ((1 << bits) - 1)

    def flag(self) -> bool:
        """The next bit: `u(1)`."""
        return self.read(1) == 1

    def unsigned(self) -> int:
        """An unsigned Exp-Golomb code, 0 to 2**32 - 1: `ue(v)`."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > _MAX_LEADING_ZEROS:
                raise BitsError("an Exp-Golomb code of more than 32 leading zeros")
        return (1 << zeros) - 1 + self.read(zeros)

    def signed(self) -> int:
        """A signed Exp-Golomb code: `se(v)`."""
        code = self.unsigned()
        return (code + 1) // 2 if code & 1 else -(code // 2)


class Bits:
    """A bit string that grows at its end."""

    __slots__ = ("_size", "_value")

    def __init__(self) -> None:
        self._value = 0
        self._size = 0

    def put(self, value: int, bits: int) -> None:
        """Append an unsigned number of so many bits."""
        self._value = self._value << bits | value
        self._size += bits

    def take(self, source: BitReader, bits: int) -> int:
        """Append the next bits of another one, and give them; raises `BitsError`."""
        value = source.read(bits)
        self.put(value, bits)
        return value

    def align(self) -> None:
        """Append zeros up to a whole byte."""
        self.put(0, -self._size % 8)

    def to_bytes(self) -> bytes:
        """The string, which must be of whole bytes."""
        return self._value.to_bytes(self._size // 8, "big")
