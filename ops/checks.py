"""`matinee check` and `matinee test`: the same commands everywhere, one after the other."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ops.plan import PROJECT, python_environment

_WEB = PROJECT / "web"
_BESIDE = ("--dist", "loadfile", "--no-loadscope-reorder")
"""A module's tests stay together, for its servers; modules in their order: the long ones come before the short."""


def run_checks() -> int:
    """Every check, even after one has failed, so that one run names all faults; 0 where all passed."""
    scripts = Path(sys.executable).parent
    steps: list[tuple[str, list[str], Path]] = [
        ("ruff check", [str(scripts / "ruff"), "check", "."], PROJECT),
        ("ruff format", [str(scripts / "ruff"), "format", "--check", "."], PROJECT),
        ("mypy", [str(scripts / "mypy"), "--strict"], PROJECT),
        ("import-linter", [str(scripts / "lint-imports")], PROJECT),
        ("web", ["npm", "run", "--silent", "check"], _WEB),
    ]
    return _all_of(steps)


def run_tests(arguments: Sequence[str]) -> int:
    """pytest with these arguments; without any, all tests, the browser client's too.

    They mostly wait, for servers, players and clocks, so several run at once; those that measure what another
    test would disturb come after them, one by one.
    """
    pytest = [sys.executable, "-m", "pytest"]
    if arguments:
        return _run([*pytest, *arguments], PROJECT)
    workers = max(2, min(4, os.cpu_count() or 1))
    return _all_of(
        [
            ("web tests", ["npm", "run", "--silent", "test"], _WEB),
            ("tests", [*pytest, "-n", str(workers), *_BESIDE, "-m", "not alone"], PROJECT),
            ("tests alone", [*pytest, "-m", "alone"], PROJECT),
        ]
    )


def _all_of(steps: Sequence[tuple[str, list[str], Path]]) -> int:
    failed = []
    for name, command, folder in steps:
        print(f"── {name}", flush=True)
        began = time.monotonic()
        code = _run(command, folder)
        print(
            f"── {name}: {'passed' if code == 0 else 'FAILED'} in {time.monotonic() - began:.1f} s",
            flush=True,
        )
        if code != 0:
            failed.append(name)
    print(
        f"{len(steps) - len(failed)} passed, {len(failed)} failed"
        + (f": {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else 0


def _run(command: Sequence[str], folder: Path) -> int:
    try:
        return subprocess.run(command, cwd=folder, env=python_environment(os.environ), check=False).returncode
    except FileNotFoundError:
        print(f"{command[0]} is not there: start this through ./matinee, which installs it.")
        return 127
