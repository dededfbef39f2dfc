"""The data directory: one owner at a time, known survivors, and where its running servers are."""

import contextlib
import errno
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ops.embedded.secret import write_private
from ops.errors import OperatorError

DEFAULT = Path(__file__).resolve().parent.parent / "data"

_LOCK = "lock"
_CHILDREN = "children.json"
_ENDPOINTS = "endpoints.json"
_SURVIVORS_GONE_WITHIN = 8.0
_ASK_AGAIN_AFTER = 0.05


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses, with passwords, of the servers that a running `up` holds."""

    nats_url: str
    postgres_dsn: str
    redis_url: str
    http: str = ""


@contextlib.contextmanager
def owned(directory: Path) -> Iterator[None]:
    """Be the one owner of the data directory, making it where it is missing.

    The lock is the kernel's: it is gone with its holder, however that ended. Children of a holder that was
    killed are ended first. Raises OperatorError where the directory is in use or cannot be written.
    """
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OperatorError(
            f"The data directory {directory} cannot be written ({error.strerror}): "
            f"give this user the right to it, or choose another with --data."
        ) from error
    try:
        _lock(descriptor, directory)
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        _end_survivors(directory)
        yield
        forget_endpoints(directory)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise OperatorError(
                f"The data directory {directory} cannot be locked ({error.strerror}): "
                f"choose one on a local disk with --data."
            ) from error
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        raise OperatorError(
            f"The data directory {directory} is in use by another matinee (process {owner or 'unknown'}): "
            f"stop that one, or choose another directory with --data."
        ) from None


def is_owned(directory: Path) -> bool:
    """Whether some process holds the data directory now."""
    try:
        descriptor = os.open(directory / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def record_children(directory: Path, pids: Iterable[int]) -> None:
    """Note who must be gone before the next owner starts, should this one be killed."""
    noted = {str(pid): born for pid in pids if (born := _born(pid)) is not None}
    write_private(directory / _CHILDREN, json.dumps(noted))


def record_endpoints(directory: Path, endpoints: Endpoints) -> None:
    """Note where the servers are, readable by us alone: other commands of the same user find them here."""
    fields = {name: getattr(endpoints, name) for name in Endpoints.__slots__}
    write_private(directory / _ENDPOINTS, json.dumps(fields, indent=1))


def forget_endpoints(directory: Path) -> None:
    """The servers are gone."""
    (directory / _ENDPOINTS).unlink(missing_ok=True)
    (directory / _CHILDREN).unlink(missing_ok=True)


def endpoints_of(directory: Path) -> Endpoints | None:
    """Where the servers of a running `up` are, None where none runs on this directory."""
    if not is_owned(directory):
        return None
    try:
        return Endpoints(**json.loads((directory / _ENDPOINTS).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _end_survivors(directory: Path) -> None:
    """End the children of an owner that was killed; a pid that another program has now is left alone."""
    try:
        noted = json.loads((directory / _CHILDREN).read_text("utf-8"))
        survivors = {int(pid): int(born) for pid, born in noted.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return
    give_up = time.monotonic() + _SURVIVORS_GONE_WITHIN
    while alive := [pid for pid, born in survivors.items() if _born(pid) == born]:
        if time.monotonic() > give_up:
            for pid in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return
        # They were told to go when their parent died; those that were not are told now.
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
        time.sleep(_ASK_AGAIN_AFTER)


def _born(pid: int) -> int | None:
    """When a process started, in ticks since boot; None for one that is gone, or where there is no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    except OSError:
        return None
    fields = stat.rsplit(") ", 1)[-1].split()
    return None if fields[0] in "ZX" else int(fields[19])
