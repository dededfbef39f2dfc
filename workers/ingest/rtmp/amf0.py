"""AMF0, the value encoding of RTMP commands (Action Message Format, AMF 0, 2007).

Python's None, bool, float, str, dict and list stand for null and undefined, boolean, number,
string, object and ECMA array, strict array. A date reads as its number; a typed object as a
dict. A value behind the switch to AMF3 is read as such. References are refused: no encoder sends them.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from workers.ingest.rtmp import amf3
from workers.ingest.rtmp.errors import AmfError

MAX_DEPTH: Final = 16
"""Real commands nest 2 deep; deeper is an attack on the stack."""
MAX_VALUES: Final = 1024
"""Values in one message, all levels together; onMetaData of real encoders holds under 60."""

_NUMBER: Final = struct.Struct("!d")
_U16: Final = struct.Struct("!H")
_U32: Final = struct.Struct("!I")

NUMBER, BOOLEAN, STRING, OBJECT, NULL, UNDEFINED = 0, 1, 2, 3, 5, 6
ECMA_ARRAY, OBJECT_END, STRICT_ARRAY, DATE, LONG_STRING = 8, 9, 10, 11, 12
UNSUPPORTED, XML_DOCUMENT, TYPED_OBJECT, TO_AMF3 = 13, 15, 16, 17


class Amf0Error(AmfError):
    """Bytes that are not AMF0, or exceed its limits here."""


class _Reader:
    """One message being decoded: position, and how many values were read."""

    __slots__ = ("at", "data", "values")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.values = 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise Amf0Error(f"AMF0 value cut off: {size} bytes wanted, {len(self.data) - self.at} left")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def text(self, size: int) -> str:
        # Encoders put local code pages into titles; a bad byte must not cost the stream.
        return self.take(size).decode("utf-8", "replace")

    def key(self) -> str:
        return self.text(_U16.unpack(self.take(2))[0])

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise Amf0Error(f"AMF0 nested more than {MAX_DEPTH} deep")
        self.values += 1
        if self.values > MAX_VALUES:
            raise Amf0Error(f"more than {MAX_VALUES} AMF0 values in one message")
        marker = self.take(1)[0]
        if marker == NUMBER:
            return _NUMBER.unpack(self.take(8))[0]
        if marker == BOOLEAN:
            return self.take(1) != b"\0"
        if marker == STRING:
            return self.key()
        if marker in (NULL, UNDEFINED, UNSUPPORTED):
            return None
        if marker in (LONG_STRING, XML_DOCUMENT):
            return self.text(_U32.unpack(self.take(4))[0])
        if marker == DATE:
            number = _NUMBER.unpack(self.take(8))[0]
            self.take(2)  # the time zone, reserved since AMF0 (2.13)
            return number
        if marker == TO_AMF3:
            value, self.at = amf3.decode_at(self.data, self.at)
            return value
        return self._compound(marker, depth)

    def _compound(self, marker: int, depth: int) -> Any:
        if marker == STRICT_ARRAY:
            count = _U32.unpack(self.take(4))[0]
            if count > MAX_VALUES:
                raise Amf0Error(f"AMF0 array of {count} values, at most {MAX_VALUES}")
            return [self.value(depth + 1) for _ in range(count)]
        if marker == TYPED_OBJECT:
            self.key()
        elif marker == ECMA_ARRAY:
            self.take(4)  # an approximate count (2.10); the end marker decides
        elif marker != OBJECT:
            raise Amf0Error(f"AMF0 marker {marker} is not one this server reads")
        return self._properties(depth)

    def _properties(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while True:
            name = self.key()
            if not name and self.at < len(self.data) and self.data[self.at] == OBJECT_END:
                self.at += 1
                return found
            found[name] = self.value(depth + 1)


def decode(data: bytes) -> list[Any]:
    """All values of one message, in order; raises `AmfError`."""
    reader = _Reader(data)
    values = []
    while reader.at < len(data):
        values.append(reader.value(0))
    return values


def decode_first(data: bytes) -> tuple[Any, int]:
    """The first value and where the next begins; raises `AmfError`."""
    reader = _Reader(data)
    return reader.value(0), reader.at


def _key(name: str) -> bytes:
    raw = name.encode()
    if len(raw) > 0xFFFF:
        raise ValueError(f"an AMF0 name of {len(raw)} bytes does not fit its 16-bit size")
    return _U16.pack(len(raw)) + raw


def _properties(values: dict[str, Any]) -> bytes:
    body = b"".join(_key(name) + encode(value) for name, value in values.items())
    return body + b"\0\0" + bytes((OBJECT_END,))


def encode(*values: Any) -> bytes:
    """The values as AMF0, dicts as objects; raises `ValueError` on a type AMF0 has no word for."""
    out = []
    for value in values:
        if value is None:
            out.append(bytes((NULL,)))
        elif isinstance(value, bool):
            out.append(bytes((BOOLEAN, value)))
        elif isinstance(value, (int, float)):
            out.append(bytes((NUMBER,)) + _NUMBER.pack(value))
        elif isinstance(value, str):
            raw = value.encode()
            if len(raw) > 0xFFFF:
                out.append(bytes((LONG_STRING,)) + _U32.pack(len(raw)) + raw)
            else:
                out.append(bytes((STRING,)) + _U16.pack(len(raw)) + raw)
        elif isinstance(value, dict):
            out.append(bytes((OBJECT,)) + _properties(value))
        elif isinstance(value, (list, tuple)):
            out.append(bytes((STRICT_ARRAY,)) + _U32.pack(len(value)) + encode(*value))
        else:
            raise ValueError(f"AMF0 has no word for {type(value).__name__}")
    return b"".join(out)


def encode_ecma_array(values: dict[str, Any]) -> bytes:
    """The values as an ECMA array, the form FLV readers expect of onMetaData."""
    return bytes((ECMA_ARRAY,)) + _U32.pack(len(values)) + _properties(values)
