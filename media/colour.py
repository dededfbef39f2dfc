"""What a picture's numbers mean as colours: the code points of ISO/IEC 23091-2, as parameter sets, `colr`
boxes and enhanced RTMP's `colorInfo` have them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from media.av_tags import EXTENDED_HEADER_SIZE
from media.bits import BitReader
from media.script import read_numbers

UNSPECIFIED: Final = 2
_MAX_CODE: Final = 255
_DESCRIPTION: Final = ("colorPrimaries", "transferCharacteristics", "matrixCoefficients")


@dataclass(frozen=True, slots=True)
class Colour:
    """One description of colour."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    full_range: bool = False

    @property
    def is_known(self) -> bool:
        """Whether it says more than that nothing is known."""
        return (self.primaries, self.transfer, self.matrix) != (UNSPECIFIED, UNSPECIFIED, UNSPECIFIED)

    def overridden(self, by: Colour | None) -> Colour:
        """This, where a container's description does not say otherwise (ISO/IEC 14496-12, 12.1.5.1)."""
        if by is None:
            return self
        return Colour(
            self.primaries if by.primaries == UNSPECIFIED else by.primaries,
            self.transfer if by.transfer == UNSPECIFIED else by.transfer,
            self.matrix if by.matrix == UNSPECIFIED else by.matrix,
            self.full_range,
        )


NOTHING_KNOWN: Final = Colour()


def read_signal_type(bits: BitReader) -> Colour:
    """video_signal_type of a VUI behind its flag: alike in H.264 (E.1.1) and H.265 (E.2.1). Raises `BitsError`."""
    bits.read(3)  # video_format
    full = bits.flag()
    if not bits.flag():
        return Colour(full_range=full)
    return Colour(bits.read(8), bits.read(8), bits.read(8), full)


def read_colour_info(payload: bytes | memoryview) -> Colour | None:
    """The description in a metadata packet of enhanced RTMP, a plain VIDEODATA; None where it has none.

    Raises `ScriptError`. Codes out of range count as unspecified.
    """
    name, numbers = read_numbers(payload[EXTENDED_HEADER_SIZE:])
    if name != "colorInfo":
        return None
    codes = [numbers.get(f"colorConfig.{field}", UNSPECIFIED) for field in _DESCRIPTION]
    primaries, transfer, matrix = (int(code) if 1 <= code <= _MAX_CODE else UNSPECIFIED for code in codes)
    found = Colour(primaries, transfer, matrix)
    return found if found.is_known else None
