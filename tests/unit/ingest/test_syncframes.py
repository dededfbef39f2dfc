"""E-AC-3 frames of few blocks."""

from hypothesis import given
from hypothesis import strategies as st

from media import ac3, flv
from media.av_tags import PacketType, parse_audio
from tests.enhanced_flv import bodies, enhanced_tags
from workers.ingest.syncframes import Syncframes


def frames(kbps: int) -> list[bytes]:
    """What an encoder gives at that rate."""
    found = []
    for payload in bodies(enhanced_tags(None, "eac3", seconds=1, sound_kbps=kbps), flv.TagType.AUDIO):
        tag = parse_audio(payload)
        if tag.packet_type is PacketType.FRAME:
            found.append(payload[tag.body :])
    return found


SMALL = frames(1_500)
USUAL = frames(192)


def test_what_the_encoder_gives() -> None:
    """Above a megabit: half frames, or less."""
    assert {ac3.unit_blocks(frame) for frame in USUAL} == {6}
    assert {ac3.unit_blocks(frame) for frame in SMALL} == {3}


def test_frames_are_joined_to_six_blocks() -> None:
    """In their order, none left out, the time of the first."""
    joiner = Syncframes()

    taken = [joiner.take(frame) for frame in SMALL[:8]]

    units = [found for found in taken if found is not None]
    assert [found is None for found in taken] == [True, False] * 4
    assert b"".join(unit for unit, _ in units) == b"".join(SMALL[:8])
    assert {(ac3.unit_blocks(unit), before) for unit, before in units} == {(6, 768)}


def test_whole_frames_go_through() -> None:
    """Also behind half a unit, which is dropped and counted."""
    joiner = Syncframes()

    assert joiner.take(USUAL[0]) == (USUAL[0], 0)
    assert joiner.take(SMALL[0]) is None
    assert joiner.take(USUAL[1]) == (USUAL[1], 0)
    assert joiner.dropped == 1


def test_a_dependent_substream_is_for_the_time_of_its_independent_one() -> None:
    """Its blocks are not counted: a 7.1 programme is one access unit."""
    frame = bytearray(USUAL[0])
    dependent = bytearray(frame)
    dependent[2] |= 0x40

    assert ac3.unit_blocks(bytes(frame + dependent)) == 6
    assert ac3.unit_blocks(bytes(dependent)) == 0


@given(st.lists(st.one_of(st.sampled_from([*SMALL[:3], *USUAL[:2]]), st.binary(max_size=12)), max_size=20))
def test_whatever_comes_is_joined_or_passed_on(drawn: list[bytes]) -> None:
    """Every frame comes out once, waits, or is counted as dropped; what is joined has six blocks."""
    joiner = Syncframes()
    given_size = sum(map(len, drawn))
    out = [found for frame in drawn if (found := joiner.take(frame)) is not None]

    for unit, before in out:
        assert ac3.unit_blocks(unit) in (0, 6)
        assert 0 <= before < 1_536
    assert sum(len(unit) for unit, _ in out) <= given_size
    assert len(out) + joiner.dropped <= len(drawn)
