"""HTTP hooks: the operator's servers asked before somebody publishes or plays, told after he stopped.

Asking fails closed: an answer that is late, too long, unreadable or not to be had denies. Telling is tried
a few times and then given up. Redirects are not followed; a URL's query never reaches a log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from pydantic_core import to_json

from runtime.clock import now_ms
from runtime.hook_reply import (
    ALLOWED,
    ANSWER_MAX,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    HookAction,
    HookAnswer,
    HookDeniedError,
    read_answer,
    signature,
)
from runtime.logs import get_logger
from runtime.metrics import Metrics
from runtime.settings import HookSettings
from runtime.tasks import Tasks

log = get_logger("hooks")

CONNECTIONS: Final = 64
"""Hooks asked or told at once; those who wait for a place have the same deadline."""
TOLD_MAX: Final = 2_000
"""Notifications that wait; more are dropped and counted."""
TELLERS: Final = 8
RETRY_S: Final = (1.0, 4.0)
"""Waits between the attempts to tell."""
CLOSING_S: Final = 2.0

Facts = Mapping[str, str | int | None]
_UNREACHABLE: Final = (aiohttp.ClientError, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class _Notice:
    action: HookAction
    url: str
    body: bytes


class Hooks:
    """The hooks of one process. `asks(action)` is false where none are set: then nothing is built or sent."""

    def __init__(self, settings: HookSettings, node: str, tasks: Tasks, metrics: Metrics) -> None:
        self._urls: dict[HookAction, tuple[str, ...]] = {
            "on_publish": settings.on_publish,
            "on_unpublish": settings.on_unpublish,
            "on_play": settings.on_play,
            "on_stop": settings.on_stop,
        }
        self._secret = settings.secret.get_secret_value()
        self._timeout_s = settings.timeout_s
        self._node = node
        self._tasks = tasks
        self._handled = metrics.counter("matinee_hooks_total")
        self._seconds = metrics.histogram("matinee_hook_seconds")
        self._session: aiohttp.ClientSession | None = None
        self._notices: asyncio.Queue[_Notice] = asyncio.Queue(TOLD_MAX)
        self._tellers: list[asyncio.Task[None]] = []
        self._telling = 0

    @property
    def timeout_s(self) -> float:
        """The longest that `ask` takes."""
        return self._timeout_s

    def asks(self, action: HookAction) -> bool:
        """Whether anybody wants to hear of this."""
        return bool(self._urls[action])

    async def ask(self, action: HookAction, facts: Facts) -> HookAnswer:
        """Ask all hooks of the action, in order; raises `HookDeniedError` at the first that does not allow it."""
        answer = ALLOWED
        if not self._urls[action]:
            return answer
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                for url in self._urls[action]:
                    answer = answer.then(await self._ask_one(action, url, self._body(action, facts)))
        except TimeoutError:
            self._handled.labels(action, "timeout").inc()
            log.warning("a hook did not answer in time", action=action, deadline_s=self._timeout_s)
            raise HookDeniedError(f"a hook did not answer within {self._timeout_s:g} s", "timeout") from None
        except HookDeniedError as denied:
            self._handled.labels(action, denied.outcome).inc()
            raise
        finally:
            self._seconds.labels(action).observe(time.monotonic() - began)
        self._handled.labels(action, "allowed").inc()
        return answer

    def tell(self, action: HookAction, facts: Facts) -> None:
        """Notify all hooks of the action, some time; never waits, never fails."""
        for url in self._urls[action]:
            try:
                self._notices.put_nowait(_Notice(action, url, self._body(action, facts)))
            except asyncio.QueueFull:
                self._handled.labels(action, "dropped").inc()
                continue
            if self._telling + self._notices.qsize() > len(self._tellers) and len(self._tellers) < TELLERS:
                self._tellers.append(self._tasks.spawn("hook-teller", self._tell_all()))

    async def close(self) -> None:
        """Tell what waits, for a moment, and let the connections go."""
        try:
            async with asyncio.timeout(CLOSING_S):
                await self._notices.join()
        except TimeoutError:
            log.warning("hooks not told at the end", waiting=self._notices.qsize() + self._telling)
        for teller in self._tellers:
            teller.cancel()
        if self._session is not None:
            await self._session.close()

    async def _ask_one(self, action: HookAction, url: str, body: bytes) -> HookAnswer:
        try:
            return read_answer(*await self._post(url, body))
        except HookDeniedError as denied:
            log.info("denied by a hook", action=action, host=_host(url), why=denied.detail)
            raise
        except _UNREACHABLE as error:
            log.warning(
                "a hook cannot be reached", action=action, host=_host(url), error=type(error).__name__
            )
            raise HookDeniedError("a hook cannot be reached", "unreachable") from error

    async def _post(self, url: str, body: bytes) -> tuple[int, bytes]:
        """Status and at most one byte more than `ANSWER_MAX` of the body."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                # An answer is read as it comes: a small one that unpacks into a large one is not JSON.
                auto_decompress=False,
                headers={"Content-Type": "application/json", "User-Agent": "matinee-hooks"},
            )
        timestamp = str(now_ms())
        headers = {TIMESTAMP_HEADER: timestamp, "Accept-Encoding": "identity"}
        if self._secret:
            headers[SIGNATURE_HEADER] = signature(self._secret, timestamp, body)
        async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            answer = bytearray()
            async for piece in response.content.iter_any():
                answer += piece
                if len(answer) > ANSWER_MAX:
                    response.close()
                    return response.status, bytes(answer[: ANSWER_MAX + 1])
            return response.status, bytes(answer)

    async def _tell_all(self) -> None:
        while True:
            notice = await self._notices.get()
            self._telling += 1
            try:
                await self._tell(notice)
            finally:
                self._telling -= 1
                self._notices.task_done()

    async def _tell(self, notice: _Notice) -> None:
        why = ""
        for wait_s in (0.0, *RETRY_S):
            await asyncio.sleep(wait_s)
            try:
                async with asyncio.timeout(self._timeout_s):
                    status, _ = await self._post(notice.url, notice.body)
            except TimeoutError:
                why = "no answer in time"
            except _UNREACHABLE as error:
                why = type(error).__name__
            else:
                if status == HTTPStatus.OK:
                    self._handled.labels(notice.action, "told").inc()
                    return
                why = f"status {status}"
        self._handled.labels(notice.action, "not_told").inc()
        log.warning("a hook could not be told", action=notice.action, host=_host(notice.url), why=why)

    def _body(self, action: HookAction, facts: Facts) -> bytes:
        return to_json({"action": action, "server_id": self._node, **facts})


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""
