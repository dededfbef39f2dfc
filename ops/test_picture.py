"""A moving test picture with a clock in it, and a tone that beeps on the second: planes and samples as bytes."""

import array
import math
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 360
FRAME_RATE: Final = 25
SAMPLE_RATE: Final = 48_000

_GLYPHS: Final = {
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00110 01000 10000 11111",
    "3": "11110 00001 00001 01110 00001 00001 11110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00010 01100",
    ":": "00000 00100 00100 00000 00100 00100 00000",
    ".": "00000 00000 00000 00000 00000 01100 01100",
}
_GLYPH_WIDTH: Final = 5
_GLYPH_HEIGHT: Final = 7
_SCALE: Final = 9
_ADVANCE: Final = (_GLYPH_WIDTH + 1) * _SCALE
_CLOCK_TOP: Final = 120

# Colour bars in limited-range BT.601, left to right: luma and the two chroma values of each.
_BARS: Final = (
    (162, 128, 128),
    (131, 44, 142),
    (112, 156, 44),
    (84, 72, 58),
    (79, 184, 198),
    (54, 100, 212),
    (35, 212, 114),
)
_BLACK: Final = 16
_WHITE: Final = 235
_BOX: Final = 40

Planes = tuple[bytes, bytes, bytes]


class TestPicture:
    """Draws frames of yuv420p, WIDTH × HEIGHT, planes without padding."""

    __test__ = False  # no test, whatever the runner makes of its name

    def __init__(self) -> None:
        self._luma = self._background()
        self._chroma = tuple(self._chroma_plane(index) for index in (1, 2))
        self._bright = bytes([_WHITE]) * WIDTH

    def frame(self, at_ms: int) -> Planes:
        """The picture at an epoch time in milliseconds: its clock in UTC to the hundredth of a second."""
        luma = bytearray(self._luma)
        self._write(luma, clock_text(at_ms))
        self._sweep(luma, at_ms)
        return bytes(luma), self._chroma[0], self._chroma[1]

    def _background(self) -> bytes:
        bars = b"".join(bytes([_BARS[_bar_at(x, WIDTH)][0]]) for x in range(WIDTH))
        band_top, band_bottom = _CLOCK_TOP - 2 * _SCALE, _CLOCK_TOP + (_GLYPH_HEIGHT + 2) * _SCALE
        dark = bytes([_BLACK]) * WIDTH
        return b"".join(
            dark if band_top <= y < band_bottom or y >= HEIGHT - _BOX else bars for y in range(HEIGHT)
        )

    @staticmethod
    def _chroma_plane(component: int) -> bytes:
        width = WIDTH // 2
        bars = bytes(_BARS[_bar_at(x, width)][component] for x in range(width))
        grey = bytes([128]) * width
        band_top, band_bottom = _CLOCK_TOP - 2 * _SCALE, _CLOCK_TOP + (_GLYPH_HEIGHT + 2) * _SCALE
        return b"".join(
            grey if band_top <= 2 * y < band_bottom or 2 * y >= HEIGHT - _BOX else bars
            for y in range(HEIGHT // 2)
        )

    def _write(self, luma: bytearray, text: str) -> None:
        left = (WIDTH - len(text) * _ADVANCE + _SCALE) // 2
        ink = self._bright[:_SCALE]
        for index, letter in enumerate(text):
            for row, cells in enumerate(_GLYPHS[letter].split(" ")):
                lines = range(_CLOCK_TOP + row * _SCALE, _CLOCK_TOP + (row + 1) * _SCALE)
                for column, cell in enumerate(cells):
                    if cell == "0":
                        continue
                    x = left + index * _ADVANCE + column * _SCALE
                    for y in lines:
                        luma[y * WIDTH + x : y * WIDTH + x + _SCALE] = ink

    def _sweep(self, luma: bytearray, at_ms: int) -> None:
        """A box along the lower edge, once across in each two seconds: motion that shows a dropped frame."""
        x = (WIDTH - _BOX) * (at_ms % 2000) // 2000
        for y in range(HEIGHT - _BOX, HEIGHT):
            luma[y * WIDTH + x : y * WIDTH + x + _BOX] = self._bright[:_BOX]


class Tone:
    """Mono signed 16-bit samples: a quiet 440 Hz, and a beep of 880 Hz in the first tenth of each second."""

    def __init__(self) -> None:
        second = array.array("h", (_sample(number) for number in range(SAMPLE_RATE)))
        # Twice the loop, so that any block is one slice of it.
        self._loop = (second + second).tobytes()

    def block(self, first: int, count: int) -> bytes:
        """`count` samples (at most a second) from sample number `first` of the second that is playing."""
        start = first % SAMPLE_RATE
        return self._loop[2 * start : 2 * (start + count)]


def clock_text(at_ms: int) -> str:
    """`23:59:58.04`, UTC."""
    hundredths = at_ms // 10 % 8_640_000
    seconds = hundredths // 100
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{hundredths % 100:02}"


def _bar_at(x: int, width: int) -> int:
    return x * len(_BARS) // width


def _sample(number: int) -> int:
    beep = number < SAMPLE_RATE // 10
    frequency, loudness = (880, 9000) if beep else (440, 1200)
    return round(loudness * math.sin(2 * math.pi * frequency * number / SAMPLE_RATE))
