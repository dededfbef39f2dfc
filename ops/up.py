"""`matinee up` at the terminal: logs that suit it, the banner, the first account."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from ops.accounts import first_root_account
from ops.connections import configured, load_settings
from ops.errors import OperatorError
from ops.supervisor import Ready, Supervisor, UpOptions
from runtime.lifecycle import raise_file_limit
from runtime.logs import configure, get_logger
from runtime.settings import Settings

log = get_logger("up")


def run_up(
    flags: dict[str, Any], data: Path, scale: dict[str, int], ready_file: Path | None, *, demo: bool
) -> None:
    """Run everything until told to stop. Raises OperatorError."""
    settings = _for_a_terminal(load_settings(flags))
    configure(settings.log, kind="supervisor", node="up")
    if configured(settings):
        log.warning("MATINEE_NATS_URL and MATINEE_POSTGRES_DSN are not used: `up` runs its own servers")
    if ready_file is not None and not os.access(ready_file.parent, os.W_OK):
        raise OperatorError(f"The ready file {ready_file} cannot be written: choose another --ready-file.")
    raise_file_limit()
    options = UpOptions(data=data, scale=scale, ready_file=ready_file, demo=demo)

    async def announce(ready: Ready) -> None:
        password = await first_root_account(ready.endpoints.postgres_dsn, settings.auth)
        print(banner(ready, settings, data, password), flush=True)

    asyncio.run(Supervisor(settings, options, announce).run())


def _for_a_terminal(settings: Settings) -> Settings:
    """Text instead of JSON, and only what matters, where a person looks on and did not ask otherwise."""
    chosen = settings.log.model_fields_set
    if not sys.stderr.isatty():
        return settings
    quiet = {"format": "text", "level": "warning"}
    update = {name: value for name, value in quiet.items() if name not in chosen}
    return settings.model_copy(update={"log": settings.log.model_copy(update=update)})


def banner(ready: Ready, settings: Settings, data: Path, password: str | None) -> str:
    """What is printed when all is ready."""
    lines = [
        "",
        "Matinee is ready.",
        "",
        f"  Watch together   {settings.gateway.public_url or ready.http}/",
        f"  Publish to       {settings.gateway.public_rtmp_url or ready.rtmp}  with the stream key of a room",
        *([f"  or encrypted     {ready.rtmps}"] if ready.rtmps is not None else []),
        f"  Metrics          {ready.metrics}",
        f"  Data             {data}",
    ]
    if password is not None:
        lines += [
            "",
            f"  First account    root, password {password}  (shown this once; matinee user passwd root)",
        ]
    lines += ["", "Ctrl-C stops everything.", ""]
    return "\n".join(lines)
