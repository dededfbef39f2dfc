"""The data directory and its one owner."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops import data_directory
from ops.data_directory import Endpoints
from ops.errors import OperatorError


def test_a_second_owner_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    """One sentence that names the process and what to do."""
    with (
        data_directory.owned(tmp_path / "data"),
        pytest.raises(OperatorError, match=rf"in use by another matinee \(process {os.getpid()}\): stop"),
        data_directory.owned(tmp_path / "data"),
    ):
        pass


def test_it_is_free_again_once_its_owner_is_gone(tmp_path: Path) -> None:
    """However the owner ended: the lock is the kernel's."""
    with data_directory.owned(tmp_path):
        assert data_directory.is_owned(tmp_path)

    assert not data_directory.is_owned(tmp_path)
    with data_directory.owned(tmp_path):
        assert data_directory.is_owned(tmp_path)


def test_a_place_that_cannot_be_a_directory_is_told_in_one_sentence(tmp_path: Path) -> None:
    """A file stands where the directory should be."""
    (tmp_path / "file").touch()

    with (
        pytest.raises(OperatorError, match="cannot be written"),
        data_directory.owned(tmp_path / "file" / "data"),
    ):
        pass


def test_the_servers_are_found_while_their_owner_lives(tmp_path: Path) -> None:
    """Readable by its user alone, and gone when the owner goes."""
    endpoints = Endpoints("nats://a", "postgresql://b", "redis://c", "http://d")

    with data_directory.owned(tmp_path):
        data_directory.record_endpoints(tmp_path, endpoints)
        found = data_directory.endpoints_of(tmp_path)
        mode = (tmp_path / "endpoints.json").stat().st_mode & 0o777

    assert found == endpoints
    assert mode == 0o600
    assert data_directory.endpoints_of(tmp_path) is None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to tell processes apart")
def test_children_of_a_killed_owner_are_ended_by_the_next(tmp_path: Path) -> None:
    """They were noted with the moment of their birth."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    data_directory.record_children(tmp_path, [child.pid])

    with data_directory.owned(tmp_path):
        pass

    assert child.wait(10) != 0


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to tell processes apart")
def test_a_process_that_has_a_dead_childs_number_now_is_left_alone(tmp_path: Path) -> None:
    """The same number, another birth."""
    stranger = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    (tmp_path / "children.json").write_text(json.dumps({str(stranger.pid): 1}))

    with data_directory.owned(tmp_path):
        pass

    assert stranger.poll() is None
    stranger.communicate(timeout=10)


@pytest.mark.parametrize("text", ["", "[]", '{"x": 1}', '{"1": "y"}', "null"])
def test_an_unreadable_note_of_children_is_passed_over(tmp_path: Path, text: str) -> None:
    """A start is not stopped by what a crash left half written."""
    (tmp_path / "children.json").write_text(text)

    with data_directory.owned(tmp_path):
        assert data_directory.is_owned(tmp_path)
