"""The command line: what each word does, and how a fault is told."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start quickly

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ops import data_directory
from ops.errors import OperatorError
from ops.options import Data
from ops.plan import MODULES, command_of, parse_scale, python_environment
from runtime.logs import configure
from runtime.settings import LogSettings

app = typer.Typer(
    name="matinee",
    help="Watch together, live or on demand, on the same frame.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run one command; a fault that the operator can right is one sentence and exit code 1."""
    configure(LogSettings(level="error", format="text"), kind="cli", node="cli")
    try:
        app()
    except OperatorError as error:
        sys.stderr.write(f"matinee: {error}\n")
        sys.exit(1)


@app.command()
def up(
    *,
    data: Data = data_directory.DEFAULT,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="HTTP port; 0 for any free one.")] = None,
    rtmp_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="RTMP port; 0 for any free one.")
    ] = None,
    scale: Annotated[str, typer.Option(help="How many of each kind, as in gateway=2,sync=2.")] = "",
    ready_file: Annotated[Path | None, typer.Option(help="Written when all is ready, as JSON.")] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Publish a test picture and make a room on it.")
    ] = False,
) -> None:
    """Run everything on this machine, with embedded NATS, PostgreSQL and Redis."""
    from ops.up import run_up

    flags: dict[str, Any] = {"gateway": {}, "ingest": {}}
    if host is not None:
        flags["gateway"]["host"] = flags["ingest"]["host"] = host
    if port is not None:
        flags["gateway"]["port"] = port
    if rtmp_port is not None:
        flags["ingest"]["rtmp_port"] = rtmp_port
    run_up(
        flags, data.absolute(), parse_scale(scale), ready_file.absolute() if ready_file else None, demo=demo
    )


def _process_command(kind: str) -> None:
    @app.command(kind, help=f"Run one {kind} process on the servers that the settings name.")
    def process() -> None:
        command = command_of(MODULES[kind])
        os.execve(command[0], command, python_environment(os.environ))  # noqa: S606 - it becomes that process


for _kind in MODULES:
    _process_command(_kind)


@app.command()
def migrate(*, data: Data = data_directory.DEFAULT) -> None:
    """Bring database, streams and buckets to what this version declares."""
    from ops.connections import load_settings, running_endpoints
    from ops.databases import migrate_all

    settings = load_settings()
    endpoints = running_endpoints(settings, data.absolute())
    applied = asyncio.run(migrate_all(endpoints.postgres_dsn, endpoints.nats_url))
    print(f"Applied: {', '.join(applied)}." if applied else "The database was up to date.")
    print("Streams, buckets and consumers are as declared.")


@app.command("check-config")
def check_config() -> None:
    """Validate all settings; every fault is named with its path."""
    from ops.connections import load_settings

    load_settings()
    print("The settings are valid.")


@app.command()
def doctor(*, data: Data = data_directory.DEFAULT) -> None:
    """Look at everything that a start needs, and say what is wrong."""
    from ops.doctor import examine

    findings = examine(data.absolute())
    for finding in findings:
        print(finding.line())
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(context: typer.Context) -> None:
    """Run the tests; arguments go to pytest. Without any, the browser client's tests run too."""
    from ops.checks import run_tests

    raise typer.Exit(run_tests(context.args))


@app.command()
def check() -> None:
    """Run the linters, the type checkers and the rules of who imports whom."""
    from ops.checks import run_checks

    raise typer.Exit(run_checks())


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False
)
def bench(context: typer.Context) -> None:
    """Measure a running stack: fanout, latency, sockets, commands or streams."""
    command = command_of("bench", *context.args)
    os.execve(command[0], command, python_environment(os.environ))  # noqa: S606 - it becomes that process


@app.command()
def completion(shell: Annotated[str, typer.Argument(help="bash, zsh or fish")] = "bash") -> None:
    """Print the completion script of a shell: `./matinee completion bash >> ~/.bashrc`."""
    from typer._completion_shared import get_completion_script

    if shell not in {"bash", "zsh", "fish"}:
        raise OperatorError(f"There is no completion for {shell!r}: ask for bash, zsh or fish.")
    print(get_completion_script(prog_name="matinee", complete_var="_MATINEE_COMPLETE", shell=shell))


def _add_groups() -> None:
    from ops.accounts_cli import users
    from ops.config_cli import config
    from ops.conformance_cli import add_conformance
    from ops.live_cli import add_nodes, rooms, streams

    app.add_typer(users, name="user")
    app.add_typer(rooms, name="room")
    app.add_typer(streams, name="stream")
    app.add_typer(config, name="config")
    add_nodes(app)
    add_conformance(app)


_add_groups()
