"""Peers on the same machine, in the same run: nginx-rtmp (Debian) and Node-Media-Server (npm), where installed."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from bench import fanout
from bench.picture import make_loop
from bench.rtmp import RtmpClient
from bench.stack import Sample, cpu_seconds, rss_bytes, spent
from bench.tables import Table

_UP_S: Final = 15.0
_SETTLE_S: Final = 4.0

_NGINX: Final = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log warn;
load_module {module};
events {{ worker_connections 4096; }}
rtmp {{ server {{ listen 127.0.0.1:{port}; chunk_size 4096;
  application live {{ live on; hls on; hls_path {folder}/hls; hls_fragment 2s; }} }} }}
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A running peer."""

    name: str
    pid: int
    rtmp: str
    http: str = ""

    def sample(self) -> Sample:
        """CPU and memory of its one process."""
        return Sample(time.monotonic(), {self.name: cpu_seconds(self.pid)}, {self.name: rss_bytes(self.pid)})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _nginx_module() -> Path | None:
    for folder in ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/local/lib/nginx/modules"):
        if (found := Path(folder) / "ngx_rtmp_module.so").exists():
            return found
    return None


def _node_media_server() -> Path | None:
    folders = [Path(os.environ.get("NODE_PATH", "")), Path("node_modules"), Path("web/node_modules")]
    if npm := shutil.which("npm"):
        root = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, check=False).stdout.strip()
        folders.append(Path(root))
    for folder in folders:
        if (found := folder / "node-media-server" / "bin" / "app.js").exists():
            return found.resolve()
    return None


async def _listening(port: int) -> None:
    deadline = time.monotonic() + _UP_S
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return


@asynccontextmanager
async def _process(name: str, command: list[str], folder: str, rtmp: int, http: int) -> AsyncIterator[Peer]:
    with (Path(folder) / "output.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=log, stderr=log)
        try:
            await _listening(rtmp)
            yield Peer(
                name, process.pid, f"rtmp://127.0.0.1:{rtmp}/live", f"http://127.0.0.1:{http}" if http else ""
            )
        finally:
            if process.returncode is None:
                process.terminate()
            async with asyncio.timeout(10):
                await process.wait()


@asynccontextmanager
async def nginx_rtmp() -> AsyncIterator[Peer | None]:
    """nginx with its RTMP module, HLS on; None where it is not installed."""
    nginx, module = shutil.which("nginx") or "/usr/sbin/nginx", _nginx_module()
    if module is None or not Path(nginx).exists():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="bench-nginx-", ignore_cleanup_errors=True) as folder:
        port = _free_port()
        config = Path(folder) / "nginx.conf"
        config.write_text(_NGINX.format(folder=folder, module=module, port=port))
        async with _process("nginx-rtmp", [nginx, "-p", folder, "-c", str(config)], folder, port, 0) as peer:
            yield peer


@asynccontextmanager
async def node_media_server() -> AsyncIterator[Peer | None]:
    """Node-Media-Server on loopback; None where it is not installed."""
    node, app = shutil.which("node"), _node_media_server()
    if node is None or app is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="bench-nms-", ignore_cleanup_errors=True) as folder:
        rtmp, http = _free_port(), _free_port()
        command = [node, str(app), "-b", "127.0.0.1", "--rtmp-port", str(rtmp), "--http-port", str(http)]
        command += ["--rtmps-port", str(_free_port()), "--https-port", str(_free_port()), "--no-admin"]
        command += ["--data-path", f"{folder}/data", "--record-path", f"{folder}/record"]
        async with _process("node-media-server", command, folder, rtmp, http) as peer:
            yield peer


async def run(bench: str, options: argparse.Namespace, *, seconds: float = 10.0) -> list[Table]:
    """The same measurement against each peer that is installed."""
    tables = []
    async with node_media_server() as peer:
        if peer is not None and bench == "fanout":
            async with aiohttp.ClientSession() as session:
                url = f"{peer.http}/live/bench.flv"
                tables.append(
                    await fanout.measure(
                        "Node-Media-Server", f"{peer.rtmp}/bench", url, peer.sample, session,
                        viewers=options.viewers, kbps=options.kbps, seconds=seconds,
                    )
                )  # fmt: skip
    async with nginx_rtmp() as peer:
        if peer is not None:
            count, players = (1, options.viewers) if bench == "fanout" else (options.publishers, 1)
            kbps = options.kbps if bench == "fanout" else 2_000
            tables.append(
                await _rtmp_play(peer, publishers=count, players=players, kbps=kbps, seconds=seconds)
            )
    if not tables:
        print("No peer is installed: nginx with libnginx-mod-rtmp, or node-media-server from npm.")
    return tables


async def _rtmp_play(peer: Peer, *, publishers: int, players: int, kbps: int, seconds: float) -> Table:
    """Publishers into a peer without HTTP-FLV, each played over RTMP."""
    loop = make_loop(kbps)
    stop = asyncio.Event()
    publishing = [RtmpClient(f"{peer.rtmp}/bench{number}") for number in range(publishers)]
    playing = [
        RtmpClient(f"{peer.rtmp}/bench{number}") for number in range(publishers) for _ in range(players)
    ]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client.publish(loop, 3_600)) for client in publishing]
        await asyncio.sleep(2)
        viewers = []
        for client in playing:
            viewers.append(group.create_task(client.play(stop)))
            await asyncio.sleep(0.005)
        await asyncio.sleep(_SETTLE_S)
        before, counted = peer.sample(), [client.received_bytes for client in playing]
        await asyncio.sleep(seconds)
        after = peer.sample()
        received = [client.received_bytes - start for client, start in zip(playing, counted, strict=True)]
        stop.set()
        await asyncio.wait(viewers, timeout=5)
        for task in tasks:
            task.cancel()
    table = Table(
        f"{peer.name}: {publishers} × {loop.bitrate / 1e6:.2f} Mbit/s with HLS, {players} RTMP player(s) each",
        ("process", f"CPU s per {seconds:g} s", "memory MB"),
    )
    table.conditions.append(
        "load made on the same cores; "
        f"players received {sum(received) * 8 / seconds / len(received) / 1e6:.2f} Mbit/s each"
    )
    for kind, cpu in spent(before, after).items():
        table.add(kind, cpu, after.rss[kind] / 1e6)
    return table
