"""Running cases against a server, and telling what came of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import aiohttp

from ops.conformance import bad_input, coming_in, ends, essentials, frames, resuming, rooms
from ops.conformance.case import Case, Outcome, Result
from ops.conformance.peer import WITHIN_S
from ops.conformance.verdict import Failed, Skipped
from ops.conformance.world import Unusable, World

CASES: Final[tuple[Case, ...]] = (
    *essentials.CASES,
    *coming_in.CASES,
    *rooms.CASES,
    *frames.CASES,
    *resuming.CASES,
    *bad_input.CASES,
    *ends.CASES,
)
CASE_S: Final = 60.0
"""Beyond it a case has failed, whatever it waits for."""
SLOW_CASE_S: Final = 180.0


def chosen(words: Sequence[str], *, quick: bool) -> tuple[Case, ...]:
    """The cases whose names contain one of the words, or all; without those that take long, if `quick`."""
    return tuple(
        case
        for case in CASES
        if not (quick and case.slow) and (not words or any(word in case.name for word in words))
    )


async def run(
    url: str,
    wanted: Sequence[Case],
    tell: Callable[[Result], None],
    *,
    token: str = "",
    within_s: float = WITHIN_S,
) -> list[Result]:
    """Run the cases one after the other, slow ones beside them; `tell` hears of each as it ends.

    Raises Unusable where the server cannot be checked at all.
    """
    timeout = aiohttp.ClientTimeout(total=30)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:
        world = World(url.rstrip("/"), http, token, within_s)
        await _reach(world)
        results: list[Result] = []

        async def settle(case: Case) -> None:
            result = await _outcome(case, world)
            results.append(result)
            tell(result)

        try:
            async with asyncio.TaskGroup() as beside:
                for case in wanted:
                    if case.slow:
                        beside.create_task(settle(case))
                for case in wanted:
                    if not case.slow:
                        await settle(case)
        finally:
            await world.close()
    order = {case.name: number for number, case in enumerate(wanted)}
    return sorted(results, key=lambda result: order[result.case.name])


async def _reach(world: World) -> None:
    try:
        await world.send("GET", "time?t0=0")
    except (aiohttp.ClientError, OSError, TimeoutError) as exc:
        raise Unusable(
            f"{world.base} does not answer ({exc}): start the server, or correct the address."
        ) from exc
    await world.owner()
    await world.guest()


async def _outcome(case: Case, world: World) -> Result:
    clock = asyncio.get_running_loop().time
    began = clock()

    def result(outcome: Outcome, expected: str = "", seen: str = "") -> Result:
        return Result(case, outcome, clock() - began, expected, seen)

    try:
        async with asyncio.timeout(SLOW_CASE_S if case.slow else CASE_S):
            await case.check(world)
    except Skipped as why:
        return result("skip", seen=str(why))
    except Failed as fault:
        return result("FAIL", fault.expected, fault.seen)
    except (aiohttp.ClientError, ConnectionError) as exc:
        return result("FAIL", "a connection that holds", repr(exc))
    except TimeoutError:
        return result("FAIL", "answers in time", "none")
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as exc:
        # An answer with other fields than documented, where nobody looked at its shape first.
        return result("FAIL", "an answer with the documented fields", repr(exc))
    except Unusable as exc:
        return result("FAIL", "what the case needs", str(exc))
    return result("ok")


def line(result: Result) -> str:
    """A result for a terminal."""
    text = f"{result.outcome:<5} {result.case.name}"
    if result.outcome == "skip":
        return f"{text}: {result.seen}"
    if result.outcome == "FAIL":
        return f"{text}: {result.case.sentence}\n      expected: {result.expected}\n      seen:     {result.seen}"
    return text


def summary(results: Sequence[Result]) -> dict[str, int]:
    """How many of each outcome."""
    return {
        "passed": sum(result.outcome == "ok" for result in results),
        "failed": sum(result.outcome == "FAIL" for result in results),
        "skipped": sum(result.outcome == "skip" for result in results),
    }


def report(url: str, results: Sequence[Result]) -> str:
    """All of it as JSON."""
    found: dict[str, Any] = {"url": url, **summary(results)}
    found["cases"] = [
        {
            "name": result.case.name,
            "sentence": result.case.sentence,
            "outcome": result.outcome.lower(),
            "seconds": round(result.seconds, 3),
            **({"expected": result.expected} if result.expected else {}),
            **({"seen": result.seen} if result.seen else {}),
        }
        for result in results
    ]
    return json.dumps(found, indent=1, ensure_ascii=False)
