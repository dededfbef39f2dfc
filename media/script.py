"""FLV script tags (Adobe FLV 10.1, E.4.4): the numbers of `onMetaData`, `onClock` and `colorInfo`.

Reads the name → number pairs of the first object or ECMA array behind the name, those of objects within it
by names with dots; other values are skipped. That is all a packager wants of them; a full AMF0 codec belongs
to whoever speaks RTMP.
"""

from __future__ import annotations

import struct
from typing import Final

_NUMBER: Final = 0
_BOOLEAN: Final = 1
_STRING: Final = 2
_OBJECT: Final = 3
_NULL: Final = 5
_UNDEFINED: Final = 6
_ECMA_ARRAY: Final = 8
_LONG_STRING: Final = 12
_DATE: Final = 11
_FIXED_SIZES: Final = {_NUMBER: 8, _BOOLEAN: 1, _NULL: 0, _UNDEFINED: 0, _DATE: 10}
_MAX_PAIRS: Final = 256
_MAX_DEPTH: Final = 8
_END: Final = b"\0\0\x09"


class ScriptError(ValueError):
    """Bytes that are not a script tag this code can read."""


def read_numbers(payload: bytes | memoryview) -> tuple[str, dict[str, float]]:
    """The script's name and its numeric pairs, up to the first value of a kind not known here.

    Raises `ScriptError`.
    """
    data = bytes(payload)
    if len(data) < 4 or data[0] != _STRING:
        raise ScriptError("a script tag that does not begin with a name")
    name, at = _read_key(data, 1)
    numbers: dict[str, float] = {}
    if at >= len(data) or data[at] not in (_OBJECT, _ECMA_ARRAY):
        return name, numbers
    at += 1 if data[at] == _OBJECT else 5
    within: list[str] = []
    for _ in range(_MAX_PAIRS):
        if at >= len(data):
            break
        if data[at : at + len(_END)] == _END:
            if not within:
                break
            within.pop()
            at += len(_END)
            continue
        key, at = _read_key(data, at)
        if at >= len(data):
            break
        kind = data[at]
        at += 1
        if kind == _STRING:
            _, at = _read_key(data, at)
        elif kind == _LONG_STRING:
            at += 4 + int.from_bytes(data[at : at + 4], "big")
        elif kind in (_OBJECT, _ECMA_ARRAY) and len(within) < _MAX_DEPTH:
            within.append(key)
            at += 0 if kind == _OBJECT else 4
        elif (size := _FIXED_SIZES.get(kind)) is None:
            break
        else:
            if kind == _NUMBER:
                if at + 8 > len(data):
                    raise ScriptError("a number is cut off")
                numbers[".".join((*within, key))] = struct.unpack_from("!d", data, at)[0]
            at += size
    return name, numbers


def _read_key(data: bytes, at: int) -> tuple[str, int]:
    """A string behind its 16-bit length."""
    if at + 2 > len(data):
        raise ScriptError("a name is cut off")
    end = at + 2 + int.from_bytes(data[at : at + 2], "big")
    if end > len(data):
        raise ScriptError("a name is cut off")
    return data[at + 2 : end].decode("utf-8", "replace"), end
