"""The metrics of all processes on one page: each sample gets the name of its process as a label."""

import asyncio
import re
from collections.abc import Callable, Container, Iterable

from aiohttp import web

from ops.errors import OperatorError
from ops.loopback_http import get

_SCRAPE_TIMEOUT = 5.0

_SAMPLE = re.compile(r"^([A-Za-z_:][A-Za-z0-9_:]*)(\{(.*)\})?( .+)$")
_SUFFIXES = ("_total", "_created", "_bucket", "_count", "_sum", "_info")


def merged(pages: Iterable[tuple[str, str]]) -> str:
    """One exposition out of (process, exposition) pairs; each family once, with the samples of all."""
    families: dict[str, tuple[list[str], list[str]]] = {}
    for process, page in pages:
        for line in page.splitlines():
            if line.startswith(("# HELP ", "# TYPE ")):
                heads, _ = families.setdefault(line.split(" ", 3)[2], ([], []))
                if line not in heads:
                    heads.append(line)
            elif match := _SAMPLE.match(line):
                name, _, labels, value = match.groups()
                _, samples = families.setdefault(_family(name, families), ([], []))
                labelled = f'process="{process}"' + (f",{labels}" if labels else "")
                samples.append(f"{name}{{{labelled}}}{value}")
    lines = [line for heads, samples in families.values() for line in (*heads, *samples)]
    return "\n".join(lines) + "\n" if lines else ""


def _family(name: str, known: Container[str]) -> str:
    """The family that a sample belongs to: its name, or its name without what its type appends."""
    if name in known:
        return name
    for suffix in _SUFFIXES:
        if name.endswith(suffix) and name.removesuffix(suffix) in known:
            return name.removesuffix(suffix)
    return name


class MetricsPage:
    """Serves the merged page: one address to scrape for everything that an `up` runs."""

    def __init__(self, targets: Callable[[], list[tuple[str, int]]]) -> None:
        self._targets = targets
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises OperatorError where it is taken."""
        app = web.Application()
        app.router.add_get("/metrics", self._expose)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            raise OperatorError(
                f"The metrics port {port} cannot be used ({error.strerror}): change MATINEE_METRICS__PORT."
            ) from error
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _expose(self, _request: web.Request) -> web.Response:
        targets = self._targets()
        pages = await asyncio.gather(*(_scraped(port) for _, port in targets))
        text = merged((name, page) for (name, _), page in zip(targets, pages, strict=True))
        return web.Response(
            body=text.encode(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )


async def _scraped(port: int) -> str:
    """What a process exposes, empty where it does not answer: the page shows the others."""
    try:
        status, body = await get("127.0.0.1", port, "/metrics", _SCRAPE_TIMEOUT)
    except (OSError, TimeoutError):
        return ""
    return body.decode("utf-8", "replace") if status == 200 else ""
