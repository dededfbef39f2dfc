"""The stack under measurement: found by its ready file, spoken to over its public API, watched from outside."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

_READY_S: Final = 90.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, its threads included; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_bytes(pid: int) -> int:
    """Resident memory of a process, pages shared with others (a server's shared buffers) not counted; 0 if gone."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except FileNotFoundError:
        return 0
    return (int(fields[1]) - int(fields[2])) * _PAGE


@dataclass(frozen=True, slots=True)
class Sample:
    """CPU seconds and memory by kind of process at one moment."""

    at: float
    cpu: dict[str, float]
    rss: dict[str, int]


@dataclass
class Stack:
    """A running `matinee up`."""

    ready_file: Path
    session: aiohttp.ClientSession

    @property
    def ready(self) -> dict[str, Any]:
        """The ready file now: processes may have been replaced."""
        content: dict[str, Any] = json.loads(self.ready_file.read_text())
        return content

    @property
    def http(self) -> str:
        """Public address."""
        return str(self.ready["http"]).rstrip("/")

    def sample(self) -> Sample:
        """CPU and memory of every kind of process now; PostgreSQL with its backends."""
        cpu: dict[str, float] = {}
        rss: dict[str, int] = {}
        for kind, pids in self.ready["pids"].items():
            family = [child for pid in pids for child in (pid, *_children(pid))]
            cpu[kind] = sum(map(cpu_seconds, family))
            rss[kind] = sum(map(rss_bytes, family))
        return Sample(time.monotonic(), cpu, rss)

    async def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, token: str = "", base: str = ""
    ) -> dict[str, Any]:
        """One API call; raises on an error status with the problem's text."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.request(
            method, f"{base or self.http}/api/v1/{path}", json=body, headers=headers
        ) as response:
            text = await response.text()
            if response.status >= 400:
                raise RuntimeError(f"{method} {path}: {response.status} {text[:300]}")
            return json.loads(text) if text else {}

    async def register(self) -> str:
        """A new account; gives its access token."""
        name = "bench" + secrets.token_hex(6)
        answer = await self.call(
            "POST", "auth/register", {"username": name, "password": secrets.token_hex(12)}
        )
        return str(answer["access_token"])

    async def guest(self) -> str:
        """A new guest; gives the access token."""
        answer = await self.call("POST", "auth/guest", {"nickname": "g" + secrets.token_hex(4)})
        return str(answer["access_token"])

    async def streams(self, count: int) -> list[tuple[str, str]]:
        """New public streams: id, and the address to publish to with its key."""
        made = []
        token = ""
        for number in range(count):
            if number % 90 == 0:
                token = await self.register()
            answer = await self.call("POST", "streams", {"title": "bench"}, token=token)
            rtmp = str(self.ready["rtmp"]).rstrip("/")
            made.append((str(answer["stream"]), f"{rtmp}/{answer['stream_key']}"))
        return made


def _children(pid: int) -> list[int]:
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [int(child) for child in listed]


@asynccontextmanager
async def running_stack(ready_file: Path | None, *scale: str) -> AsyncIterator[Stack]:
    """The stack of that ready file, or one of our own on free ports, limits off, gone afterwards."""
    timeout = aiohttp.ClientTimeout(total=20)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        if ready_file is not None:
            yield Stack(ready_file, session)
            return
        with tempfile.TemporaryDirectory(prefix="matinee-bench-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o755)
            ready = Path(folder) / "ready.json"
            log = (Path(folder) / "output.log").open("wb")
            command = [sys.executable, "-m", "ops", "up", "--data", f"{folder}/data", "--port", "0"]
            command += ["--rtmp-port", "0", "--ready-file", str(ready)]
            command += ["--scale", ",".join(scale)] if scale else []
            environment = {**os.environ, "MATINEE_LIMITS__ENABLED": "false"}
            process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, env=environment)
            try:
                deadline = time.monotonic() + _READY_S
                while not ready.exists():
                    if process.returncode is not None or time.monotonic() > deadline:
                        raise RuntimeError("the stack did not start:\n" + Path(log.name).read_text()[-3000:])
                    await asyncio.sleep(0.05)
                yield Stack(ready, session)
            finally:
                if process.returncode is None:
                    process.send_signal(signal.SIGTERM)
                    try:
                        async with asyncio.timeout(40):
                            await process.wait()
                    except TimeoutError:
                        # On a machine that busy: what was measured is not lost for it.
                        print("the stack did not stop within 40 s: killed", file=sys.stderr)
                        process.kill()
                        await process.wait()
                log.close()


def spent(before: Sample, after: Sample) -> dict[str, float]:
    """CPU seconds by kind between two samples."""
    return {kind: after.cpu[kind] - before.cpu.get(kind, 0.0) for kind in after.cpu}
