"""Buckets: compare-and-set, and claims that expire."""

from __future__ import annotations

from dataclasses import dataclass

from nats.js import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from bus_schemas.messages.base import TOKEN
from bus_schemas.streams import BucketSpec
from runtime.replies import EXPECTED_LAST, WRONG_LAST_SEQUENCE


@dataclass(frozen=True, slots=True)
class Entry:
    """A value and the bucket revision it stands at."""

    value: bytes
    revision: int


class Bucket:
    """One bucket by direct calls: a read, a compare-and-set or a claim is one round trip.

    An expired or deleted key leaves a marker with an empty value; here that is the same as no key.
    Keys are tokens joined by dots; anything else is a ValueError.
    """

    def __init__(self, js: JetStreamContext, spec: BucketSpec) -> None:
        self._js = js
        self._stream = spec.stream
        self._prefix = f"$KV.{spec.name}."

    def _subject(self, key: str) -> str:
        if not all(TOKEN.fullmatch(token) for token in key.split(".")):
            raise ValueError(f"bad key {key!r} for {self._stream}")
        return self._prefix + key

    async def get(self, key: str) -> Entry | None:
        """The value, or None where there is none."""
        entry = await self._get_any(key)
        return entry if entry and entry.value else None

    async def put(self, key: str, value: bytes) -> int:
        """Write whatever was there; gives the revision."""
        return (await self._js.publish(self._subject(key), value)).seq

    async def update(self, key: str, value: bytes, revision: int) -> int | None:
        """Write if the key still stands at `revision` (0: never written); None if it does not."""
        headers = {EXPECTED_LAST: str(revision)}
        try:
            return (await self._js.publish(self._subject(key), value, headers=headers)).seq
        except APIError as exc:
            if exc.err_code in WRONG_LAST_SEQUENCE:
                return None
            raise

    async def claim(self, key: str, value: bytes) -> int | None:
        """Write if nobody holds the key, an expired marker counting as nobody; None if somebody does."""
        revision = await self.update(key, value, 0)
        if revision is not None:
            return revision
        entry = await self._get_any(key)
        if entry is None:
            return await self.update(key, value, 0)
        return None if entry.value else await self.update(key, value, entry.revision)

    async def delete(self, key: str) -> None:
        """Leave a delete marker."""
        await self._js.publish(self._subject(key), b"", headers={"KV-Operation": "DEL"})

    async def _get_any(self, key: str) -> Entry | None:
        try:
            message = await self._js.get_last_msg(self._stream, self._subject(key), direct=True)
        except NotFoundError:
            return None
        return Entry(message.data or b"", message.seq or 0)

    async def keys(self, pattern: str = ">") -> list[str]:
        """Keys that have a value, matching a subject pattern below the bucket."""
        info = await self._js.stream_info(self._stream, subjects_filter=self._prefix + pattern)
        subjects = info.state.subjects or {}
        return [subject.removeprefix(self._prefix) for subject in subjects]
