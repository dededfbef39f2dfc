"""One supervised child process: started, watched, started again."""

import asyncio
import contextlib
import re
import signal
import subprocess
from collections import deque
from collections.abc import Callable
from typing import IO, Literal

from ops.backoff import Backoff
from ops.embedded.launch import Launch
from ops.errors import OperatorError
from runtime.logs import get_logger

log = get_logger("supervisor")

_TAIL_LINES = 30
_LINE_BYTES = 8192

_GRAVE = re.compile(r"\[(ERR|FTL)\]|\b(FATAL|PANIC)\b|[Ff]atal error")
"""How the three servers word what an operator should see; the rest is for whoever asks for debug."""

Output = Literal["inherit", "log"]


class Child:
    """A program that is to run until it is told to stop.

    `poll` notices its end and `start_if_due` starts it again; the supervisor's loop calls both, so that all
    children are started from the one thread whose death the kernel tells them of.
    """

    def __init__(self, kind: str, launch: Callable[[], Launch], output: Output) -> None:
        self.kind = kind
        self.ever_ready = False
        self.restarts = 0
        self._launch = launch
        self._output = output
        self._backoff = Backoff()
        self._process: subprocess.Popen[bytes] | None = None
        self._stop_signal = signal.SIGTERM
        self._started_at = 0.0
        self._due_at: float | None = None
        self._stopping = False
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    @property
    def name(self) -> str:
        """What the log calls it."""
        return self._launch().name

    @property
    def pid(self) -> int | None:
        """Of the running process; None while there is none."""
        return self._process.pid if self._process is not None else None

    @property
    def is_running(self) -> bool:
        """Whether it has a process that had not ended at the last `poll`."""
        return self._process is not None

    def tail(self) -> str:
        """The last line it logged, for a sentence about why it ended."""
        if self._output == "inherit":
            return "its own lines are above"
        return self._tail[-1] if self._tail else "it said nothing"

    async def start(self, now: float) -> None:
        """Start its process. Raises OperatorError where its program cannot be run."""
        launch = self._launch()
        piped = subprocess.PIPE if self._output == "log" else None
        try:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - some milliseconds, and no threads
                launch.command,
                **launch.options(),
                stdin=subprocess.DEVNULL,
                stdout=piped,
                stderr=subprocess.STDOUT if piped else None,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise OperatorError(
                f"{launch.name} cannot be started ({error}): run ./matinee doctor."
            ) from error
        self._stop_signal = launch.stop_signal
        self._started_at = now
        self._due_at = None
        if self._process.stdout is not None:
            await self._follow(self._process.stdout)

    def poll(self, now: float) -> bool:
        """Notice an end; True where it has just ended. Its next start is set unless it was told to stop."""
        if self._process is None or (code := self._process.poll()) is None:
            return False
        lived = now - self._started_at
        self._process = None
        if self._stopping:
            return True
        self._backoff = self._backoff.after_end(lived)
        self._due_at = now + self._backoff.delay()
        log.warning(
            "child ended, starting it again",
            child=self.name,
            code=code,
            lived_s=round(lived, 1),
            again_in_s=self._backoff.delay(),
        )
        return True

    def due_at(self) -> float | None:
        """When it is to be started again; None where it runs or is not to."""
        return None if self._stopping else self._due_at

    async def start_if_due(self, now: float) -> bool:
        """Start it again if its time has come; True where it was started."""
        due = self.due_at()
        if due is None or due > now:
            return False
        self.restarts += 1
        try:
            await self.start(now)
        except OperatorError as error:
            self._backoff = self._backoff.after_end(0)
            self._due_at = now + self._backoff.delay()
            log.error("child does not start", child=self.name, error=str(error))
            return False
        log.info("child started again", child=self.name, pid=self.pid, restarts=self.restarts)
        return True

    def ask_to_stop(self) -> None:
        """Tell it to finish what it holds and go; it is not started again."""
        self._stopping = True
        self._signal(self._stop_signal)

    def kill(self) -> None:
        """End it and what it may have started at once."""
        self._stopping = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _follow(self, pipe: IO[bytes]) -> None:
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: _Lines(self._heard), pipe)

    def _heard(self, line: str) -> None:
        self._tail.append(line)
        # Until it is ready it refuses our own question whether it is, in grave words.
        if _GRAVE.search(line) and self.ever_ready and not self._stopping:
            log.warning("said", child=self.kind, line=line)
        else:
            log.debug("said", child=self.kind, line=line)


class _Lines(asyncio.Protocol):
    """Cuts what a child prints into lines; a line without an end is cut at a bound."""

    def __init__(self, heard: Callable[[str], None]) -> None:
        self._heard = heard
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LINE_BYTES:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            if text := line.decode("utf-8", "replace").strip():
                self._heard(text)
