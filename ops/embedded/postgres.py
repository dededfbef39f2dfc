"""The embedded PostgreSQL: one cluster in the data directory, TCP on loopback with a password."""

import os
import shutil
import signal
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ops.embedded.account import Account, hand_over, own_path
from ops.embedded.launch import Launch
from ops.embedded.probe import first_answer
from ops.embedded.secret import stored_secret
from ops.errors import OperatorError

USER = "matinee"
DATABASE = "matinee"
_INITDB_TIMEOUT = 60.0
_PROTOCOL_3_0 = 196_608

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "wal_level": "replica",
    "max_wal_senders": "0",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    # A commit that a power cut may lose is refused: accounts and chat are in here.
    "synchronous_commit": "on",
}
_SETTINGS_OF_TESTS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """One postgres under `directory`, on `port` of loopback."""

    initdb: Path
    program: Path
    directory: Path
    secrets: Path
    port: int
    account: Account | None = None
    durable: bool = True
    """False for tests: nothing is forced to disk."""
    name: str = "postgres"

    def prepare(self) -> None:
        """Make the cluster where there is none yet, and clear away a lock that names no PostgreSQL."""
        if self.directory.exists():
            hand_over(self.directory, self.account)
            self._drop_stale_lock()
        else:
            self._make_cluster()

    def launch(self) -> Launch:
        """Stopped by SIGINT, which sends clients away and writes everything (SIGTERM would wait for them)."""
        settings = {**_SETTINGS, "port": str(self.port), **({} if self.durable else _SETTINGS_OF_TESTS)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Launch(
            name=self.name,
            command=(str(self.program), "-D", own_path(self.directory, self.account), *options),
            cwd=self.directory,
            env=_environment(),
            stop_signal=signal.SIGINT,
            account=self.account,
        )

    def is_ready(self) -> bool:
        """A start-up packet is answered by R (authenticate) once it serves, by E while it recovers."""
        words = f"user\0{USER}\0database\0postgres\0\0".encode()
        packet = struct.pack("!ii", 8 + len(words), _PROTOCOL_3_0) + words
        return first_answer(self.port, packet).startswith(b"R")

    def url(self) -> str:
        """postgresql://user:password@host:port/database"""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The address of another database of this server."""
        return f"postgresql://{USER}:{self._password()}@127.0.0.1:{self.port}/{database}"

    def _password(self) -> str:
        return stored_secret(self.secrets / "postgres")

    def _make_cluster(self) -> None:
        """Under a temporary name first: one whose making was interrupted is never taken for a whole one."""
        draft = self.directory.with_name(f"{self.directory.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        hand_over(draft, self.account)
        with tempfile.NamedTemporaryFile("w", prefix="matinee-", encoding="ascii") as password_file:
            password_file.write(self._password() + "\n")
            password_file.flush()
            if self.account is not None:
                os.fchown(password_file.fileno(), self.account.uid, self.account.gid)
            self._run_initdb(draft, password_file.name)
        draft.rename(self.directory)

    def _run_initdb(self, directory: Path, password_file: str) -> None:
        command = (
            str(self.initdb), "-D", own_path(directory, self.account), "-U", USER,
            f"--pwfile={password_file}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
            *(() if self.durable else ("--no-sync",)),
        )  # fmt: skip
        launch = Launch("initdb", command, directory, _environment(), account=self.account)
        try:
            done = subprocess.run(
                command,
                **launch.options(),
                capture_output=True,
                text=True,
                timeout=_INITDB_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise OperatorError(
                f"PostgreSQL did not finish making its files in {directory} within "
                f"{_INITDB_TIMEOUT:.0f} s: check that the disk is not full or very slow."
            ) from error
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise OperatorError(
                f"PostgreSQL could not make its files in {directory} "
                f"({said[-1] if said else 'it says nothing'}): make room there, or choose another --data."
            )

    def _drop_stale_lock(self) -> None:
        """Remove a lock file left by a killed server whose number some other program has now.

        PostgreSQL itself removes one whose number is free. One that names a running postgres is left to it.
        """
        lock = self.directory / "postmaster.pid"
        try:
            pid = int(lock.read_text("ascii").split("\n", 1)[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return
        if b"postgres" not in command:
            lock.unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    """Nothing of ours: a PGDATA or PGPORT in the caller's environment is not meant for this server."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
