"""Passwords: Argon2id in threads of its own, and the same work for a user who does not exist."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar, TypeVarTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from bus_schemas.errors import ErrorCode, Refused
from runtime.settings import AuthSettings

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

THREADS: Final = 2
WAITING_MAX: Final = 64
"""Hashes asked for and not done: some 2 s of work. One more is refused rather than left to time out."""


class Passwords:
    """Hashes and checks; each takes some 20 ms of a thread and `argon2_memory_kib` of memory."""

    def __init__(self, settings: AuthSettings) -> None:
        self._hasher = PasswordHasher(
            time_cost=settings.argon2_passes, memory_cost=settings.argon2_memory_kib, parallelism=1
        )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._waiting = 0
        self._nobody = self._hasher.hash("the password of nobody")

    async def hash(self, password: str) -> str:
        """The encoded hash of a new password."""
        return await self._run(self._hasher.hash, password)

    async def matches(self, encoded: str | None, password: str) -> bool:
        """Whether the password is the one hashed; None (no such user, no password) costs the same time."""
        return await self._run(self._check, encoded, password)

    def is_outdated(self, encoded: str) -> bool:
        """Whether the settings have become stronger since it was hashed."""
        return self._hasher.check_needs_rehash(encoded)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _check(self, encoded: str | None, password: str) -> bool:
        try:
            self._hasher.verify(encoded or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return encoded is not None

    async def _run(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        if self._waiting >= WAITING_MAX:
            raise Refused(
                ErrorCode.UNAVAILABLE, "Too many sign-ins at once: try again in a moment.", retry_after=2
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1
