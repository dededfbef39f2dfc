"""Gateways as real processes on real servers, and clients that speak to them over HTTP."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
from yarl import URL

PROJECT = Path(__file__).resolve().parent.parent.parent
READY_WITHIN = 60.0
STOPPED_WITHIN = 30.0


class GatewayProcess:
    """One `python -m gateway` on free ports; `http` is the shared port, `own` its own."""

    def __init__(self, log: Path, *, nats: str, postgres: str, redis: str, **settings: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MATINEE_")}
        environment = {
            **inherited,
            "MATINEE_NATS_URL": nats,
            "MATINEE_POSTGRES_DSN": postgres,
            "MATINEE_REDIS_URL": redis,
            "MATINEE_GATEWAY__PORT": "0",
            "MATINEE_AUTH__ARGON2_MEMORY_KIB": "8192",
            "MATINEE_AUTH__ARGON2_PASSES": "1",
            **{f"MATINEE_{name}": value for name, value in settings.items()},
        }
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway"], cwd=PROJECT, env=environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        self.http = ""
        self.own = ""

    def wait_ready(self) -> None:
        """Return once it listens and takes work."""
        give_up = time.monotonic() + READY_WITHIN
        while not self.http:
            if self.process.poll() is not None or time.monotonic() > give_up:
                self.stop()
                raise AssertionError(f"the gateway did not become ready:\n{self.log.read_text()[-4000:]}")
            for line in self.log.read_text().splitlines():
                if '"event": "ready"' in line:
                    ready = json.loads(line)
                    self.http, self.own = f"http://{ready['http']}", f"http://{ready['own']}"
            time.sleep(0.02)

    def stop(self) -> int:
        """Ask it to drain and go; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


StartGateways = Callable[..., list[GatewayProcess]]
"""`start(count=1, **settings)`: see `Gateways.start`."""


class Gateways:
    """Starts gateways on one set of servers, and ends those it started."""

    def __init__(self, directory: Path, *, nats: str, postgres: str, redis: str) -> None:
        self._directory = directory
        self._servers = {"nats": nats, "postgres": postgres, "redis": redis}
        self.started: list[GatewayProcess] = []

    def start(self, count: int = 1, **settings: str) -> list[GatewayProcess]:
        """So many more, ready; settings without their prefix: `LIMITS__ENABLED="false"`."""
        number = len(self.started)
        fresh = [
            GatewayProcess(self._directory / f"{number + n}.log", **self._servers, **settings)
            for n in range(count)
        ]
        self.started += fresh
        for gateway in fresh:
            gateway.wait_ready()
        return fresh

    def stop(self) -> None:
        """Stop what still runs, all at once."""
        for gateway in self.started:
            if gateway.process.poll() is None:
                gateway.process.send_signal(signal.SIGTERM)
        with ExitStack() as ending:
            for gateway in self.started:
                ending.callback(gateway.stop)


@dataclass(slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The `code` of a problem document."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self.body
        return str(self.json["code"])


class Contract:
    """The gateway's own OpenAPI document, which every answer below /api/v1/ must keep."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._operations = [
            (method.upper(), re.compile(re.sub(r"{[a-z_]+}", "[^/]+", path.lstrip("/"))), operation)
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        ]
        # Paths without parameters first: rooms/mine is no room.
        self._operations.sort(key=lambda one: "[^/]+" in one[1].pattern)

    def check(self, method: str, path: str, answer: Answer) -> None:
        """The status is a documented one, and the body has the documented shape."""
        plain = path.partition("?")[0]
        for known, pattern, operation in self._operations:
            if known == method and pattern.fullmatch(plain):
                where = f"{method} {path} → {answer.status}"
                assert str(answer.status) in operation["responses"], f"{where} is not documented"
                contents = operation["responses"][str(answer.status)].get("content")
                if contents is None:
                    assert answer.body == b"", where
                    return
                schema = contents[answer.headers["Content-Type"].partition(";")[0]]["schema"]
                jsonschema.validate(answer.json, {**schema, "components": self.document["components"]})
                return


@dataclass(slots=True)
class Person:
    """Somebody with a connection and, once signed in, a token."""

    session: aiohttp.ClientSession
    http: str
    token: str | None = None
    user: str = ""
    refresh_token: str = ""
    contract: Contract | None = None

    async def send(
        self, method: str, path: str, json_body: Any = None, *, data: bytes | None = None, **headers: str
    ) -> Answer:
        """One request below /api/v1/, or anywhere when the path begins with a slash."""
        url = self.http + (path if path.startswith("/") else f"/api/v1/{path}")
        sent = dict(headers)
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        body = data if data is not None else (None if json_body is None else json.dumps(json_body).encode())
        stream = None if body is None else io.BytesIO(body)
        async with self.session.request(
            method, URL(url, encoded=True), data=stream, headers=sent, allow_redirects=False
        ) as response:
            answer = Answer(response.status, response.headers, await response.read())
        if self.contract is not None:
            self.contract.check(method, path, answer)
        return answer

    async def get(self, path: str) -> Answer:
        """GET."""
        return await self.send("GET", path)

    async def post(self, path: str, json_body: Any = None) -> Answer:
        """POST."""
        return await self.send("POST", path, json_body)

    def somebody_else(self, http: str = "") -> "Person":
        """Another person, not signed in, at the same gateway or another one."""
        return Person(self.session, http or self.http, contract=self.contract)

    async def register(self, username: str, password: str = "correct horse") -> "Person":
        """Make an account and be signed in."""
        answer = await self.post("auth/register", {"username": username, "password": password})
        assert answer.status == 201, answer.body
        return self._signed_in(answer)

    async def come_as_guest(self, nickname: str = "Visitor") -> "Person":
        """Be a guest."""
        answer = await self.post("auth/guest", {"nickname": nickname})
        assert answer.status == 201, answer.body
        return self._signed_in(answer)

    def _signed_in(self, answer: Answer) -> "Person":
        self.token = answer.json["access_token"]
        self.user = answer.json["user"]["id"]
        self.refresh_token = answer.json.get("refresh_token", "")
        return self

    async def make_room(self, **draft: Any) -> str:
        """A room of this person's; its id."""
        answer = await self.post("rooms", {"name": "Movie night", **draft})
        assert answer.status == 201, answer.body
        return str(answer.json["id"])


@asynccontextmanager
async def visiting(http: str) -> AsyncIterator[Person]:
    """Somebody who is not signed in, at this gateway."""
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        person = Person(session, http)
        person.contract = Contract((await person.get("openapi.json")).json)
        yield person
