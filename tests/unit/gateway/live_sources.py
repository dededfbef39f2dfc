"""Tags, parts and transports that tests of live delivery are made from."""

from bus_schemas.parts import Checkpoint, InitHeader, PartFlags, PartHeader
from media import flv

EPOCH = 1_800_000_000_000
AVC_HEADER = flv.mux(flv.TagType.VIDEO, 0, b"\x17\x00\x00\x00\x00record")
AAC_HEADER = flv.mux(flv.TagType.AUDIO, 0, b"\xaf\x00\x12\x10")
METADATA = flv.mux(flv.TagType.SCRIPT, 0, b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x00\x00\x00\x09")
HEADERS = METADATA + AAC_HEADER + AVC_HEADER


def key_frame(dts_ms: int, body: bytes = b"key") -> bytes:
    """A complete FLV tag of an AVC key frame."""
    return flv.mux(flv.TagType.VIDEO, dts_ms, b"\x17\x01\x00\x00\x00" + body)


def inter_frame(dts_ms: int, body: bytes = b"inter") -> bytes:
    """A complete FLV tag of an AVC inter frame."""
    return flv.mux(flv.TagType.VIDEO, dts_ms, b"\x27\x01\x00\x00\x00" + body)


def audio_frame(dts_ms: int) -> bytes:
    """A complete FLV tag of an AAC frame."""
    return flv.mux(flv.TagType.AUDIO, dts_ms, b"\xaf\x01sound")


CHECKPOINT = Checkpoint(
    job_epoch=EPOCH, writer=1, sequence=1, tag=0, resync=False, segment_start=-1,
    audio_ticks=-1, pdt_offset_us=0, clock_target_us=0,
)  # fmt: skip


def name_of(msn: int) -> str:
    """The unguessable name of a segment, as far as tests are concerned."""
    return f"{msn:016x}"


def part_header(
    msn: int,
    part: int,
    *,
    last: bool = False,
    independent: bool | None = None,
    end: bool = False,
    target: int = 2,
    init: int = 0,
    discontinuity: int = 0,
    begins_discontinuity: bool = False,
    duration_us: int = 200_000,
    epoch: int = EPOCH,
) -> PartHeader:
    """A part of a stream whose segments have ten parts of 0.2 s."""
    flags = PartFlags.NONE
    for flag, wanted in (
        (PartFlags.LAST, last),
        (PartFlags.INDEPENDENT, part == 0 if independent is None else independent),
        (PartFlags.END, end),
        (PartFlags.DISCONTINUITY, begins_discontinuity),
    ):
        flags |= flag if wanted else PartFlags.NONE
    at = msn * 2_000_000 + part * 200_000
    return PartHeader(
        flags=flags, msn=msn, part=part, duration_us=0 if end else duration_us, target_duration=target,
        generation=0, init=init, discontinuity=discontinuity, dts_ms=at // 1_000,
        pdt_us=EPOCH * 1_000 + at, epoch=epoch, name=name_of(msn), next_name=name_of(msn + 1),
        checkpoint=CHECKPOINT,
    )  # fmt: skip


def init_header(number: int = 0, **changed: object) -> InitHeader:
    """An init segment's header of 720p AVC with AAC."""
    fields: dict[str, object] = {
        "init": number, "epoch": EPOCH, "generation": 0, "name": f"{0xABC0 + number:016x}",
        "codecs": "avc1.64001f,mp4a.40.2", "width": 1280, "height": 720, "frame_rate": 30.0,
        "sample_rate": 48_000, "channels": 2, "bandwidth": 0, "video_record": b"", "audio_record": b"",
    }  # fmt: skip
    return InitHeader(**{**fields, **changed})  # type: ignore[arg-type]
