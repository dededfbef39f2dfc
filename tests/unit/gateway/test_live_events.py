"""What the page of a stream is told."""

import asyncio
from typing import Any, cast

from bus_schemas.viewers import Protocol
from gateway.db.streams import StreamRow
from gateway.live.events import Telling, event

ROW = StreamRow(
    id="s1", room=None, owner="ann", title="", key_hash="", created_at=0, private=True, restricted=True
)


class Page:
    """Takes what it is told; its counts change with every look, `looks` times."""

    def __init__(self, looks: int) -> None:
        self.told = b""
        self.tokens = 0
        self.stopped = False
        self._looks = looks

    async def write(self, data: bytes) -> None:
        self.told += data

    async def next(self, _stream: str, _known: object, _deadline_s: float) -> dict[Protocol, int]:
        await asyncio.sleep(0)
        self._looks -= 1
        self.stopped = self._looks <= 0
        return {Protocol.FLV: self._looks}

    def renewed_token(self, _row: StreamRow, user: str) -> str:
        self.tokens += 1
        return f"{user}-{self.tokens}"

    async def run(self, user: str | None, renew_s: float) -> list[bytes]:
        """The ids it was given."""
        itself = cast("Any", self)
        await Telling(itself, ROW, user, itself, itself, renew_s).run()
        return [line for line in self.told.splitlines() if line.startswith(b"id:")]


async def test_the_page_of_a_private_stream_gets_another_token_each_time_it_is_due() -> None:
    """With whatever is told next; the newest is what a browser sends back."""
    assert await Page(3).run("ann", renew_s=0.0) == [b"id: ann-1", b"id: ann-2", b"id: ann-3"]
    assert await Page(3).run("ann", renew_s=3_600.0) == [b"id: ann-1"]


async def test_a_public_streams_page_gets_none() -> None:
    """There is nothing to prove."""
    assert await Page(3).run(None, renew_s=0.0) == []


def test_an_event_says_how_many_and_how() -> None:
    """In one line of JSON."""
    told = event({Protocol.FLV: 2, Protocol.HLS: 1})

    assert told == b'event: viewers\ndata: {"count": 3, "protocols": {"flv": 2, "hls": 1}}\n\n'
