"""How a child process is started: the same words for the supervisor's children and for the tests' servers."""

import ctypes
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from ops.embedded.account import Account

_PR_SET_PDEATHSIG = 1


class SpawnOptions(TypedDict, total=False):
    """Keyword arguments that subprocess.Popen and asyncio.create_subprocess_exec share."""

    cwd: Path
    env: Mapping[str, str]
    start_new_session: bool
    preexec_fn: Callable[[], None] | None
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Launch:
    """A program ready to be started."""

    name: str
    command: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    """What asks it to finish what it holds and go; also what the kernel sends it when we die."""
    account: Account | None = None

    def options(self) -> SpawnOptions:
        """In a session of its own (Ctrl-C at the terminal reaches only us), and dying when we do."""
        options = SpawnOptions(
            cwd=self.cwd, env=self.env, start_new_session=True, preexec_fn=die_with_parent(self.stop_signal)
        )
        if self.account is not None:
            options["user"] = self.account.uid
            options["group"] = self.account.gid
            options["extra_groups"] = []
        return options


def die_with_parent(with_signal: signal.Signals) -> Callable[[], None] | None:
    """What a new child runs before its program so that the kernel signals it when its parent dies.

    None where the system has no such thing (only Linux has it). The request is made after the switch of user,
    which would cancel it. The library is loaded here, in the parent: between fork and exec nothing is loaded.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def request() -> None:
        prctl(_PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0)

    return request
