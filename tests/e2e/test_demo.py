"""`matinee up --demo`: a room with a moving picture, without another program or account."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from tests.stack import MatineeStack, start_matinee

pytestmark = pytest.mark.e2e

T = TypeVar("T")

WITHIN = 30.0


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MatineeStack]:
    """A Matinee with the test picture, shared by this module."""
    running = start_matinee(tmp_path_factory.mktemp("demo"), "--demo")
    yield running
    running.stop()


def test_the_test_picture_is_on_by_itself(demo: MatineeStack) -> None:
    """Its links are printed, its room opens, and it plays over FLV and HLS."""
    made, http = _room_of(demo), demo.http

    playlist = _once_there(lambda: _read(f"{http}/live/{made['stream']}/index.m3u8", 10_000))
    beginning = _once_there(lambda: _read(f"{http}/live/{made['stream']}.flv", 50_000))
    page = _read(f"{http}/r/{made['room']}", 10_000)

    assert b"avc1." in playlist
    assert beginning[:3] == b"FLV"
    assert len(beginning) == 50_000
    assert b"<html" in page.lower()
    for link in (f"/r/{made['room']}", f"/live/{made['stream']}.flv", f"/live/{made['stream']}/index.m3u8"):
        assert http + link in demo.log()


def test_the_command_line_shows_how_the_picture_arrives(demo: MatineeStack) -> None:
    """Codecs, bitrate, frame rate, who watches and who publishes, as the API shows them."""
    stream = _room_of(demo)["stream"]

    def line() -> list[str] | None:
        listed = demo.cli("stream", "list").stdout.splitlines()
        rows = [row.split() for row in listed if row.startswith(stream)]
        return rows[0] if rows and rows[0][1] != "-" and "(flv" in rows[0] else None

    with urllib.request.urlopen(f"{demo.http}/live/{stream}.flv", timeout=30) as viewer:
        viewer.read(1000)
        shown = _once_there(line)

    assert shown[1].startswith("avc1.")
    assert int(shown[2]) > 0
    assert 20 < float(shown[3]) < 30
    assert shown[4:6] == ["0", "0"]
    assert "127.0.0.1" in shown


def test_a_kicked_test_picture_comes_back(demo: MatineeStack) -> None:
    """Its publisher is sent away at the command line, and publishes again to the same room."""
    stream = _room_of(demo)["stream"]
    flv = f"{demo.http}/live/{stream}.flv"
    _once_there(lambda: _read(flv, 1000))

    kicked = demo.cli("stream", "kick", stream)

    assert kicked.returncode == 0, kicked.stderr
    _once_there(lambda: "cut off" in demo.log() or None)
    assert _once_there(lambda: _read(flv, 1000))


def _room_of(demo: MatineeStack) -> dict[str, str]:
    found: dict[str, str] = _once_there(lambda: json.loads((demo.data / "demo.json").read_text("utf-8")))
    return found


def _read(url: str, most: int) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        content: bytes = answer.read(most)
    return content


def _once_there(look: Callable[[], T | None]) -> T:
    """What `look` finds, once it finds something within the time allowed."""
    give_up = time.monotonic() + WITHIN
    while True:
        try:
            found = look()
        except (OSError, ValueError, urllib.error.HTTPError):
            found = None
        if found is not None:
            return found
        assert time.monotonic() < give_up, "not within the time allowed"
        time.sleep(0.1)
