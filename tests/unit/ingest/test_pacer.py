"""Turns of the pacer: few publications send at once, many together."""

import asyncio
import time
from collections.abc import Callable

import pytest

from workers.ingest.pacer import FEW, Pacer, turn_s


class Source:
    """A publication that counts its turns, and notes in which of them it was sent."""

    def __init__(self, pacer: Pacer) -> None:
        self.turns = 0
        self.sent_in: list[int] = []
        self._pacer = pacer
        pacer.add(self)

    def on_turn(self, now_us: int, next_us: int) -> None:
        assert 0 < now_us < next_us
        self.turns += 1

    async def send(self) -> None:
        self.sent_in.append(self.turns)

    def put(self) -> None:
        self._pacer.ready(self)

    def leave(self) -> None:
        self._pacer.remove(self)


def paced(publications: int, act: Callable[[list[Source]], None]) -> tuple[list[Source], int]:
    """Run the pacer with so many publications, `act` between two turns; gives how often the loop went round."""

    async def run() -> tuple[list[Source], int]:
        pacer = Pacer()
        sources = [Source(pacer) for _ in range(publications)]
        running = asyncio.ensure_future(pacer.run())
        rounds = 0
        async with asyncio.timeout(5):
            while not sources[0].turns:  # noqa: ASYNC110 - rounds of the loop are what is counted
                await asyncio.sleep(0)
            act(sources)
            while not all(source.sent_in for source in sources):
                await asyncio.sleep(0)
                rounds += 1
        running.cancel()
        return sources, rounds

    return asyncio.run(run())


def put_all(sources: list[Source]) -> None:
    """All of them have something."""
    for source in sources:
        source.put()


def test_few_publications_wait_for_nothing() -> None:
    """What is ready goes out without a timer: within some rounds of the loop."""
    _, rounds = paced(FEW, put_all)

    assert rounds <= 3


def test_many_publications_go_out_in_one_turn() -> None:
    """One turn sends what all of them have ready, each once."""
    sources, _ = paced(FEW + 40, put_all)

    assert len({tuple(source.sent_in) for source in sources}) == 1
    assert len(sources[0].sent_in) == 1


@pytest.mark.parametrize(
    ("publications", "seconds"), [(0, 0.0), (8, 0.0), (9, 0.01), (32, 0.01), (33, 0.015)]
)
def test_turns_grow_with_the_publications(publications: int, seconds: float) -> None:
    """Up to eight nothing waits; the longest turn leaves audio most of the 50 ms that it may wait."""
    assert turn_s(publications) == seconds


def test_a_turn_lasts_as_long_as_it_should() -> None:
    """What all have ready a moment after a turn goes out at the end of the next one, not sooner."""

    async def run() -> float:
        pacer = Pacer()
        sources = [Source(pacer) for _ in range(40)]
        running = asyncio.ensure_future(pacer.run())
        async with asyncio.timeout(5):
            while not sources[0].turns:  # noqa: ASYNC110 - rounds of the loop are what is counted
                await asyncio.sleep(0)
            began, before = time.monotonic(), sources[0].turns
            while sources[0].turns < before + 3:  # noqa: ASYNC110
                await asyncio.sleep(0)
        running.cancel()
        return time.monotonic() - began

    assert asyncio.run(run()) >= 3 * turn_s(40) - 0.005


def test_who_left_gets_no_turn_and_still_sends() -> None:
    """The end of a stream is said by a publication that is over."""

    def act(sources: list[Source]) -> None:
        put_all(sources)
        sources[0].leave()

    sources, _ = paced(3, act)

    assert sources[0].turns == sources[1].turns - 1
    assert sources[0].sent_in
