"""Fixtures for what has to be closed again: real servers, and the whole of Matinee."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
import redis
from hypothesis import HealthCheck, settings

from ops.embedded.postgres import PostgresServer
from tests.embedded import RunningServer, fresh_name, servers_in
from tests.stack import MatineeStack, start_matinee

_POLICY = os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None
_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def pytest_configure() -> None:
    """On a busy machine an example may take its time; a test that means to limit it says so itself."""
    settings.register_profile(
        "patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _stays_ordinary() -> Iterator[None]:
    """No test makes this process, and all that is started from it afterwards, a real-time one."""
    yield
    assert _POLICY is None or os.sched_getscheduler(0) == _POLICY, "wrap it in tests.ordinary_priority"


@pytest.fixture(scope="module")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A NATS server with JetStream for this module, which tests may kill and start again."""
    running = RunningServer(servers_in(tmp_path_factory.mktemp("nats")).nats)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def nats_url(nats_server: RunningServer) -> str:
    """Address of the module's NATS server; no streams exist until a test declares them."""
    return nats_server.url


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One PostgreSQL server for the whole run."""
    running = RunningServer(servers_in(tmp_path_factory.mktemp("postgres")).postgres)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def postgres_dsn(postgres_server: RunningServer) -> Iterator[str]:
    """An empty database for this test."""
    yield from _database(postgres_server, template="template0")


@pytest.fixture(scope="module")
def module_postgres_dsn(postgres_server: RunningServer) -> Iterator[str]:
    """An empty database for this module."""
    yield from _database(postgres_server, template="template0")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One Redis server for the whole run."""
    running = RunningServer(servers_in(tmp_path_factory.mktemp("redis")).redis)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def redis_url(redis_server: RunningServer) -> str:
    """Address of a Redis that holds nothing yet."""
    return _emptied(redis_server)


@pytest.fixture(scope="module")
def module_redis_url(redis_server: RunningServer) -> str:
    """Address of a Redis that holds nothing when the module starts: what earlier ones counted is gone."""
    return _emptied(redis_server)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MatineeStack]:
    """The whole of Matinee, one process of each kind, shared by the run: leave it as you found it."""
    running = start_matinee(tmp_path_factory.mktemp("stack"))
    yield running
    running.stop()


@pytest.fixture
def start_stack(tmp_path: Path) -> Iterator[Callable[..., MatineeStack]]:
    """Start a Matinee of this test's own: `start_stack("--scale", "gateway=2", environment={…})`."""
    started: list[MatineeStack] = []

    def start(*options: str, environment: dict[str, str] | None = None) -> MatineeStack:
        started.append(start_matinee(tmp_path / f"stack-{len(started)}", *options, environment=environment))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; without one the test is skipped, or fails under MATINEE_REQUIRE_BROWSER=1."""
    named = os.environ.get("MATINEE_CHROMIUM", "")
    found = named or next((path for name in _CHROMIUM_NAMES if (path := shutil.which(name))), None)
    if found:
        return found
    missing = "no Chromium on this machine: install chromium, or name one in MATINEE_CHROMIUM"
    if os.environ.get("MATINEE_REQUIRE_BROWSER") == "1":
        pytest.fail(missing)
    pytest.skip(missing)


def _emptied(running: RunningServer) -> str:
    with redis.Redis.from_url(running.url) as client:
        client.flushall()
    return running.url


def _database(running: RunningServer, *, template: str) -> Iterator[str]:
    server = running.server
    assert isinstance(server, PostgresServer)
    name = fresh_name("test")
    asyncio.run(_administer(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY'))
    yield server.url_of(name)
    asyncio.run(_administer(server, f'DROP DATABASE "{name}" WITH (FORCE)'))


async def _administer(server: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(server.url_of("postgres"), timeout=10)
    try:
        await connection.execute(statement, timeout=20)
    finally:
        await connection.close()
