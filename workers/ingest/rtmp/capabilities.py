"""What enhanced RTMP announces in `connect` and its result (Enhanced RTMP v2, "Enhancing NetConnection connect")."""

from __future__ import annotations

from enum import IntFlag
from typing import Any, Final

from media.codec import AudioCodec, VideoCodec


class CapsEx(IntFlag):
    """Bits of `capsEx`."""

    NONE = 0
    RECONNECT = 1
    """ReconnectRequest is understood."""
    MULTITRACK = 2
    MOD_EX = 4
    TIMESTAMP_NANO_OFFSET = 8


OURS: Final = CapsEx.RECONNECT | CapsEx.MULTITRACK | CapsEx.MOD_EX | CapsEx.TIMESTAMP_NANO_OFFSET
_CAN_FORWARD: Final = 4
"""FourCcInfoMask: passed on as it is, neither decoded nor encoded."""


def read_caps(properties: dict[str, Any]) -> CapsEx:
    """`capsEx` of a peer's connect; bits nobody knows yet are dropped."""
    value = properties.get("capsEx")
    if not isinstance(value, (int, float)) or not 0 <= value < 2**32:
        return CapsEx.NONE
    return CapsEx(int(value) & 0xF)


def announced() -> dict[str, Any]:
    """What our result of `connect` says of itself."""
    return {
        "capsEx": int(OURS),
        "fourCcList": [*map(str, VideoCodec), *map(str, AudioCodec)],
        "videoFourCcInfoMap": {str(codec): _CAN_FORWARD for codec in VideoCodec},
        "audioFourCcInfoMap": {str(codec): _CAN_FORWARD for codec in AudioCodec},
    }
