"""`matinee up`: starts, keeps alive, drains, and tells what is wrong in one sentence."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.stack import PROJECT, MatineeStack, start_matinee

pytestmark = pytest.mark.connected

FEW = ("--scale", "gateway=0,ingest=1,transmux=0,sync=2,chat=0")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MatineeStack]:
    """Servers, one ingest and two sync workers, shared by this module."""
    running = start_matinee(tmp_path_factory.mktemp("few"), *FEW)
    yield running
    running.stop()


def test_the_ready_file_names_every_process(few: MatineeStack) -> None:
    """As many of each kind as were asked for, all alive."""
    pids = few.ready["pids"]

    assert {kind: len(numbers) for kind, numbers in pids.items()} == {
        "gateway": 0, "ingest": 1, "transmux": 0, "sync": 2, "chat": 0, "nats": 1, "postgres": 1, "redis": 1,
    }  # fmt: skip
    for numbers in pids.values():
        for pid in numbers:
            os.kill(pid, 0)


def test_rtmp_is_open_where_the_ready_file_says(few: MatineeStack) -> None:
    """The port was free, and is now listened on."""
    address = urlsplit(few.rtmp)

    with socket.create_connection((address.hostname or "", address.port or 0), 5):
        pass


def test_one_page_holds_the_metrics_of_all(few: MatineeStack) -> None:
    """Each process's samples carry its name."""
    address = urlsplit(str(few.ready["metrics"]))
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    connection.request("GET", address.path)
    page = connection.getresponse().read().decode()
    connection.close()

    for process in ("ingest-1", "sync-1", "sync-2"):
        assert f'process="{process}"' in page


@pytest.mark.parametrize("kind", ["sync", "ingest", "nats", "postgres", "redis"])
def test_what_is_killed_comes_back(few: MatineeStack, kind: str) -> None:
    """kill -9 of any child: another one within seconds, in the ready file too, and the rest stay."""
    before = few.ready["pids"]

    os.kill(before[kind][0], signal.SIGKILL)

    _wait_until(lambda: len(set(few.pids(kind)) - {before[kind][0]}) == len(before[kind]), 40.0)
    others = {name: pids for name, pids in few.ready["pids"].items() if name != kind}
    assert others == {name: pids for name, pids in before.items() if name != kind}


def test_a_second_up_on_the_same_data_is_refused(few: MatineeStack) -> None:
    """One sentence with what to do, and an exit code."""
    second = _up("--data", str(few.data), "--port", "0", "--rtmp-port", "0")

    assert second.returncode == 1
    assert "is in use by another matinee" in second.stderr


@pytest.mark.parametrize("flag", ["--port", "--rtmp-port"])
def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path, flag: str) -> None:
    """The sentence names the flag that chooses another."""
    other = "--rtmp-port" if flag == "--port" else "--port"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = str(listener.getsockname()[1])
        refused = _up("--data", str(tmp_path / "data"), flag, taken, other, "0")

    assert refused.returncode == 1
    assert f"Port {taken} is taken: stop what listens there, or choose another with {flag}." in refused.stderr
    assert not (tmp_path / "data" / "postgres").exists()


def test_an_unwritable_data_directory_is_told(tmp_path: Path) -> None:
    """A file stands in its way, which stops root as well."""
    (tmp_path / "file").touch()

    refused = _up("--data", str(tmp_path / "file" / "data"), "--port", "0", "--rtmp-port", "0")

    assert refused.returncode == 1
    assert "cannot be written" in refused.stderr


def test_an_unknown_setting_is_told(tmp_path: Path) -> None:
    """With its name, before anything starts."""
    refused = _up("--data", str(tmp_path / "data"), environment={"MATINEE_GATEWAY__PROT": "1"})

    assert refused.returncode == 1
    assert "MATINEE_GATEWAY__PROT: no such setting" in refused.stderr


def test_the_first_root_account_is_printed_once(few: MatineeStack) -> None:
    """And the operator can make more, and cannot take the last one away."""
    assert few.log().count("First account    root, password ") == 1

    made = few.cli("user", "add", "alice", "--role", "admin", text="password-1\n")
    again = few.cli("user", "add", "ALICE", text="password-1\n")
    short = few.cli("user", "passwd", "alice", text="short\n")
    last = few.cli("user", "role", "root", "user")

    assert (made.returncode, made.stdout) == (0, "The account alice is there, with role admin.\n")
    assert (again.returncode, "is taken" in again.stderr) == (1, True)
    assert (short.returncode, "8 to 256" in short.stderr) == (1, True)
    assert (last.returncode, "last root account" in last.stderr) == (1, True)


def test_the_operator_invites_to_the_site(few: MatineeStack) -> None:
    """A code each time, and how long it lives is bounded."""
    first, second = few.cli("user", "invite", "--hours", "2"), few.cli("user", "invite")

    for made in (first, second):
        assert re.fullmatch(r"The code: [A-Za-z0-9]{22}\n", made.stdout), made.stderr
    assert first.stdout != second.stdout
    assert few.cli("user", "invite", "--hours", "0").returncode == 2


def test_nodes_lists_who_is_alive(few: MatineeStack) -> None:
    """From the bucket in which each process says so."""
    there: set[str] = set()
    deadline = time.monotonic() + 30
    while not {"ingest-1", "sync-1", "sync-2"} <= there and time.monotonic() < deadline:
        listed = few.cli("nodes")
        assert listed.returncode == 0, listed.stderr
        there = set(listed.stdout.split())

    assert {"ingest-1", "sync-1", "sync-2"} <= there


def test_it_starts_again_on_its_data_and_leaves_nothing_running(
    start_stack: Callable[..., MatineeStack], tmp_path: Path
) -> None:
    """SIGTERM drains everything, exit code 0; the second start has the data of the first, and takes no longer."""
    began = time.monotonic()
    first = start_stack(*FEW)
    first_took = time.monotonic() - began
    processes = [pid for pids in first.ready["pids"].values() for pid in pids]
    assert first.cli("user", "add", "kept", text="password-1\n").returncode == 0

    code = first.stop()

    assert code == 0
    assert [pid for pid in processes if _alive(pid)] == []
    assert not (first.directory / "ready.json").exists()
    began = time.monotonic()
    second = start_matinee(first.directory, *FEW)
    took = time.monotonic() - began
    again = second.cli("user", "add", "kept", text="password-1\n")
    second.stop()
    assert "is taken" in again.stderr
    assert took < max(5.0, first_took)


def test_after_a_killed_supervisor_nothing_stays_and_the_next_start_works(
    start_stack: Callable[..., MatineeStack],
) -> None:
    """The children die with it, and their data directory is free."""
    first = start_stack(*FEW)
    processes = [pid for pids in first.ready["pids"].values() for pid in pids]

    first.process.kill()
    first.process.wait(20)
    second = start_matinee(first.directory, *FEW)

    survivors = [pid for pid in processes if _alive(pid)]
    second.stop()
    assert survivors == []


def _up(*options: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MATINEE_")}
    return subprocess.run(
        [sys.executable, "-m", "ops", "up", *options],
        cwd=PROJECT, env={**inherited, **(environment or {})},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False


def _wait_until(holds: Callable[[], bool], seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, "not within the time allowed"
        time.sleep(0.02)
