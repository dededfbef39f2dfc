"""AMF3 (Action Message Format, AMF 3, 2013), as far as peers send it: read, never written.

It comes inside AMF0, behind the marker that switches over (AMF0, 3.1). Python's None, bool, int, float,
str, bytes, dict and list stand for its values; an array with named parts reads as a dict. Objects that
say they read themselves (externalizable), vectors and dictionaries are refused: no encoder sends them.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from workers.ingest.rtmp.errors import AmfError

MAX_DEPTH: Final = 16
MAX_VALUES: Final = 1024
"""Values in one AMF3 value, all levels together."""

UNDEFINED, NULL, FALSE, TRUE, INTEGER, DOUBLE, STRING = range(7)
XML_DOCUMENT, DATE, ARRAY, OBJECT, XML, BYTE_ARRAY = range(7, 13)

_NUMBER: Final = struct.Struct("!d")


class Amf3Error(AmfError):
    """Bytes that are not AMF3, or exceed its limits here."""


class _Reader:
    """One value being decoded: position, and what references may point at (AMF 3, 2.2)."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at
        self.values = 0
        self.strings: list[str] = []
        self.objects: list[Any] = []
        self.traits: list[tuple[bool, list[str]]] = []

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise Amf3Error(f"AMF3 value cut off: {size} bytes wanted, {len(self.data) - self.at} left")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def number(self) -> int:
        """U29 (1.3.1): 7 bits in each of three bytes, 8 in a fourth."""
        value = 0
        for _ in range(3):
            byte = self.take(1)[0]
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value
        return value << 8 | self.take(1)[0]

    def text(self) -> str:
        head = self.number()
        if not head & 1:
            return str(self.referred(self.strings, head >> 1))
        text = self.take(head >> 1).decode("utf-8", "replace")
        if text:
            self.strings.append(text)
        return text

    def referred(self, table: list[Any], index: int) -> Any:
        if index >= len(table):
            raise Amf3Error(f"AMF3 reference {index} of {len(table)}")
        return table[index]

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise Amf3Error(f"AMF3 nested more than {MAX_DEPTH} deep")
        self.values += 1
        if self.values > MAX_VALUES:
            raise Amf3Error(f"more than {MAX_VALUES} AMF3 values")
        marker = self.take(1)[0]
        if marker in (UNDEFINED, NULL):
            return None
        if marker in (FALSE, TRUE):
            return marker == TRUE
        if marker == INTEGER:
            number = self.number()
            return number - (1 << 29) if number >= 1 << 28 else number
        if marker == DOUBLE:
            return _NUMBER.unpack(self.take(8))[0]
        if marker == STRING:
            return self.text()
        return self._referable(marker, depth)

    def _referable(self, marker: int, depth: int) -> Any:
        if marker > BYTE_ARRAY:
            raise Amf3Error(f"AMF3 marker {marker} is not one this server reads")
        head = self.number()
        if not head & 1:
            return self.referred(self.objects, head >> 1)
        head >>= 1
        if marker == OBJECT:
            return self._object(head, depth)
        if marker == ARRAY:
            return self._array(head, depth)
        if marker == DATE:
            found: Any = _NUMBER.unpack(self.take(8))[0]
        else:
            raw = self.take(head)
            found = raw if marker == BYTE_ARRAY else raw.decode("utf-8", "replace")
        self.objects.append(found)
        return found

    def _array(self, count: int, depth: int) -> Any:
        # Its place is taken before its parts are read; one that holds itself reads as null there.
        place = len(self.objects)
        self.objects.append(None)
        named: dict[str, Any] = {}
        while name := self.text():
            named[name] = self.value(depth + 1)
        if count > MAX_VALUES:
            raise Amf3Error(f"AMF3 array of {count} values, at most {MAX_VALUES}")
        dense = [self.value(depth + 1) for _ in range(count)]
        found = {**named, **{str(at): value for at, value in enumerate(dense)}} if named else dense
        self.objects[place] = found
        return found

    def _object(self, head: int, depth: int) -> dict[str, Any]:
        dynamic, names = self._read_traits(head)
        place = len(self.objects)
        self.objects.append(None)
        found = {name: self.value(depth + 1) for name in names}
        if dynamic:
            while name := self.text():
                found[name] = self.value(depth + 1)
        self.objects[place] = found
        return found

    def _read_traits(self, head: int) -> tuple[bool, list[str]]:
        if not head & 1:
            dynamic, names = self.referred(self.traits, head >> 1)
            return dynamic, names
        if head & 2:
            raise Amf3Error("an AMF3 object that reads itself")
        count = head >> 3
        if count > MAX_VALUES:
            raise Amf3Error(f"AMF3 object of {count} members, at most {MAX_VALUES}")
        self.text()  # the class's name
        traits = bool(head & 4), [self.text() for _ in range(count)]
        self.traits.append(traits)
        return traits


def decode_at(data: bytes, at: int) -> tuple[Any, int]:
    """The value at `at`, and where it ends; raises `Amf3Error`."""
    reader = _Reader(data, at)
    return reader.value(0), reader.at
