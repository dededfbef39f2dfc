"""Where a command finds PostgreSQL and NATS: the settings, a running `up`, or one started for the moment."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from ops import data_directory
from ops.child import Child
from ops.data_directory import Endpoints
from ops.databases import make_database
from ops.embedded.stack import embedded_stack
from ops.errors import OperatorError
from runtime.postgres import migrate
from runtime.settings import Settings, SettingsError, load

_READY_WITHIN = 30.0
_GONE_WITHIN = 10.0


def load_settings(flags: Mapping[str, object] | None = None) -> Settings:
    """The settings of this command; every fault in one OperatorError."""
    environ = {name: value for name, value in os.environ.items() if name != "MATINEE_DATA"}
    try:
        return load(flags, environ)
    except SettingsError as error:
        raise OperatorError(f"Correct these settings:\n{error}") from error


def configured(settings: Settings) -> bool:
    """Whether the operator named servers of his own."""
    return bool({"nats_url", "postgres_dsn"} & settings.model_fields_set)


def running_endpoints(settings: Settings, data: Path) -> Endpoints:
    """Addresses of servers that run: the operator's own, else those of the `up` on this data directory."""
    if configured(settings):
        return Endpoints(
            settings.nats_url, settings.postgres_dsn.get_secret_value(), settings.redis_url.get_secret_value()
        )
    found = data_directory.endpoints_of(data)
    if found is None:
        raise OperatorError(
            f"No matinee runs on {data}: start ./matinee up, name its directory with --data, "
            f"or set MATINEE_NATS_URL and MATINEE_POSTGRES_DSN."
        )
    return found


@contextlib.asynccontextmanager
async def database(settings: Settings, data: Path) -> AsyncIterator[str]:
    """Address of the accounts' database, with the schema up to date.

    Where nothing runs and no server is configured, the embedded PostgreSQL is started for the moment, so that
    an account can be made before the first `up`.
    """
    if configured(settings) or data_directory.is_owned(data):
        yield running_endpoints(settings, data).postgres_dsn
        return
    with data_directory.owned(data):
        server = embedded_stack(data).postgres
        server.prepare()
        child = Child("postgres", server.launch, "log")
        loop = asyncio.get_running_loop()
        await child.start(loop.time())
        try:
            deadline = loop.time() + _READY_WITHIN
            while not server.is_ready():
                if child.poll(loop.time()) or loop.time() > deadline:
                    raise OperatorError(f"PostgreSQL does not start ({child.tail()}): run ./matinee doctor.")
                await asyncio.sleep(0.03)
            await make_database(server.url())
            await migrate(server.url())
            yield server.url()
        finally:
            child.ask_to_stop()
            deadline = loop.time() + _GONE_WITHIN
            while child.is_running and loop.time() < deadline:
                child.poll(loop.time())
                await asyncio.sleep(0.01)
            child.kill()
