"""Members of rooms who only listen, thousands in a process of their own, at the least cost a reader can have.

On two cores the load maker's time is the gateway's time: so raw sockets behind one epoll, frames cut but
not parsed, and of an event only its stamp looked at. `python -m bench.listeners` reads a line of JSON that
says what to connect to, answers `{"joined"}`, then answers each further line with what was heard since.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import select
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from bench.children import Children, tell
from bench.sockets_client import PING, PONG, TEXT, client_frame, upgrade_request
from runtime.lifecycle import raise_file_limit

PER_PROCESS: Final = 5_000
STAMP: Final = b"sent:"
STAMP_DIGITS: Final = 20
TENTHS: Final = 10
"""Latencies are counted in tenths of a millisecond."""
GATHER_S: Final = 0.0005
"""What comes within it is read together; it counts into every latency."""
_JOINING_AT_ONCE: Final = 25
_READ_BYTES: Final = 64 << 10
_JOIN_S: Final = 20.0
_HEADER_SMALL: Final = 2
_HEADER_MEDIUM: Final = 4
_HEADER_LARGE: Final = 10


def stamp() -> str:
    """The text of a message sent now: every process here reads the same monotonic clock."""
    return f"{STAMP.decode()}{time.monotonic_ns():0{STAMP_DIGITS}}"


def stamp_in(payload: bytes) -> int | None:
    """When what this payload carries was sent, in monotonic nanoseconds."""
    at = payload.find(STAMP)
    return int(payload[at + len(STAMP) : at + len(STAMP) + STAMP_DIGITS]) if at >= 0 else None


@dataclass
class Heard:
    """What came to all listeners."""

    last_ms: dict[int, float] = field(default_factory=dict)
    """Event, by its stamp → when the last member had it."""
    members: Counter[int] = field(default_factory=Counter)
    """Event → how many had it."""
    tenths: Counter[int] = field(default_factory=Counter)
    """Latency of each delivery, in tenths of a millisecond → how many."""
    closed: list[str] = field(default_factory=list)
    cpu_s: float = 0.0

    def add(self, told: dict[str, Any]) -> None:
        """What one process tells."""
        for event, (count, last_ms) in told["events"].items():
            stamped = int(event)
            self.members[stamped] += count
            self.last_ms[stamped] = max(self.last_ms.get(stamped, 0.0), last_ms)
        for tenth, count in told["tenths"].items():
            self.tenths[int(tenth)] += count
        self.closed += told["closed"]
        self.cpu_s += told["cpu_s"]

    def __add__(self, other: Heard) -> Heard:
        later = {
            event: max(last_ms, self.last_ms.get(event, 0.0)) for event, last_ms in other.last_ms.items()
        }
        return Heard(
            self.last_ms | later,
            self.members + other.members,
            self.tenths + other.tenths,
            self.closed + other.closed,
            self.cpu_s + other.cpu_s,
        )

    def percentile(self, share: float) -> float:
        """Of all deliveries, in milliseconds; NaN of nothing."""
        wanted, seen = share * self.tenths.total(), 0
        for tenth in sorted(self.tenths):
            seen += self.tenths[tenth]
            if seen > wanted:
                return tenth / TENTHS
        return max(self.tenths, default=float("nan")) / TENTHS


@dataclass
class Listeners:
    """So many sockets, dealt out to rooms and gateways in turn."""

    gateways: list[str]
    """Addresses `ws://…/ws`."""
    rooms: list[str]
    tokens: list[str]
    sockets: int
    _processes: Children = field(default_factory=lambda: Children("bench.listeners"))

    async def start(self) -> int:
        """Connect and join them all; gives how many were let in."""
        for first in range(0, self.sockets, PER_PROCESS):
            mine = [
                (
                    self.gateways[number % len(self.gateways)],
                    # never the same person twice in a small room
                    self.tokens[(number // len(self.rooms) + number) % len(self.tokens)],
                    self.rooms[number % len(self.rooms)],
                )
                for number in range(first, min(first + PER_PROCESS, self.sockets))
            ]
            process = await self._processes.start()
            tell(process, json.dumps(mine))
        return sum(told["joined"] for told in await self._processes.answers())

    async def take(self) -> Heard:
        """What came since the last call."""
        self._processes.tell("take")
        heard = Heard()
        for told in await self._processes.answers():
            heard.add(told)
        return heard

    async def stop(self) -> None:
        """Disconnect."""
        await self._processes.stop()


class _Listener:
    """One socket."""

    __slots__ = ("closed", "joined", "pending", "room", "sock")

    def __init__(self, url: str, token: str, room: str) -> None:
        parts = urlsplit(url)
        self.room = room
        self.pending = b""
        self.joined = False
        self.closed: str | None = None
        self.sock = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 80), _JOIN_S)
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(upgrade_request(parts.netloc, parts.path, key, token))

    def upgraded(self) -> None:
        """Read the answer to the handshake, and ask to come in."""
        answer = b""
        while (end := answer.find(b"\r\n\r\n")) < 0:
            more = self.sock.recv(_READ_BYTES)
            if not more:
                raise ConnectionError("closed during the handshake")
            answer += more
        if answer[9:12] != b"101":
            raise ConnectionError(f"upgrade refused: {answer[9:12].decode()}")
        self.pending = answer[end + 4 :]
        self.sock.sendall(
            client_frame(TEXT, json.dumps({"type": "join", "id": "j", "room": self.room}).encode())
        )
        self.sock.setblocking(False)


class _Hall:
    """All listeners of this process."""

    def __init__(self) -> None:
        self.poll = select.epoll()
        self.by_fd: dict[int, _Listener] = {}
        self.joined = 0
        self.arrivals: dict[int, list[int]] = {}
        self.closed: list[str] = []
        self.cpu_s = 0.0

    def connect(self, who: list[tuple[str, str, str]]) -> None:
        """Connect all and have them join, a few at a time; those who came first are read meanwhile."""
        for first in range(0, len(who), _JOINING_AT_ONCE):
            fresh = [_Listener(*one) for one in who[first : first + _JOINING_AT_ONCE]]
            for listener in fresh:
                listener.upgraded()
                self.by_fd[listener.sock.fileno()] = listener
                self.poll.register(listener.sock.fileno(), select.EPOLLIN)
            deadline = time.monotonic() + _JOIN_S
            while not all(one.joined or one.closed for one in fresh) and time.monotonic() < deadline:
                self.listen(0.05)

    def listen(self, seconds: float) -> bool:
        """Read whatever comes; whether the parent said something, which is then still to be read."""
        told = False
        ready = self.poll.poll(seconds)
        if ready:
            # Who is woken for every frame costs him who sends it: on the same cores, the gateway.
            time.sleep(GATHER_S)
            ready = self.poll.poll(0)
        for fd, _ in ready:
            if fd == 0:
                told = True
                continue
            try:
                data = os.read(fd, _READ_BYTES)
            except BlockingIOError:
                continue
            except ConnectionError as exc:
                self._closed(fd, repr(exc))
                continue
            if data:
                self._take(fd, data, time.monotonic_ns())
            else:
                self._closed(fd, "closed by the server")
        return told

    def _take(self, fd: int, data: bytes, now: int) -> None:
        listener = self.by_fd[fd]
        if listener.pending:
            data = listener.pending + data
        at, end = 0, len(data)
        while end - at >= _HEADER_SMALL:
            opcode, size, start = data[at] & 0x0F, data[at + 1], at + _HEADER_SMALL
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + _HEADER_MEDIUM
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + _HEADER_LARGE
            if start + size > end:
                break
            stamped = data.find(STAMP, start, start + size)
            if stamped >= 0 and listener.joined:
                sent = int(data[stamped + 5 : stamped + 5 + STAMP_DIGITS])
                taken = self.arrivals.get(sent)
                if taken is None:
                    self.arrivals[sent] = [now - sent]
                else:
                    taken.append(now - sent)
            elif opcode == PING:
                listener.sock.send(client_frame(PONG, data[start : start + size]))
            elif opcode == TEXT:
                if not listener.joined and data.startswith(b'{"type":"joined"', start):
                    listener.joined = True
                    self.joined += 1
            else:
                self._closed(fd, f"close {int.from_bytes(data[start : start + 2], 'big')}")
                return
            at = start + size
        listener.pending = data[at:]

    def _closed(self, fd: int, why: str) -> None:
        listener = self.by_fd[fd]
        listener.closed = why
        self.closed.append(why)
        self.poll.unregister(fd)

    def told(self) -> dict[str, Any]:
        """What came since the last call."""
        arrivals, self.arrivals = self.arrivals, {}
        closed, self.closed = self.closed, []
        tenths: Counter[int] = Counter()
        for latencies in arrivals.values():
            tenths.update(latency * TENTHS // 1_000_000 for latency in latencies)
        used = resource.getrusage(resource.RUSAGE_SELF)
        before, self.cpu_s = self.cpu_s, used.ru_utime + used.ru_stime
        return {
            "events": {sent: (len(found), max(found) / 1e6) for sent, found in arrivals.items()},
            "tenths": tenths,
            "closed": closed,
            "cpu_s": self.cpu_s - before,
        }


def _main() -> None:
    raise_file_limit()
    hall = _Hall()
    hall.connect(json.loads(sys.stdin.readline()))
    _say({"joined": hall.joined})
    hall.poll.register(0, select.EPOLLIN)
    while True:
        if hall.listen(1.0):
            if not sys.stdin.readline():
                return
            _say(hall.told())


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main()
