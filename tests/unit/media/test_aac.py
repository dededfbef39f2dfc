"""AAC's codec record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media import aac


def bits(*fields: tuple[int, int]) -> bytes:
    """Values of given widths, most significant first, filled up with zeros to whole bytes."""
    text = "".join(f"{value:0{width}b}" for value, width in fields)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


LC = ((2, 5), (3, 4), (2, 4), (0, 3))


@pytest.mark.parametrize(
    ("record", "codec", "rate", "channels", "output"),
    [
        (bits(*LC), "mp4a.40.2", 48_000, 2, 48_000),
        (bytes.fromhex("1208"), "mp4a.40.2", 44_100, 1, 44_100),
        (bytes.fromhex("119056e500"), "mp4a.40.2", 48_000, 2, 48_000),
        (bits((2, 5), (15, 4), (37_800, 24), (2, 4), (0, 3)), "mp4a.40.2", 37_800, 2, 37_800),
        (bits((5, 5), (6, 4), (2, 4), (3, 4), (2, 5), (0, 3)), "mp4a.40.5", 24_000, 2, 48_000),
        (bits((29, 5), (6, 4), (1, 4), (3, 4), (2, 5), (0, 3)), "mp4a.40.29", 24_000, 1, 48_000),
        (bits((2, 5), (6, 4), (2, 4), (0, 3), (0x2B7, 11), (5, 5), (1, 1), (3, 4)), "mp4a.40.5", 24_000, 2, 48_000),
        (
            bits((2, 5), (6, 4), (1, 4), (0, 3), (0x2B7, 11), (5, 5), (1, 1), (3, 4), (0x548, 11), (1, 1)),
            "mp4a.40.29", 24_000, 1, 48_000,
        ),
        (bits((2, 5), (3, 4), (7, 4), (0, 3)), "mp4a.40.2", 48_000, 8, 48_000),
    ],
)  # fmt: skip
def test_a_record_is_read(record: bytes, codec: str, rate: int, channels: int, output: int) -> None:
    """Object type, core and output rates, channels; SBR and PS signalled both ways."""
    config = aac.parse_config(record)

    assert (config.codec, config.sample_rate, config.channels) == (codec, rate, channels)
    assert (config.output_rate, config.frame_samples) == (output, 1024)


def test_short_frames_are_known() -> None:
    """frameLengthFlag makes 960 samples a frame."""
    assert aac.parse_config(bits((2, 5), (3, 4), (2, 4), (1, 1), (0, 2))).frame_samples == 960


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\x12",
        bits((2, 5), (13, 4), (2, 4), (0, 3)),
        bits((2, 5), (3, 4), (15, 4), (0, 3)),
        bits((31, 5), (10, 6), (3, 4), (2, 4), (0, 3)),
        bits((2, 5), (15, 4), (5, 24), (2, 4), (0, 3)),
    ],
)
def test_a_broken_record_is_named(broken: bytes) -> None:
    """Every fault is an AacError."""
    with pytest.raises(aac.AacError):
        aac.parse_config(broken)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_value_or_a_named_error(data: bytes) -> None:
    """Whatever is read has a usable clock."""
    try:
        config = aac.parse_config(data)
    except aac.AacError:
        return
    assert config.sample_rate >= 1_000
    assert config.frame_samples in (960, 1024)
