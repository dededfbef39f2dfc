"""An operator's hook server that behaves as a test wants it to: it may hang, lie, or send megabytes."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

SECRET = "a secret of the hooks"

Behaviour = Callable[["HookServer", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class HookServer:
    """Answers every POST by `behave`; keeps what it was told."""

    behave: Behaviour
    port: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    signed: list[bool] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def url(self, path: str = "/hook") -> str:
        """Its address; with a secret in the query, which no log may show."""
        return f"http://127.0.0.1:{self.port}{path}?token=hookquerysecret"

    def of(self, action: str) -> list[dict[str, Any]]:
        """What it was told of one action."""
        return [body for body in self.bodies if body["action"] == action]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, any number of requests."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                request, *lines = head.decode().split("\r\n")
                headers = {
                    name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.paths.append(request.split(" ")[1].partition("?")[0])
                self.raw.append(head + body)
                if body:
                    self.bodies.append(json.loads(body))
                signed = headers.get("x-matinee-timestamp", "").encode() + b"." + body
                wanted = "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
                self.signed.append(headers.get("x-matinee-signature") == wanted)
                await self.behave(self, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def say(body: bytes, status: str = "200 OK", *headers: str) -> Behaviour:
    """Answer this."""

    async def answer(_server: HookServer, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    return answer


ALLOW = say(b'{"code":0}')


async def hang(_server: HookServer, _writer: asyncio.StreamWriter) -> None:
    """Say nothing for longer than anybody waits."""
    await asyncio.sleep(30)


async def trickle(_server: HookServer, writer: asyncio.StreamWriter) -> None:
    """Begin an answer and never end it."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    await asyncio.sleep(30)


async def megabytes(_server: HookServer, writer: asyncio.StreamWriter) -> None:
    """An answer of 64 MB, as far as it is taken."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b" " * 65_536
    for _ in range(1_024):
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()


async def redirect(server: HookServer, writer: asyncio.StreamWriter) -> None:
    """Send whoever follows on to an address that allows."""
    allowed = server.paths[-1] == "/allowed"
    await (ALLOW if allowed else say(b"", "307 Moved", f"Location: {server.url('/allowed')}"))(server, writer)


async def hang_up(_server: HookServer, writer: asyncio.StreamWriter) -> None:
    """Close without a word."""
    writer.close()


async def promise_more(_server: HookServer, writer: asyncio.StreamWriter) -> None:
    """Allow, in a body that is shorter than its length says."""
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"code":0}')
    await writer.drain()
    writer.close()


@asynccontextmanager
async def hook_server(behave: Behaviour = ALLOW) -> AsyncIterator[HookServer]:
    """One that listens on a free port."""
    server = HookServer(behave)
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0, limit=1 << 20)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
