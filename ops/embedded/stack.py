"""The three servers of one data directory, put together."""

from dataclasses import dataclass
from pathlib import Path

from ops.embedded.account import choose_account
from ops.embedded.nats import NatsServer
from ops.embedded.ports import free_port
from ops.embedded.postgres import PostgresServer
from ops.embedded.programs import find_programs
from ops.embedded.redis import RedisServer


@dataclass(frozen=True, slots=True)
class Stack:
    """NATS, PostgreSQL and Redis of one data directory."""

    nats: NatsServer
    postgres: PostgresServer
    redis: RedisServer


def embedded_stack(directory: Path, *, durable: bool = True) -> Stack:
    """Settle account, programs, ports and secrets for a data directory; starts nothing.

    Raises OperatorError where one of them cannot be had.
    """
    account = choose_account()
    programs = find_programs(account)
    secrets = directory / "secrets"
    secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    taken: frozenset[int] = frozenset()
    ports: list[int] = []
    for _ in range(3):
        ports.append(free_port(avoid=taken))
        taken |= {ports[-1]}
    return Stack(
        nats=NatsServer(
            program=programs.nats_server,
            directory=directory / "nats",
            secrets=secrets,
            port=ports[0],
            account=account,
            durable=durable,
        ),
        postgres=PostgresServer(
            initdb=programs.initdb,
            program=programs.postgres,
            directory=directory / "postgres",
            secrets=secrets,
            port=ports[1],
            account=account,
            durable=durable,
        ),
        redis=RedisServer(
            program=programs.redis_server,
            directory=directory / "redis",
            secrets=secrets,
            port=ports[2],
            account=account,
        ),
    )
