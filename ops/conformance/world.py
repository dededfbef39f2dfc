"""The stranger's side: accounts, requests, and the people and rooms that cases share."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

import aiohttp

from ops.conformance.peer import WITHIN_S, Peer

API: Final = "/api/v1/"
TRIES: Final = 5
WAIT_MAX_S: Final = 20.0
PASSWORD: Final = "correct horse battery"  # noqa: S105 - of accounts that exist for a minute
ROOM_PASSWORD: Final = "open sesame"  # noqa: S105 - likewise


class Unusable(Exception):
    """The server cannot be checked at all: why, and what to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; None for what is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def code(self) -> str:
        """The `code` of a problem document; empty where it is none."""
        found = self.json
        kind = self.headers.get("Content-Type", "")
        is_problem = kind.startswith("application/problem+json") and isinstance(found, dict)
        return str(found.get("code", "")) if is_problem else ""

    @property
    def shown(self) -> str:
        """For a report."""
        return f"{self.status} {self.body[:300].decode('utf-8', 'replace')}"


@dataclass(slots=True)
class Person:
    """Somebody with a token."""

    world: World
    token: str
    user: dict[str, Any]
    expires_in: float = 0.0
    refresh_token: str = ""

    @property
    def id(self) -> str:
        """Of the user."""
        return str(self.user["id"])

    async def send(self, method: str, path: str, body: Any = None) -> Answer:
        """One request as this person."""
        return await self.world.send(method, path, body, token=self.token)

    async def get(self, path: str) -> Answer:
        """GET."""
        return await self.send("GET", path)

    async def post(self, path: str, body: Any = None) -> Answer:
        """POST."""
        return await self.send("POST", path, body)

    async def room(self, **draft: Any) -> str:
        """A new room of this person's; its id. Raises Unusable where none can be made."""
        answer = await self.post("rooms", {"name": "Conformance", **draft})
        if answer.status != 201:
            raise Unusable(f"POST rooms was answered {answer.shown}: name an account that may make rooms.")
        self.world.rooms.append((self, str(answer.json["id"])))
        return str(answer.json["id"])

    async def item(self, room: str, **fields: Any) -> str:
        """A new item on the room's playlist; its id."""
        draft = {"kind": "url", "url": "https://media.example/film.mp4", "title": "A film", **fields}
        answer = await self.post(f"rooms/{room}/playlist", draft)
        if answer.status != 201:
            raise Unusable(f"POST rooms/{{room}}/playlist was answered {answer.shown}.")
        return str(answer.json["id"])

    @asynccontextmanager
    async def socket(self, **options: Any) -> AsyncIterator[Peer]:
        """A socket of this person's; closed on leaving."""
        async with self.world.socket(self.token, **options) as peer:
            yield peer


@dataclass(slots=True)
class World:
    """One server, and who was made on it."""

    base: str
    http: aiohttp.ClientSession
    token: str = ""
    """Of an account that may make rooms, where the operator named one."""
    within_s: float = WITHIN_S
    """How long an answer or event may take."""
    rooms: list[tuple[Person, str]] = field(default_factory=list)
    _owner: Person | None = None
    _guest: Person | None = None
    _making: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def send(
        self, method: str, path: str, body: Any = None, *, token: str = "", data: bytes | None = None
    ) -> Answer:
        """One request below /api/v1/, or anywhere when the path begins with a slash; a 429 waits and tries again."""
        url = self.base + (path if path.startswith("/") else API + path)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        for _ in range(TRIES):
            async with self.http.request(
                method,
                url,
                data=None if data is None else BytesIO(data),
                headers=headers,
                allow_redirects=False,
            ) as response:
                answer = Answer(response.status, response.headers, await response.read())
            if answer.status != 429:
                break
            await asyncio.sleep(min(WAIT_MAX_S, float(answer.headers.get("Retry-After") or 1)))
        return answer

    @asynccontextmanager
    async def socket(
        self,
        token: str = "",
        *,
        by: str = "query",
        protocols: tuple[str, ...] = ("matinee.v1",),
        autoping: bool = True,
    ) -> AsyncIterator[Peer]:
        """A socket with a token `by` header, query or subprotocol; raises aiohttp's WSServerHandshakeError."""
        headers = {"Authorization": f"Bearer {token}"} if token and by == "header" else {}
        if token and by == "subprotocol":
            protocols = (*protocols, f"bearer.{token}")
        ws = await self.http.ws_connect(
            f"{self.base}/ws",
            params={"token": token} if token and by == "query" else {},
            protocols=protocols,
            headers=headers,
            autoping=autoping,
            max_msg_size=0,
            timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
        )
        try:
            yield Peer(ws, self.within_s)
        finally:
            await ws.close()

    async def owner(self) -> Person:
        """Who makes the rooms: the named account, else one registered for this run."""
        async with self._making:
            if self._owner is None:
                self._owner = await (self._named() if self.token else self.account())
            return self._owner

    async def guest(self) -> Person:
        """A guest, the same for all cases."""
        async with self._making:
            if self._guest is None:
                self._guest = await self.another_guest()
            return self._guest

    async def _named(self) -> Person:
        answer = await self.send("GET", "users/me", token=self.token)
        if answer.status != 200:
            raise Unusable(f"GET users/me with the token given was answered {answer.shown}.")
        return Person(self, self.token, answer.json)

    async def account(self) -> Person:
        """A fresh account; raises Unusable where nobody may register."""
        name = f"conformance-{secrets.token_hex(6)}"
        answer = await self.send("POST", "auth/register", {"username": name, "password": PASSWORD})
        if answer.status != 201:
            raise Unusable(
                f"POST auth/register was answered {answer.shown}: name an account with --token where "
                "registration is closed."
            )
        return self._signed_in(answer)

    async def another_guest(self) -> Person:
        """A fresh guest."""
        answer = await self.send("POST", "auth/guest", {"nickname": f"guest-{secrets.token_hex(4)}"})
        if answer.status != 201:
            raise Unusable(f"POST auth/guest was answered {answer.shown}.")
        return self._signed_in(answer)

    def _signed_in(self, answer: Answer) -> Person:
        given = answer.json
        try:
            return Person(
                self,
                given["access_token"],
                given["user"],
                given["expires_in"],
                given.get("refresh_token", ""),
            )
        except (KeyError, TypeError):
            raise Unusable(f"A sign-in was answered {answer.shown}, without user, token or life.") from None

    async def close(self) -> None:
        """Delete the rooms that were made."""
        for person, room in self.rooms:
            try:
                await person.send("DELETE", f"rooms/{room}")
            except (aiohttp.ClientError, TimeoutError):
                return
