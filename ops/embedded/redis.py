"""The embedded Redis: rate limits and caches, all of which may be lost, so nothing is saved."""

import signal
from dataclasses import dataclass
from pathlib import Path

from ops.embedded.account import Account, hand_over, own_path
from ops.embedded.launch import Launch
from ops.embedded.probe import first_answer
from ops.embedded.secret import stored_secret, write_private

_CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
protected-mode yes
daemonize no
save ""
appendonly no
maxmemory {memory}
maxmemory-policy volatile-ttl
loglevel warning
"""


@dataclass(frozen=True, slots=True)
class RedisServer:
    """One redis-server under `directory`, on `port` of loopback."""

    program: Path
    directory: Path
    secrets: Path
    port: int
    account: Account | None = None
    memory: int = 256 * 1024**2
    """Bytes; beyond them the keys that would expire first are dropped."""
    name: str = "redis"

    def prepare(self) -> None:
        """Write the configuration."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        text = _CONFIG.format(port=self.port, password=self._password(), memory=self.memory)
        write_private(self.directory / "redis.conf", text)
        hand_over(self.directory, self.account)

    def launch(self) -> Launch:
        """The password is in the file: a command line can be read by everyone on the machine."""
        return Launch(
            name=self.name,
            command=(str(self.program), f"{own_path(self.directory, self.account)}/redis.conf"),
            cwd=self.directory,
            stop_signal=signal.SIGTERM,
            account=self.account,
        )

    def is_ready(self) -> bool:
        """While loading it refuses the password's command as well."""
        return first_answer(self.port, f"AUTH {self._password()}\r\n".encode()).startswith(b"+OK")

    def url(self) -> str:
        """redis://:password@host:port/0"""
        return f"redis://:{self._password()}@127.0.0.1:{self.port}/0"

    def _password(self) -> str:
        return stored_secret(self.secrets / "redis")
