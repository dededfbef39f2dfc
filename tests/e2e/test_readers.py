"""Every pair of codecs in every format, read and decoded by readers that are not ours: not one complaint."""

import asyncio
import importlib
import importlib.util
import shutil
from functools import cache
from pathlib import Path

import pytest

from bus_schemas.tags import HEADER_SIZE
from media import flv
from media.isobmff import read_init
from media.mpegts import Muxer, TsError
from tests.enhanced_flv import enhanced_tags
from tests.unit.transmux.sources import inits_of, make_segmenter, parts_of, run
from tests.unit.transmux.test_codecs import ingested, joined

pytestmark = pytest.mark.e2e

PAIRS = [
    ("libx264", "aac"), ("libx265", "aac"), ("libx265", "ac3"), ("libx264", "eac3"), ("libsvtav1", "libopus"),
    ("libvpx-vp9", "libopus"), ("libx264", "flac"), (None, "aac"), (None, "flac"), ("libx264", None),
    ("libx264", "libmp3lame"), (None, "libmp3lame"),
]  # fmt: skip
ENHANCED = frozenset({"libx265", "libsvtav1", "libvpx-vp9", "libopus", "flac", "ac3", "eac3"})
NOT_OURS = (
    "Svt",  # its encoder's greeting
    "Unsupported codec with id 0 for input stream",  # script tags, which are no media
    "Cannot reuse HTTP connection",
)


def ffmpegs() -> dict[str, str]:
    """A current one, and Debian's where it is installed."""
    found = {}
    if importlib.util.find_spec("imageio_ffmpeg") is not None:
        found["static"] = str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    if path := shutil.which("ffmpeg"):
        found["debian"] = path
    return found


@cache
def files(video: str | None, audio: str | None) -> dict[str, bytes]:
    """What viewers of each format get of such a publisher."""
    stream = ingested(enhanced_tags(video, audio))
    made = run(make_segmenter(), stream)
    tags = b"".join(message[HEADER_SIZE:] for _, message in stream)
    found = {
        "mp4": joined(made),
        "flv": flv.file_header(audio=audio is not None, video=video is not None) + tags,
    }
    segments: dict[int, list[bytes]] = {}
    for part in parts_of(made):
        segments.setdefault(part.header.msn, []).append(part.body)
    try:
        muxer = Muxer(read_init(inits_of(made)[0].body))
        found["ts"] = b"".join(muxer.segment(bodies, msn) for msn, bodies in segments.items())
    except TsError:
        assert video in ("libsvtav1", "libvpx-vp9") or (video is None and audio in ("flac", "libopus"))
    return found


async def complaints(ffmpeg: str, path: Path) -> list[str]:
    """What it says at warning level while it decodes all that is in a file."""
    process = await asyncio.create_subprocess_exec(
        ffmpeg, "-nostdin", "-hide_banner", "-v", "warning", "-i", str(path), "-map", "0:v?", "-map", "0:a?",
        "-f", "null", "-", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    lines = said.decode(errors="replace").splitlines()
    if process.returncode:
        lines.append(f"exit code {process.returncode}")
    return [line for line in lines if line.strip() and not any(known in line for known in NOT_OURS)]


@pytest.mark.parametrize("reader", ["static", "debian"])
@pytest.mark.parametrize(("video", "audio"), PAIRS)
async def test_it_is_decoded_in_silence(
    tmp_path: Path, video: str | None, audio: str | None, reader: str
) -> None:
    """CMAF, FLV and, where the codecs have a place in it, MPEG-TS. Debian's ffmpeg knows only classic FLV."""
    ffmpeg = ffmpegs().get(reader)
    if ffmpeg is None:
        pytest.skip(f"no {reader} ffmpeg on this machine")
    said = {}
    for form, data in files(video, audio).items():
        if form == "flv" and reader == "debian" and ENHANCED & {video, audio}:
            continue
        path = tmp_path / f"file.{form}"
        path.write_bytes(data)
        said[form] = await complaints(ffmpeg, path)

    assert {form: lines for form, lines in said.items() if lines} == {}


async def test_a_complaint_would_be_heard(tmp_path: Path) -> None:
    """A byte changed within the pictures: somebody says so."""
    data = bytearray(files("libx264", "aac")["mp4"])
    at = data.rindex(b"mdat")
    data[at + 60 : at + 90] = bytes(30)
    (path := tmp_path / "file.mp4").write_bytes(data)

    for ffmpeg in ffmpegs().values():
        assert await complaints(ffmpeg, path)
