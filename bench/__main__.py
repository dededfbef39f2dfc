"""`matinee bench …`: one benchmark, one table; exit code 1 where a promise was broken."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import uvloop

from bench import commands, fanout, hls_player, latency, peers, slow, soak, sockets, streams
from bench.stack import running_stack
from bench.sync import table as sync_table
from bench.tables import Table
from runtime.lifecycle import raise_file_limit


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="matinee bench", description=__doc__)
    parser.add_argument(
        "--ready-file", type=Path, help="of a running `matinee up` (else one is started, limits off)"
    )
    parser.add_argument("--seconds", type=float, help="length of the measurement")
    benches = parser.add_subparsers(dest="bench", required=True)
    one = benches.add_parser("fanout", help="one stream to many FLV viewers")
    one.add_argument("--viewers", type=int, default=500)
    one.add_argument("--kbps", type=int, default=2_000)
    one.add_argument("--peers", action="store_true", help="beside it, the peers that are installed")
    one = benches.add_parser("latency", help="FLV tags, joins, LL-HLS edge")
    one.add_argument("--viewers", type=int, default=10)
    one = benches.add_parser("sockets", help="many sockets in one room, or in many")
    one.add_argument("--sockets", type=int, default=1_000)
    one.add_argument("--rooms", type=int, default=1)
    one.add_argument("--per-second", type=float, default=10.0, help="messages, over all rooms")
    one.add_argument("--gateways", type=int, default=1)
    one.add_argument(
        "--blocked", action="store_true", help="in turns with and without one member who does not read"
    )
    one = benches.add_parser("commands", help="playback commands to every member")
    one.add_argument("--members", type=int, default=20)
    one.add_argument("--rooms", type=int, default=1)
    one.add_argument("--per-second", type=float, default=10.0, help="commands, over all rooms")
    one.add_argument("--gateways", type=int, default=2)
    one.add_argument("--sync-workers", type=int, default=2)
    one = benches.add_parser("streams", help="many publishers, watched over FLV and LL-HLS")
    one.add_argument("--publishers", type=int, default=20)
    one.add_argument("--peers", action="store_true", help="beside it, the peers that are installed")
    one = benches.add_parser(
        "sync", help="how far apart members see the same frame: simulated, or in Chromium"
    )
    one.add_argument("--members", type=int, default=20)
    one.add_argument("--browsers", type=int, default=0, help="real Chromium pages instead of the simulation")
    one = benches.add_parser("hls", help="hls.js in a browser, and blocked reloads")
    one.add_argument("--reloads", type=int, default=500)
    one = benches.add_parser("slow", help="a throttled viewer among healthy ones, and names nobody has")
    one.add_argument("--viewers", type=int, default=50)
    benches.add_parser("soak", help="ten minutes of everything: memory")
    return parser


async def _run(options: argparse.Namespace) -> list[Table]:
    timing = {"seconds": options.seconds} if options.seconds else {}
    if options.bench == "sync":
        if not options.browsers:
            return list(sync_table.run(members=options.members, **timing))
        from bench.sync import browsers as sync_browsers  # noqa: PLC0415  # of the development lock

        async with running_stack(options.ready_file) as stack:
            return [await sync_browsers.run(stack, browsers=options.browsers, **timing)]
    scale = [f"gateway={options.gateways}"] if options.bench in {"sockets", "commands"} else []
    scale += [f"sync={options.sync_workers}"] if options.bench == "commands" else []
    async with running_stack(options.ready_file, *scale) as stack:
        if options.bench == "fanout":
            tables = [await fanout.run(stack, viewers=options.viewers, kbps=options.kbps, **timing)]
        elif options.bench == "latency":
            tables = [await latency.run(stack, viewers=options.viewers, **timing)]
        elif options.bench == "sockets":
            tables = [
                await sockets.run(
                    stack,
                    sockets=options.sockets,
                    rooms=options.rooms,
                    per_second=options.per_second,
                    gateways=options.gateways,
                    blocked=options.blocked,
                    **timing,
                )
            ]
        elif options.bench == "commands":
            tables = [
                await commands.run(
                    stack,
                    members=options.members,
                    rooms=options.rooms,
                    per_second=options.per_second,
                    **timing,
                )
            ]
        elif options.bench == "streams":
            tables = [await streams.run(stack, publishers=options.publishers, **timing)]
        elif options.bench == "hls":
            tables = [await hls_player.run(stack, reloads=options.reloads, **timing)]
        elif options.bench == "slow":
            tables = [await slow.run(stack, viewers=options.viewers, **timing)]
        else:
            tables = [await soak.run(stack, **timing)]
    if getattr(options, "peers", False):
        tables += await peers.run(options.bench, options, **timing)
    return tables


def main() -> int:
    """Run what the command line asks for."""
    options = _parser().parse_args()
    raise_file_limit()
    tables = uvloop.run(_run(options))
    for table in tables:
        print(table)
    return 1 if any(table.failures for table in tables) else 0


if __name__ == "__main__":
    sys.exit(main())
