"""`matinee conformance`: check any server from outside, or write the golden frames for other implementations."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from bus_schemas.socket_examples import examples
from ops.conformance.case import Result
from ops.conformance.peer import WITHIN_S
from ops.conformance.run import chosen, line, report, run, summary
from ops.conformance.world import Unusable
from ops.errors import OperatorError


def add_conformance(app: typer.Typer) -> None:
    """Add the command, which has no group."""

    @app.command()
    def conformance(
        url: Annotated[str, typer.Argument(help="Of the server, like http://host:port.")] = "",
        *,
        only: Annotated[
            str, typer.Option(help="Cases whose names contain one of these, as in resume,seq.")
        ] = "",
        quick: Annotated[bool, typer.Option("--quick", help="Leave out what takes tens of seconds.")] = False,
        token: Annotated[str, typer.Option(help="Access token of an account that may make rooms.")] = "",
        within: Annotated[float, typer.Option(min=0.1, help="Seconds an answer may take.")] = WITHIN_S,
        listing: Annotated[bool, typer.Option("--list", help="List the cases, check nothing.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
        frames: Annotated[Path | None, typer.Option(help="Write golden frames to this folder.")] = None,
    ) -> None:
        """Check a server's HTTP API and socket against the contract, from outside; exit code 1 on any failure."""
        if frames is not None:
            print(f"{write_frames(frames)} frames in {frames}.")
            return
        wanted = chosen([word.strip() for word in only.split(",") if word.strip()], quick=quick)
        if not wanted:
            raise OperatorError(f"No case has {only!r} in its name: see ./matinee conformance --list.")
        if listing:
            for case in wanted:
                print(f"{case.name}{' (slow)' if case.slow else ''}: {case.sentence}")
            return
        if not url.startswith(("http://", "https://")):
            raise OperatorError("Say which server: ./matinee conformance http://host:port.")
        try:
            tell = _silent if as_json else _print
            results = asyncio.run(run(url, wanted, tell, token=token, within_s=within))
        except Unusable as exc:
            raise OperatorError(str(exc)) from exc
        counts = summary(results)
        if as_json:
            print(report(url, results))
        else:
            print(f"\n{', '.join(f'{count} {what}' for what, count in counts.items())}.")
        if counts["failed"]:
            raise typer.Exit(1)


def _print(result: Result) -> None:
    print(line(result), flush=True)


def _silent(_result: Result) -> None:
    """Everything is told at the end."""


def write_frames(folder: Path) -> int:
    """Write each golden frame as `{sender}-{name}.json`; how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for example in examples():
        content = {
            "sender": example.sender,
            "valid": example.valid,
            **({} if example.valid else {"fault": example.fault}),
            "text": example.text,
        }
        path = folder / f"{example.sender}-{example.name}.json"
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
        count += 1
    return count
