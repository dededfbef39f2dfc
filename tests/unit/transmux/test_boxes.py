"""Boxes and descriptors."""

from workers.transmux.cmaf.boxes import box, descriptor, full_box


def test_a_box_begins_with_its_size_and_type() -> None:
    """ISO/IEC 14496-12, 4.2: the size counts its own header."""
    assert box(b"free", b"ab", b"c") == b"\x00\x00\x00\x0bfreeabc"
    assert full_box(b"trun", 1, 0xF01, b"x") == b"\x00\x00\x00\x0dtrun\x01\x00\x0f\x01x"


def test_a_descriptor_has_a_size_of_four_groups_of_seven_bits() -> None:
    """ISO/IEC 14496-1, 8.3.3."""
    assert descriptor(5, b"ab") == b"\x05\x80\x80\x80\x02ab"
    assert descriptor(3, bytes(300))[:5] == b"\x03\x80\x80\x82\x2c"
