"""Free ports: what one process has chosen no other one chooses, long before anybody listens there."""

import os
import subprocess
import sys

import pytest

from ops.embedded import ports
from tests.stack import PROJECT

CHOOSER = """
import sys
from ops.embedded import ports
ports._FIRST, ports._LAST = {first}, {last}
print(*(ports.free_port() for _ in range({count})), flush=True)
sys.stdin.read()
"""


def test_two_processes_never_choose_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten ports one process takes six, and the other gets of what is left; when the first dies, all are free."""
    first = next(start for start in range(20_000, 32_000, 10) if _all_free(start))
    monkeypatch.setattr(ports, "_FIRST", first)
    monkeypatch.setattr(ports, "_LAST", first + 9)
    monkeypatch.setattr(ports, "_claims", {})
    chooser = CHOOSER.format(first=first, last=first + 9, count=6)
    with subprocess.Popen(
        [sys.executable, "-c", chooser], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        theirs = {int(port) for port in other.stdout.readline().split()}

        ours = {ports.free_port() for _ in range(2)}

        other.kill()
    again = {ports.free_port() for _ in range(5)}
    for claim in ports._claims.values():
        os.close(claim)

    assert (len(theirs), len(ours)) == (6, 2)
    assert not theirs & ours
    assert again & theirs


def _all_free(first: int) -> bool:
    return all(ports.port_is_free("127.0.0.1", port) for port in range(first, first + 10))
