"""The embedded NATS server, with JetStream in the data directory."""

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bus_schemas.limits import BUS_PAYLOAD_MAX
from bus_schemas.streams import BUCKETS, STREAMS, BucketSpec, StreamSpec
from ops.embedded.account import Account, hand_over
from ops.embedded.launch import Launch
from ops.embedded.probe import first_answer
from ops.embedded.secret import stored_secret, write_private

_SPARE = 512 * 1024**2
"""Bytes above what the declared streams reserve, for streams of tests and of an operator."""

_CONFIG = """\
listen: "127.0.0.1:{port}"
server_name: "matinee-embedded"
max_payload: {max_payload}
# Messages of media wait for a slow reader up to this many bytes before it is cut off.
max_pending: 134217728
write_deadline: "10s"
lame_duck_duration: "30s"
lame_duck_grace_period: "1s"
authorization {{
  user: "matinee"
  password: "{password}"
}}
jetstream {{
  store_dir: "jetstream",
  max_memory_store: {memory},
  max_file_store: {file},
  sync_interval: "{sync_interval}"
}}
"""


def reserved(storage: Literal["memory", "file"]) -> int:
    """Bytes that JetStream must be allowed: it reserves what every stream may at most hold."""
    specs: tuple[StreamSpec | BucketSpec, ...] = (*STREAMS, *BUCKETS)
    return sum(spec.max_bytes for spec in specs if spec.storage == storage) + _SPARE


@dataclass(frozen=True, slots=True)
class NatsServer:
    """One nats-server under `directory`, on `port` of loopback."""

    program: Path
    directory: Path
    secrets: Path
    port: int
    account: Account | None = None
    durable: bool = True
    """False for tests: nothing is forced to disk."""
    name: str = "nats"

    def prepare(self) -> None:
        """Write the configuration and make the store's folder."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        text = _CONFIG.format(
            port=self.port,
            max_payload=BUS_PAYLOAD_MAX,
            password=stored_secret(self.secrets / "nats"),
            memory=reserved("memory"),
            file=reserved("file"),
            sync_interval="10s" if self.durable else "10m",
        )
        write_private(self.directory / "nats.conf", text)
        hand_over(self.directory, self.account)

    def launch(self) -> Launch:
        """Paths are relative to the folder it starts in: its account need not be able to walk down to it."""
        return Launch(
            name=self.name,
            command=(str(self.program), "--config", "nats.conf"),
            cwd=self.directory,
            stop_signal=signal.SIGTERM,
            account=self.account,
        )

    def is_ready(self) -> bool:
        """The listener opens once JetStream has recovered its streams; INFO says so."""
        return b'"jetstream":true' in first_answer(self.port, b"")

    def url(self) -> str:
        """nats://user:password@host:port"""
        return f"nats://matinee:{stored_secret(self.secrets / 'nats')}@127.0.0.1:{self.port}"
