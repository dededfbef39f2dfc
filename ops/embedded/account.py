"""The account the servers run under: ours, or an unprivileged one where we are root.

PostgreSQL refuses to run as root, and the other two have no reason to. The account needs a name in the
password database, because initdb looks its own user up.
"""

import os
import pwd
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ops.errors import OperatorError

# Every Unix has at least one of these; the first one present is the same on each start of a machine.
_CANDIDATES = ("nobody", "daemon", "bin")


@dataclass(frozen=True, slots=True)
class Account:
    """A user and group that the servers are switched to before they start."""

    uid: int
    gid: int


def choose_account() -> Account | None:
    """The account to switch to, or None where we are not root and the servers simply run as we do."""
    if os.geteuid() != 0:
        return None
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    raise OperatorError(
        "The servers must not run as root and no account named nobody, daemon or bin exists: "
        "run matinee as an ordinary user."
    )


def can_reach(path: Path, account: Account | None) -> bool:
    """Whether the account may walk down to this path and enter or run what is there.

    Judged by the permission bits of the path and of every directory above it.
    """
    if account is None:
        return True
    return all(_may_pass(step.stat(), account) for step in _steps(path.resolve()))


def own_path(directory: Path, account: Account | None) -> str:
    """A directory's path as a server that is started inside it should name it.

    Where its account cannot walk down to the directory (below /root, or in a private temporary directory),
    it uses the one it was started in, which needs no walk.
    """
    if can_reach(directory, account) or not sys.platform.startswith("linux"):
        return str(directory.resolve())
    return "/proc/self/cwd"


def hand_over(directory: Path, account: Account | None) -> None:
    """Give a directory and all below it to the account, closed to everyone else."""
    directory.chmod(0o700)
    if account is None:
        return
    if directory.stat().st_uid == account.uid:
        # Below lie the server's own files, and at most new ones that we have just written beside them.
        for entry in os.scandir(directory):
            if entry.stat(follow_symlinks=False).st_uid != account.uid:
                os.chown(entry.path, account.uid, account.gid, follow_symlinks=False)
        return
    os.chown(directory, account.uid, account.gid)
    for parent, folders, files in os.walk(directory):
        for name in (*folders, *files):
            os.chown(Path(parent) / name, account.uid, account.gid, follow_symlinks=False)


def _steps(path: Path) -> Iterator[Path]:
    yield path
    yield from path.parents


def _may_pass(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & 0o100)
    if status.st_gid == account.gid:
        return bool(status.st_mode & 0o010)
    return bool(status.st_mode & 0o001)
