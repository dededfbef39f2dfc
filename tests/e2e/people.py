"""People outside: somebody with an account, somebody on the socket, an encoder, a browser page."""

import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.stack import PROJECT, MatineeStack

ANSWER_WITHIN = 30.0
PAGE_WITHIN_MS = 60_000


@dataclass
class Person:
    """An account and what it may do over HTTP."""

    http: aiohttp.ClientSession
    base: str
    account: dict[str, Any]

    @property
    def token(self) -> str:
        return str(self.account["access_token"])

    async def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """One API call; an error status fails the test with the answer's text."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.http.request(
            method, f"{self.base}/api/v1/{path}", json=body, headers=headers
        ) as answer:
            text = await answer.text()
            assert answer.status < 400, f"{method} {path}: {answer.status} {text}"
            return json.loads(text) if text else {}


@asynccontextmanager
async def person(stack: MatineeStack) -> AsyncIterator[Person]:
    """Somebody who has just registered."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN)) as http:
        body = {"username": "p" + secrets.token_hex(6), "password": secrets.token_hex(8)}
        async with http.post(f"{stack.http}/api/v1/auth/register", json=body) as answer:
            assert answer.status == 201, await answer.text()
            account = await answer.json()
        yield Person(http, stack.http, account)


@contextmanager
def encoder(url: str, seconds: float = 120) -> Iterator[subprocess.Popen[bytes]]:
    """libavformat publishing in a process of its own until the block is left."""
    process = subprocess.Popen([sys.executable, "-m", "tests.e2e.encoder", url, str(seconds)], cwd=PROJECT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def until_live(someone: Person, stream: str, within: float = 40.0) -> None:
    """Wait until the stream's playlist has parts."""
    deadline = asyncio.get_running_loop().time() + within
    url = f"{someone.base}/live/{stream}/source/index.m3u8"
    while True:
        async with someone.http.get(url) as answer:
            text = await answer.text()
        if answer.status == 200 and "#EXT-X-PART:" in text:
            return
        assert asyncio.get_running_loop().time() < deadline, (
            f"not live after {within} s: {answer.status} {text[:200]}"
        )
        await asyncio.sleep(0.1)


@contextmanager
def on_air(stack: MatineeStack, title: str) -> Iterator[str]:
    """A stream that libavformat publishes while the block lasts, for a fixture of any scope; its id."""

    async def make() -> dict[str, Any]:
        async with person(stack) as ann:
            return await ann.call("POST", "streams", {"title": title})

    async def wait(stream: str) -> None:
        async with person(stack) as ann:
            await until_live(ann, stream)

    made = asyncio.run(make())
    with encoder(f"{stack.rtmp}/{made['stream_key']}", 1_200):
        asyncio.run(wait(made["stream"]))
        yield made["stream"]


@dataclass
class Member:
    """A member on the socket who resumes after every loss, and sends each message until it is acked."""

    person: Person
    room: str
    bases: list[str]
    """Gateways to try in turn."""
    events: list[dict[str, Any]] = field(default_factory=list)
    acked: list[str] = field(default_factory=list)
    connections: int = 0
    snapshots: int = 0
    _seq: int = 0
    _epoch: str = ""
    _waiting: dict[str, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    _socket: aiohttp.ClientWebSocketResponse | None = None
    _joined: asyncio.Event = field(default_factory=asyncio.Event)

    async def live(self) -> None:
        """Stay connected until cancelled."""
        for base in self._gateways():
            try:
                with contextlib.suppress(aiohttp.ClientError, ConnectionError, asyncio.TimeoutError):
                    await self._connection(base)
            finally:
                self._joined.clear()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionError("the socket went"))
            self._waiting.clear()
            await asyncio.sleep(0.1)

    def _gateways(self) -> Iterator[str]:
        while True:
            yield from self.bases

    async def _connection(self, base: str) -> None:
        url = base.replace("http", "ws", 1) + "/ws"
        protocols = ("matinee.v1", f"bearer.{self.person.token}")
        async with self.person.http.ws_connect(
            url, protocols=protocols, timeout=aiohttp.ClientWSTimeout()
        ) as socket:
            self._socket = socket
            self.connections += 1
            join: dict[str, Any] = {"type": "join", "id": "join", "room": self.room}
            if self._epoch:
                join |= {"after": self._seq, "epoch": self._epoch}
            await socket.send_json(join)
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(json.loads(message.data))

    def _take(self, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind in ("joined", "resumed"):
            self._epoch = frame["epoch"]
            if kind == "joined":
                self.snapshots += 1
                self._seq = frame["seq"]
            self._joined.set()
        elif frame.get("seq") is not None:
            self.events.append(frame)
            self._seq = frame["seq"]
        elif kind in ("ack", "error") and (future := self._waiting.pop(str(frame.get("id")), None)):
            future.set_result(frame)

    async def ask(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Send one frame and wait for its ack or error."""
        name = secrets.token_hex(6)
        # No wait_for: in Python 3.11 it forgets that it was cancelled where the answer comes in that moment.
        async with asyncio.timeout(ANSWER_WITHIN):
            await self._joined.wait()
            assert self._socket is not None
            future = self._waiting[name] = asyncio.get_running_loop().create_future()
            await self._socket.send_json({"id": name, "room": self.room, **frame})
            return await future

    async def say(self, text: str) -> dict[str, Any]:
        """Send a chat message, again and again with the same client_id, until it is acked."""
        client_id = secrets.token_hex(8)
        while True:
            try:
                answer = await self.ask({"type": "chat", "client_id": client_id, "text": text})
            except (TimeoutError, ConnectionError, aiohttp.ClientError):
                await asyncio.sleep(0.1)
                continue
            if answer["type"] == "ack":
                self.acked.append(text)
                return answer
            assert answer["code"] in ("unavailable", "rate_limited"), answer
            await asyncio.sleep(float(answer.get("retry_after") or 0.2))

    async def command(self, **command: Any) -> dict[str, Any]:
        """Send a playback command until it is acked; the state after it. A lost answer may mean it is done twice."""
        while True:
            try:
                answer = await self.ask({"type": "playback", **command})
            except (TimeoutError, ConnectionError, aiohttp.ClientError):
                await asyncio.sleep(0.1)
                continue
            if answer["type"] == "ack":
                state: dict[str, Any] = answer["state"]
                return state
            assert answer["code"] in ("unavailable", "rate_limited"), answer
            await asyncio.sleep(float(answer.get("retry_after") or 0.2))


CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
]


@asynccontextmanager
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """A headless Chromium."""
    async with async_playwright() as playwright:
        expect.set_options(timeout=PAGE_WITHIN_MS)
        running = await playwright.chromium.launch(
            executable_path=chromium, args=CHROMIUM_FLAGS, timeout=PAGE_WITHIN_MS
        )
        try:
            yield running
        finally:
            await running.close()


async def page_of(running: Browser, someone: Person, path: str) -> Page:
    """A page of its own browser context, signed in as this person."""
    context = await running.new_context(viewport={"width": 1280, "height": 800})
    session = {
        "user": someone.account["user"],
        "accessToken": someone.token,
        "refreshToken": None,
        "expiresAt": 4_102_444_800_000,
    }
    await context.add_init_script(
        f"localStorage.setItem('matinee.session', JSON.stringify({json.dumps(session)}))"
    )
    page = await context.new_page()
    page.set_default_timeout(PAGE_WITHIN_MS)
    await page.goto(someone.base + path)
    return page
