"""Tag messages to feed a segmenter: encoded by libavformat, or made up to the millisecond."""

import io
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import av

from bus_schemas.parts import InitHeader, PartFlags, PartHeader
from bus_schemas.tags import TagFlags, TagHeader
from media import flv
from workers.transmux.output import InitReady, Output, PartReady
from workers.transmux.segmenter import Segmenter

EPOCH = 1_700_000_000_000
ARRIVAL_US = 1_700_000_001_000_000
SAMPLE_RATE = 48_000
# Sequence headers as libavformat sends them: H.264 High@1.3 of 318 by 178 at 30 fps, and AAC-LC stereo of 48 kHz.
AVC_HEADER = bytes.fromhex(
    "1700000000014d400dffe10017674d400deca0a0cf511080000003008000001e078a14cb01000468ce0fc8"
)
AAC_HEADER = bytes.fromhex("af00119056e500")

Message = tuple[TagHeader, bytes]
"""Header and the whole bus message."""


@dataclass(frozen=True)
class Frame:
    """One frame to put on the bus."""

    dts: int
    key: bool = False
    audio: bool = False
    composition: int = 0
    payload: bytes = b"\0\0\0\1\x65"


def video_frames(count: int, fps: float, gop: int, *, start: int = 0) -> list[Frame]:
    """Video of constant frame rate, stamped in rounded ms as FLV does."""
    return [Frame(start + round(i * 1000 / fps), key=i % gop == 0) for i in range(count)]


def audio_frames(count: int, rate: int = SAMPLE_RATE, *, start: int = 0) -> list[Frame]:
    """AAC frames of 1,024 samples, stamped in rounded ms."""
    return [Frame(start + round(i * 1024_000 / rate), audio=True, payload=b"aac%d" % i) for i in range(count)]


def aac_header(rate_index: int = 3) -> bytes:
    """An AAC-LC stereo sequence header with this sampling frequency index."""
    return b"\xaf\x00" + (2 << 11 | rate_index << 7 | 2 << 3).to_bytes(2, "big")


def clock_tag(dts: int, pdt_ms: float) -> bytes:
    """The script tag that ingest puts before a key frame."""
    body = b"\x02\x00\x07onClock\x08\x00\x00\x00\x02"
    body += b"\x00\x03dts\x00" + struct.pack("!d", dts) + b"\x00\x03pdt\x00" + struct.pack("!d", pdt_ms)
    return flv.mux(flv.TagType.SCRIPT, dts, body + b"\x00\x00\x09")


def _tag(frame: Frame) -> bytes:
    if frame.audio:
        return flv.mux(flv.TagType.AUDIO, frame.dts, b"\xaf\x01" + frame.payload)
    head = bytes((0x17 if frame.key else 0x27, 1)) + (frame.composition & 0xFFFFFF).to_bytes(3, "big")
    return flv.mux(flv.TagType.VIDEO, frame.dts, head + frame.payload)


def messages(
    frames: Iterable[Frame],
    *,
    epoch: int = EPOCH,
    generation: int = 0,
    first: int = 0,
    headers: Sequence[bytes] = (AVC_HEADER, AAC_HEADER),
    flags: int = TagFlags.NONE,
    pdt_offset_us: int | None = ARRIVAL_US,
    announce: bool = True,
) -> list[Message]:
    """The frames as ingest sends them: a message ends with each video frame, or without video each second frame."""
    has_video = any(header[0] == 0x17 for header in headers)
    made: list[Message] = []
    body: list[bytes] = []
    dts = count = 0
    sequence = first

    def flush(extra: int = TagFlags.NONE) -> None:
        nonlocal sequence, count
        arrival = ARRIVAL_US + dts * 1000 + 3_000
        header = TagHeader(extra, generation, sequence, epoch, dts, arrival)
        made.append((header, header.pack() + b"".join(body)))
        body.clear()
        sequence += 1
        count = 0

    for number, frame in enumerate(frames):
        key = frame.key or (not has_video and number % 90 == 0)
        if key and body:
            flush()
        if not body:
            dts = frame.dts
        extra = TagFlags.NONE
        if number == 0:
            extra |= TagFlags.HEADER | flags
            kinds = [(9 if header[0] == 0x17 else 8, header) for header in headers]
            body += [flv.mux(kind, frame.dts, header) for kind, header in kinds]
        if key:
            extra |= TagFlags.KEY
            if announce and pdt_offset_us is not None:
                body.append(clock_tag(frame.dts, frame.dts + pdt_offset_us / 1000))
        body.append(_tag(frame))
        count += 1
        if key or not frame.audio or (not has_video and count == 2):
            flush(extra)
    if body:
        flush()
    return made


