"""`matinee doctor`: what a start needs, looked at one by one."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ops import data_directory
from ops.connections import load_settings
from ops.embedded.account import choose_account
from ops.embedded.ports import port_is_free
from ops.embedded.programs import find_programs
from ops.embedded.server import EmbeddedServer
from ops.embedded.stack import embedded_stack
from ops.errors import OperatorError
from ops.plan import PROJECT
from runtime.settings import Settings

_ENOUGH_DISK = 2 * 1024**3
_ENOUGH_FILES = 4096
_TRIAL_READY_WITHIN = 20.0
_VERSION_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found."""

    subject: str
    good: bool
    detail: str

    def line(self) -> str:
        """As printed."""
        return f"{'ok ' if self.good else 'BAD'}  {self.subject}: {self.detail}"


def examine(data: Path) -> list[Finding]:
    """Look at everything; a look that fails is a finding, and the others go on."""
    looks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("python", _python),
        ("settings", _settings),
        ("browser client", _browser_client),
        ("programs", _programs),
        ("data directory", lambda: _data(data)),
        ("disk", lambda: _disk(data)),
        ("open files", _open_files),
        ("ports", lambda: _ports(data)),
        ("servers", lambda: _trial(data)),
    )
    return [_finding(subject, look) for subject, look in looks]


def _finding(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, good=True, detail=look())
    except (OperatorError, OSError, subprocess.SubprocessError) as error:
        return Finding(subject, good=False, detail=str(error))


def _python() -> str:
    return f"{sys.version.split()[0]} at {sys.executable}"


def _settings() -> str:
    settings = load_settings()
    return f"valid, {_counted(settings)} of them set"


def _counted(settings: Settings) -> int:
    sections = [getattr(settings, name) for name in type(settings).model_fields]
    inner = sum(len(section.model_fields_set) for section in sections if hasattr(section, "model_fields_set"))
    return inner + sum(
        not hasattr(getattr(settings, name), "model_fields_set") for name in settings.model_fields_set
    )


def _browser_client() -> str:
    index = PROJECT / "gateway" / "static" / "app" / "index.html"
    if not index.is_file():
        raise OperatorError("not built: start any command through ./matinee, which builds it")
    return "built"


def _programs() -> str:
    programs = find_programs(choose_account())
    versions = []
    for program in (programs.nats_server, programs.postgres, programs.redis_server):
        said = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_VERSION_TIMEOUT, check=True
        )
        versions.append(" ".join(said.stdout.split()[:3]))
    return "; ".join(versions)


def _data(data: Path) -> str:
    if data_directory.is_owned(data):
        return f"{data}, in use by a running matinee"
    existing = next(folder for folder in (data, *data.parents) if folder.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        raise OperatorError(
            f"{existing} cannot be written: give this user the right to it, or choose another --data"
        )
    return f"{data} can be {'written' if existing == data else 'made'}"


def _disk(data: Path) -> str:
    existing = next(folder for folder in (data, *data.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < _ENOUGH_DISK:
        raise OperatorError(
            f"only {free >> 20} MB free under {existing}: make room, or choose another --data"
        )
    return f"{free >> 30} GB free"


def _open_files() -> str:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _ENOUGH_FILES:
        raise OperatorError(
            f"at most {hard} per process: raise the limit (ulimit -Hn) to {_ENOUGH_FILES} or more"
        )
    return f"up to {'any number' if hard == resource.RLIM_INFINITY else hard} per process"


def _ports(data: Path) -> str:
    if data_directory.is_owned(data):
        return "held by the running matinee"
    settings = load_settings()
    wanted = (
        ("HTTP", settings.gateway.host, settings.gateway.port),
        ("RTMP", settings.ingest.host, settings.ingest.rtmp_port),
    )
    for name, host, port in wanted:
        if port and not port_is_free(host, port):
            raise OperatorError(
                f"the {name} port {port} is taken: stop what listens there, or choose another"
            )
    return ", ".join(f"{name} {port or 'any'}" for name, _, port in wanted) + " free"


def _trial(data: Path) -> str:
    """Start each server on an empty directory and ask it whether it serves."""
    if data_directory.is_owned(data):
        return "running"
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="matinee-doctor-") as folder:
        stack = embedded_stack(Path(folder), durable=False)
        servers: Iterable[EmbeddedServer] = (stack.nats, stack.redis, stack.postgres)
        for server in servers:
            _try_out(server)
    return f"nats, redis and postgres start, {time.monotonic() - began:.1f} s in all"


def _try_out(server: EmbeddedServer) -> None:
    server.prepare()
    launch = server.launch()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(launch.command, **launch.options(), stdout=output, stderr=output)
        try:
            give_up = time.monotonic() + _TRIAL_READY_WITHIN
            while not server.is_ready():
                if process.poll() is not None or time.monotonic() > give_up:
                    output.seek(0)
                    said = output.read().decode("utf-8", "replace").strip().splitlines()
                    raise OperatorError(
                        f"{server.name} does not start: {said[-1] if said else 'it says nothing'}"
                    )
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
