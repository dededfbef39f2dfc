"""The whole of Matinee as a child process, for tests from outside."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
READY_WITHIN = 120.0
STOPPED_WITHIN = 60.0


@dataclass(slots=True)
class MatineeStack:
    """A running `matinee up` with an empty data directory of its own, on free ports."""

    process: subprocess.Popen[bytes]
    directory: Path
    environment: dict[str, str]

    @property
    def ready(self) -> dict[str, Any]:
        """What the ready file says now: http, rtmp, metrics, pids, gateways."""
        content: dict[str, Any] = json.loads((self.directory / "ready.json").read_text("utf-8"))
        return content

    @property
    def http(self) -> str:
        """Base address of the shared public port, without a slash at its end."""
        return str(self.ready["http"]).rstrip("/")

    @property
    def rtmp(self) -> str:
        """Address to publish to, without the key."""
        return str(self.ready["rtmp"]).rstrip("/")

    @property
    def gateways(self) -> list[dict[str, Any]]:
        """Each gateway's pid and the base address of its own port."""
        return list(self.ready["gateways"])

    def pids(self, kind: str) -> list[int]:
        """Process ids of one kind: gateway, ingest, transmux, sync, chat, nats, postgres, redis."""
        return list(self.ready["pids"].get(kind, []))

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.directory / "data"

    def log(self) -> str:
        """All it has printed so far."""
        return (self.directory / "output.log").read_text("utf-8", errors="replace")

    def cli(self, *words: str, timeout: float = 30.0, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run another `matinee` command against this stack's data directory."""
        return subprocess.run(
            [sys.executable, "-m", "ops", *words],
            cwd=PROJECT, env={**self.environment, "MATINEE_DATA": str(self.data)},
            input=text, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def stop(self) -> int:
        """Ask it to drain and go; its exit code. A stop that takes too long fails the test."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(
                f"matinee did not stop within {STOPPED_WITHIN} s:\n{self.log()[-6000:]}"
            ) from None


def start_matinee(
    directory: Path, *options: str, environment: dict[str, str] | None = None, wait: bool = True
) -> MatineeStack:
    """Start `matinee up` below `directory` on free ports, and return once its ready file is there."""
    directory.mkdir(parents=True, exist_ok=True)
    ready_file = directory / "ready.json"
    ready_file.unlink(missing_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MATINEE_")}
    env = {**inherited, "PYTHONUNBUFFERED": "1", **(environment or {})}
    command = [
        sys.executable, "-m", "ops", "up", "--data", str(directory / "data"), "--host", "127.0.0.1",
        "--port", "0", "--rtmp-port", "0", "--ready-file", str(ready_file), *options,
    ]  # fmt: skip
    with (directory / "output.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    running = MatineeStack(process, directory, env)
    give_up = time.monotonic() + READY_WITHIN
    while wait and not ready_file.exists():
        if process.poll() is not None or time.monotonic() > give_up:
            if process.poll() is None:
                running.stop()
            raise AssertionError(f"matinee did not become ready:\n{running.log()[-8000:]}")
        time.sleep(0.02)
    return running