def end_message(after: Message) -> Message:
    """The end on purpose, behind another message."""
    before, _ = after
    header = TagHeader(
        TagFlags.END, before.generation, before.sequence + 1, before.epoch, before.dts_ms, before.arrival_us
    )
    return header, header.pack()


def make_segmenter(**more: Any) -> Segmenter:
    """A segmenter whose names are the media sequence numbers."""
    arguments: dict[str, Any] = {"job_epoch": EPOCH, "writer": 7, "names": lambda msn: f"{msn:016x}", **more}
    return Segmenter(**arguments)


def run(segmenter: Segmenter, stream: Iterable[Message]) -> list[Output]:
    """All that comes of these messages."""
    made: list[Output] = []
    for header, message in stream:
        made += segmenter.push(header, message)
    return made


def parts_of(made: Iterable[Output]) -> list[PartReady]:
    """The parts among them, without END."""
    return [out for out in made if isinstance(out, PartReady) and not out.header.flags & PartFlags.END]


def inits_of(made: Iterable[Output]) -> list[InitReady]:
    """The init segments among them."""
    return [out for out in made if isinstance(out, InitReady)]


def headers_of(made: Iterable[Output]) -> list[PartHeader]:
    """The headers of the parts."""
    return [part.header for part in parts_of(made)]


def init_header(made: Iterable[Output]) -> InitHeader:
    """The newest init segment's header."""
    return inits_of(made)[-1].header


@cache
def encoded(
    *,
    seconds: float = 5,
    fps: int = 30,
    gop: int = 60,
    video: bool = True,
    audio: bool = True,
    b_frames: int = 2,
    width: int = 318,
    height: int = 178,
) -> tuple[flv.Tag, ...]:
    """Moving grey and silence through x264 and AAC, as the tags of an FLV file."""
    file = io.BytesIO()
    with av.open(file, "w", format="flv") as container:
        sources: list[tuple[float, Any, Any]] = []
        if video:
            stream: Any = container.add_stream(
                "libx264", rate=fps, options={"g": str(gop), "bf": str(b_frames), "preset": "ultrafast",
                                              "sc_threshold": "0", "x264-params": f"bframes={b_frames}"}
            )  # fmt: skip
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for index in range(round(seconds * fps)):
                picture = av.VideoFrame(width, height, "yuv420p")
                for plane in picture.planes:
                    plane.update(bytes([index * 7 % 255]) * plane.buffer_size)
                picture.pts, picture.time_base = index, Fraction(1, fps)
                sources.append((index / fps, stream, picture))
        if audio:
            sound: Any = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")
            for index in range(round(seconds * SAMPLE_RATE / 1024)):
                samples = av.AudioFrame(format="fltp", layout="stereo", samples=1024)
                for sample_plane in samples.planes:
                    sample_plane.update(bytes(sample_plane.buffer_size))
                samples.sample_rate, samples.pts = SAMPLE_RATE, index * 1024
                samples.time_base = Fraction(1, SAMPLE_RATE)
                sources.append((index * 1024 / SAMPLE_RATE, sound, samples))
        for _, stream, frame in sorted(sources, key=lambda source: source[0]):
            container.mux(stream.encode(frame))
        for stream in {id(stream): stream for _, stream, _ in sources}.values():
            container.mux(stream.encode(None))
    return tuple(flv.demux(file.getvalue()[13:]))


def messages_of(tags: Iterable[flv.Tag], **more: Any) -> list[Message]:
    """Encoded tags as ingest sends them."""
    headers: list[bytes] = []
    frames: list[Frame] = []
    for tag in tags:
        if tag.type is flv.TagType.SCRIPT:
            continue
        if tag.payload[1] == 0:
            headers.append(tag.payload)
        elif tag.payload[1] == 1 and tag.type is flv.TagType.AUDIO:
            frames.append(Frame(tag.timestamp_ms, audio=True, payload=tag.payload[2:]))
        elif tag.payload[1] == 1:
            composition = int.from_bytes(tag.payload[2:5], "big", signed=True)
            frames.append(
                Frame(tag.timestamp_ms, tag.payload[0] >> 4 == 1, False, composition, tag.payload[5:])
            )
    if any(not frame.audio for frame in frames):
        while frames[0].audio:
            frames.pop(0)
    return messages(frames, headers=headers, **more)


def behind(stream: Iterable[Message], last: PartHeader) -> list[Message]:
    """The messages that a worker reads which goes on behind this part."""
    place = last.epoch, last.checkpoint.sequence
    return [message for message in stream if (message[0].epoch, message[0].sequence) >= place]
