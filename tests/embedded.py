"""Real servers for tests: the embedded ones, on free ports, below a temporary directory.

Started without an event loop, so that a fixture of any scope can hold them; they die with the test process.
"""

import itertools
import subprocess
import time
from pathlib import Path

from ops.embedded.nats import NatsServer
from ops.embedded.postgres import PostgresServer
from ops.embedded.server import EmbeddedServer
from ops.embedded.stack import Stack, embedded_stack

READY_WITHIN = 60.0
STOPPED_WITHIN = 30.0

_numbers = itertools.count(1)


class RunningServer:
    """One started server; `kill` and `start` again for tests of its absence."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.server = server
        self.process: subprocess.Popen[bytes] | None = None
        self.log = Path()

    @property
    def url(self) -> str:
        """The address for clients, the same after every start."""
        return self.server.url()

    @property
    def pid(self) -> int:
        """Of the process running now."""
        assert self.process is not None, "not started"
        return self.process.pid

    def start(self) -> None:
        """Prepare, start, and return once it serves."""
        self.server.prepare()
        launch = self.server.launch()
        self.log = launch.cwd.parent / f"{launch.name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                launch.command, **launch.options(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        give_up = time.monotonic() + READY_WITHIN
        while not self.server.is_ready():
            if self.process.poll() is not None or time.monotonic() > give_up:
                self.kill()
                raise AssertionError(f"{launch.name} did not become ready:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.01)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOPPED_WITHIN)

    def stop(self) -> None:
        """Ask it to go, and make sure that it went."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(self.server.launch().stop_signal)
        try:
            self.process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()


def servers_in(directory: Path) -> Stack:
    """The three servers of an empty directory, not started, forcing nothing to disk."""
    return embedded_stack(directory, durable=False)


def fresh_name(prefix: str) -> str:
    """A name that no other test of this run has had."""
    return f"{prefix}_{next(_numbers)}"


def nats_in(directory: Path) -> NatsServer:
    """A NATS server of its own, not started."""
    return servers_in(directory).nats


def postgres_in(directory: Path) -> PostgresServer:
    """A PostgreSQL server of its own, not started."""
    return servers_in(directory).postgres
