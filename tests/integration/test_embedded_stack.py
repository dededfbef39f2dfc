"""The embedded NATS, PostgreSQL and Redis are real, come back where they were, and never run as root."""

import os
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import nats
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.embedded import RunningServer, servers_in

pytestmark = pytest.mark.connected


async def test_nats_serves_jetstream_with_room_for_the_largest_message(nats_url: str) -> None:
    """A stream can be made, and the largest payload is 8 MB and 64 KB."""
    client = await nats.connect(nats_url)
    try:
        await client.jetstream().add_stream(name="TRIAL", subjects=["trial.>"])

        assert client.max_payload == 8 * 1024 * 1024 + 64 * 1024
    finally:
        await client.close()


async def test_nats_comes_back_on_its_port_with_what_was_stored(nats_server: RunningServer) -> None:
    """Killed and started again, it has the same address and still holds the file streams."""
    client = await nats.connect(nats_server.url)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
    await client.jetstream().publish("kept", b"hello")
    await client.close()

    nats_server.kill()
    nats_server.start()

    client = await nats.connect(nats_server.url)
    stored = await client.jetstream().get_last_msg("KEPT", "kept")
    await client.close()
    assert stored.data == b"hello"


async def test_each_test_gets_a_database_of_its_own(postgres_dsn: str) -> None:
    """The database is empty, and the server is new enough for what the schema uses."""
    connection = await asyncpg.connect(postgres_dsn)
    try:
        tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        version = int(await connection.fetchval("SHOW server_version_num"))
    finally:
        await connection.close()

    assert tables == 0
    assert version >= 160000


async def test_postgres_wants_the_password(postgres_server: RunningServer) -> None:
    """Being on the same machine is not enough."""
    foreign = postgres_server.url.replace("matinee:", "matinee:not", 1)

    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(foreign)


def test_redis_wants_the_password(redis_url: str) -> None:
    """Without it nothing is answered."""
    port = int(redis_url.rsplit(":", 1)[1].split("/")[0])

    with (
        pytest.raises(redis.AuthenticationError),
        redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as client,
    ):
        client.ping()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give up its rights")
def test_no_server_runs_as_root(
    nats_server: RunningServer, postgres_server: RunningServer, redis_server: RunningServer
) -> None:
    """Started by root, each runs under an unprivileged account."""
    owners = {Path(f"/proc/{one.pid}").stat().st_uid for one in (nats_server, postgres_server, redis_server)}

    assert 0 not in owners


def test_data_below_a_private_directory_is_served(tmp_path: Path) -> None:
    """A data directory that the servers' account cannot walk down to is served all the same."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    stack = servers_in(private / "data")
    running = [RunningServer(one) for one in (stack.nats, stack.postgres, stack.redis)]

    try:
        for one in running:
            one.start()

        assert all(one.server.is_ready() for one in running)
    finally:
        for one in running:
            one.stop()


def test_secrets_are_readable_by_nobody_else(tmp_path: Path) -> None:
    """Generated passwords are in files of mode 0600, and stay the same from one start to the next."""
    stack = servers_in(tmp_path)
    first = [one.url().rsplit("@", 1)[0] for one in (stack.nats, stack.postgres, stack.redis)]

    again = servers_in(tmp_path)

    assert [one.url().rsplit("@", 1)[0] for one in (again.nats, again.postgres, again.redis)] == first
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "secrets").iterdir()} == {0o600}


def test_an_interrupted_making_of_the_database_heals(tmp_path: Path) -> None:
    """Half a cluster left by a killed start is thrown away, and a whole one is made."""
    server = servers_in(tmp_path).postgres
    half = tmp_path / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    running = RunningServer(server)

    running.start()

    try:
        assert server.is_ready()
        assert not half.exists()
    finally:
        running.stop()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux tells a child of its parent's death")
def test_a_server_dies_with_whoever_started_it(tmp_path: Path) -> None:
    """When the parent is killed without a chance to clean up, the server goes too."""
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tests.embedded import RunningServer, servers_in\n"
        "one = RunningServer(servers_in(Path(sys.argv[1])).redis)\n"
        "one.start()\n"
        "print(one.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert parent.stdout is not None
    server = int(parent.stdout.readline())
    parent.kill()
    parent.wait(10)
    parent.stdout.close()

    assert _gone_within(server, 5.0)


def _gone_within(pid: int, seconds: float) -> bool:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False
